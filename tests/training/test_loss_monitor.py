"""The measurements of a batch, against autograd and the losses themselves."""

import math

import pytest
import torch
from torch.nn import functional as F

from rwseg.losses import CombinedLoss, CrossEntropyLoss, DiceLoss, RegionWiseLoss, RRWLoss
from rwseg.training.diagnostics.loss_monitor import epoch_means, measure

CLASSES = ("background", "left", "right")


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    labels = torch.zeros(2, 10, 14, dtype=torch.long)
    labels[:, 2:8, 1:6] = 1
    labels[1, 2:8, 6:12] = 2
    return torch.randn(2, 3, 10, 14, generator=generator, requires_grad=True), labels


def test_a_rectified_map_has_no_wrong_sign_and_an_unrectified_one_has() -> None:
    logits, labels = batch()
    rectified = measure(CombinedLoss(RRWLoss()), logits, labels, None, CLASSES)
    assert [float(rectified[f"train/wrong_sign_{name}"]) for name in CLASSES] == [0.0, 0.0, 0.0]
    boundary = measure(CombinedLoss(RegionWiseLoss("boundary")), logits, labels, None, CLASSES)
    shares = torch.stack([boundary[f"train/wrong_sign_{name}"] for name in CLASSES])
    assert (shares > 0.05).all()
    assert float(epoch_means([boundary])["train/wrong_sign"]) == pytest.approx(float(shares.mean()))


def test_terms_and_gap_are_those_of_the_loss_and_the_network_keeps_its_gradient() -> None:
    logits, labels = batch()
    loss = CombinedLoss(RRWLoss(), DiceLoss(), "equal")
    found = measure(loss, logits, labels, None, CLASSES)
    for name, term in (("main", RRWLoss()), ("partner", DiceLoss())):
        leaf = logits.detach().clone().requires_grad_()
        value = term(leaf, labels)
        value.backward()
        assert leaf.grad is not None
        assert float(found[f"train/{name}"]) == pytest.approx(float(value.detach()), rel=1e-5)
        assert float(found[f"train/{name}_gradient"]) == pytest.approx(float(leaf.grad.norm()), rel=1e-4)
    perfect = 120.0 * F.one_hot(labels, 3).movedim(-1, 1)
    gap = loss(logits.detach(), labels) - loss(perfect, labels)
    assert float(found["train/loss_gap"]) == pytest.approx(float(gap), rel=1e-5)
    assert logits.grad is None


def test_the_mean_of_an_epoch_leaves_out_batches_without_the_class() -> None:
    logits, labels = batch()
    loss = CombinedLoss(RegionWiseLoss("boundary"))
    both = measure(loss, logits, labels, None, CLASSES)
    one = measure(loss, logits[:1], labels[:1], None, CLASSES)
    assert math.isnan(float(one["train/wrong_sign_right"]))
    means = epoch_means([both, one])
    assert float(means["train/wrong_sign_right"]) == float(both["train/wrong_sign_right"])
    left = (float(both["train/wrong_sign_left"]) + float(one["train/wrong_sign_left"])) / 2
    assert float(means["train/wrong_sign_left"]) == pytest.approx(left)
    classes = [float(means[f"train/wrong_sign_{name}"]) for name in CLASSES]
    assert float(means["train/wrong_sign"]) == pytest.approx(sum(classes) / 3)


def test_cross_entropy_measures_no_wrong_sign() -> None:
    logits, labels = batch()
    found = epoch_means([measure(CombinedLoss(CrossEntropyLoss()), logits, labels, None, CLASSES)])
    assert float(found["train/wrong_sign"]) == 0
