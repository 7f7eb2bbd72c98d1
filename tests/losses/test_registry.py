"""Properties of every loss that can be selected: the files of conf/loss are the registry."""

from pathlib import Path

import hydra.utils
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from rwseg.losses import SegmentationLoss, loss_at_perfect, perfect_logits
from rwseg.maps import MAP_NAMES, RectifiedMap, compact, region_map

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted((CONF / "loss").glob("*.yaml"))
SHAPES = {"2d": (3, 9, 14), "3d": (2, 4, 6, 9)}
K = 4

pytestmark = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def load(file: Path) -> SegmentationLoss:
    loss = hydra.utils.instantiate(OmegaConf.load(file))
    assert isinstance(loss, SegmentationLoss)
    return loss


def make(shape: tuple[int, ...], background_only: bool = False) -> tuple[Tensor, Tensor]:
    """Random logits, and boxes of classes 1 and 2 in the background; class 3 is absent."""
    logits = 2 * torch.randn(shape[0], K, *shape[1:], generator=torch.Generator().manual_seed(2))
    labels = torch.zeros(shape, dtype=torch.long)
    if not background_only:
        labels[(slice(0, 2), *(slice(1, n - 1) for n in shape[1:]))] = 1
        labels[(0, *(slice(2, n // 2 + 1) for n in shape[1:]))] = 2
    return logits, labels


@pytest.mark.parametrize("background_only", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_value_and_gradient_are_finite(file: Path, shape: tuple[int, ...], background_only: bool) -> None:
    logits, labels = make(shape, background_only)
    logits.requires_grad_()
    value = load(file)(logits, labels)
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.shape == ()
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert gradient.any()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_batch_is_the_mean_of_its_items(file: Path, shape: tuple[int, ...]) -> None:
    logits, labels = make(shape)
    loss = load(file)
    alone = [loss(x[None], y[None]) for x, y in zip(logits, labels, strict=True)]
    torch.testing.assert_close(loss(logits, labels), torch.stack(alone).mean())


@pytest.mark.parametrize("background_only", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_perfect_prediction_is_the_minimum(file: Path, shape: tuple[int, ...], background_only: bool) -> None:
    logits, labels = make(shape, background_only)
    loss = load(file)
    best = loss_at_perfect(loss, labels, K)
    torch.testing.assert_close(loss(perfect_logits(labels, K), labels), best, rtol=0, atol=0)
    wrong_pixel = perfect_logits(labels, K)
    wrong_pixel[0, :, 2, 3] = wrong_pixel[0, :, 2, 3].roll(1, 0)
    towards = torch.lerp(wrong_pixel * 0, perfect_logits(labels, K), 0.01)
    for other in (logits, 0 * logits, -logits, wrong_pixel, towards, perfect_logits((labels + 1) % K, K)):
        assert loss(other, labels) > best


def test_a_given_map_is_the_one_computed_online(file: Path) -> None:
    logits, labels = make(SHAPES["2d"])
    loss = load(file)
    if loss.map_name is None:
        anything = torch.full_like(logits, float("nan"))
        assert torch.equal(loss(logits, labels, anything), loss(logits, labels))
        assert not loss.rectified
        return
    assert loss.map_name in MAP_NAMES
    dense = region_map(loss.map_name, labels, K)
    torch.testing.assert_close(loss(logits, labels, dense), loss(logits, labels))
    if loss.rectified:
        torch.testing.assert_close(loss(logits, labels, compact(dense, labels)), loss(logits, labels))
        # An RRW map served from a cache must be used, not computed again.
        other = RectifiedMap(torch.zeros_like(dense[:, 0]), torch.full_like(dense[:, 0], K))
        assert loss(logits, labels, other) > loss(logits, labels)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_computed_in_single_precision(file: Path, dtype: torch.dtype) -> None:
    logits, labels = make(SHAPES["2d"])
    half = (20 * logits).to(dtype).requires_grad_()
    value = load(file)(half, labels)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, load(file)(half.detach().float(), labels))
    (gradient,) = torch.autograd.grad(value, half)
    assert gradient.dtype == dtype
    assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_integer_types_of_labels_agree(file: Path, dtype: torch.dtype) -> None:
    logits, labels = make(SHAPES["2d"])
    assert torch.equal(load(file)(logits, labels.to(dtype)), load(file)(logits, labels))


def test_wrong_shapes_are_refused(file: Path) -> None:
    logits, labels = make(SHAPES["2d"])
    with pytest.raises(ValueError, match=r"expected logits \(B, K, \*S\) and labels \(B, \*S\)"):
        load(file)(logits, labels.transpose(1, 2))
    with pytest.raises(ValueError, match="labels: expected an integer tensor"):
        load(file)(logits, labels.float())


def test_file_starts_with_what_it_is_and_names_its_target_first(file: Path) -> None:
    comment, target, *_ = file.read_text().splitlines()
    assert comment.startswith("# ")
    assert target.startswith("_target_: rwseg.losses.")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_value_on_a_gpu_equals_that_on_the_cpu(file: Path) -> None:
    logits, labels = make(SHAPES["2d"])
    torch.testing.assert_close(load(file)(logits.cuda(), labels.cuda()).cpu(), load(file)(logits, labels))
