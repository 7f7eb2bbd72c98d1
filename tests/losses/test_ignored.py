"""Pixels that nobody labelled: no gradient, and the others' loss as if they were predicted perfectly."""

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from registered import LOSSES

from rwseg.experiments.config.conf import CONF
from rwseg.losses import head_weights, perfect_logits, supervised_loss, without_ignored

IGNORE = 255


def example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 3, 8, 12, generator=generator)
    labels = torch.randint(0, 3, (2, 8, 12), generator=generator)
    ignored = torch.rand(2, 8, 12, generator=generator) < 0.3
    return logits, labels.masked_fill(ignored, IGNORE), ignored


@pytest.mark.parametrize("file", LOSSES, ids=lambda file: file.stem)
def test_an_ignored_pixel_has_no_gradient_whatever_the_loss(file) -> None:  # type: ignore[no-untyped-def]
    logits, labels, ignored = example()
    logits.requires_grad_()
    loss = instantiate(OmegaConf.load(file))
    value = supervised_loss(loss, [logits], labels, weights=head_weights(1), ignore=IGNORE)
    (gradient,) = torch.autograd.grad(value, logits)
    assert torch.isfinite(value)
    assert not gradient.movedim(1, -1)[ignored].any()
    assert gradient.movedim(1, -1)[~ignored].any()


def test_ignored_pixels_become_background_predicted_perfectly() -> None:
    logits, labels, ignored = example()
    found, target = without_ignored(logits, labels, IGNORE)
    assert torch.equal(target[~ignored], labels[~ignored])
    assert not target[ignored].any()
    channels_last = found.movedim(1, -1)
    assert torch.equal(channels_last[~ignored], logits.movedim(1, -1)[~ignored])
    assert torch.equal(channels_last[ignored], perfect_logits(target, 3).movedim(1, -1)[ignored])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_number_type_stays(dtype: torch.dtype) -> None:
    logits, labels, _ = example()
    found, _ = without_ignored(logits.to(dtype), labels, IGNORE)
    assert found.dtype == dtype
    assert found.isfinite().all()


def test_every_head_leaves_out_its_own_ignored_pixels() -> None:
    logits, labels, _ = example()
    coarse = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(5), requires_grad=True)
    cross_entropy = instantiate(OmegaConf.load(CONF / "loss" / "ce.yaml"))
    value = supervised_loss(cross_entropy, [logits, coarse], labels, weights=(0.5, 0.5), ignore=IGNORE)
    (gradient,) = torch.autograd.grad(value, coarse)
    assert not gradient.movedim(1, -1)[labels[:, 1::2, 1::2] == IGNORE].any()
    expected = [
        torch.nn.functional.cross_entropy(head.detach(), target, ignore_index=IGNORE, reduction="sum")
        / target.numel()
        for head, target in ((logits, labels), (coarse, labels[:, 1::2, 1::2]))
    ]
    torch.testing.assert_close(value.detach(), (expected[0] + expected[1]) / 2)
