"""Dice, cross entropy and focal loss against the published code's formulas, transcribed to NumPy."""

import numpy as np
import pytest
import torch
from torch import Tensor

from rwseg.losses import CrossEntropyLoss, DiceLoss, FocalLoss


def make(shape: tuple[int, ...]) -> tuple[Tensor, Tensor, np.ndarray, np.ndarray]:
    """Logits, labels, and their softmax and one-hot form `(B, K, *S)` in float64; class 3 is absent."""
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(shape[0], 4, *shape[1:], generator=generator)
    labels = torch.randint(0, 3, shape, generator=generator)
    scores = np.exp(logits.numpy().astype(float))
    one_hot = np.stack([labels.numpy() == k for k in range(4)], axis=1).astype(float)
    return logits, labels, scores / scores.sum(1, keepdims=True), one_hot


@pytest.mark.parametrize("shape", [(3, 7, 12), (2, 4, 6, 9)], ids=["2d", "3d"])
def test_losses_equal_the_published_formulas(shape: tuple[int, ...]) -> None:
    logits, labels, p, y = make(shape)
    pixels = tuple(range(2, p.ndim))
    dice = 1 - np.mean(2 * (p * y).sum(pixels) / ((p + y).sum(pixels) + 1e-6))
    ce = -np.mean(np.sum(y * np.log(p + 1e-15), axis=1))
    focal = np.mean(np.sum(-1 * (1 - p + 1e-15) ** 2 * y * np.log(p + 1e-15), axis=1))
    assert float(DiceLoss()(logits, labels)) == pytest.approx(dice, rel=1e-5)
    assert float(CrossEntropyLoss()(logits, labels)) == pytest.approx(ce, rel=1e-5)
    assert float(FocalLoss()(logits, labels)) == pytest.approx(focal, rel=1e-5)


def test_focal_loss_without_focusing_is_cross_entropy() -> None:
    logits, labels, *_ = make((2, 5, 8))
    torch.testing.assert_close(FocalLoss(gamma=0.0)(logits, labels), CrossEntropyLoss()(logits, labels))


def test_dice_of_a_perfect_prediction_is_the_share_of_absent_classes() -> None:
    labels = torch.zeros(1, 6, 9, dtype=torch.long)
    perfect = torch.zeros(1, 4, 6, 9)
    perfect[:, 0] = 100
    assert float(DiceLoss()(perfect, labels)) == pytest.approx(0.75, abs=1e-6)


@pytest.mark.parametrize("loss", [CrossEntropyLoss(), FocalLoss()], ids=["ce", "focal"])
def test_a_hopeless_pixel_costs_at_most_minus_log_epsilon(loss: torch.nn.Module) -> None:
    logits = torch.tensor([500.0, 0.0]).view(1, 2, 1, 1).requires_grad_()
    value = loss(logits, torch.ones(1, 1, 1, dtype=torch.long))
    assert value.item() == pytest.approx(-np.log(1e-15), rel=1e-6)
    assert torch.autograd.grad(value, logits)[0].isfinite().all()


def test_focal_loss_refuses_a_negative_exponent() -> None:
    with pytest.raises(ValueError, match="gamma: expected a focusing exponent >= 0, got -1"):
        FocalLoss(gamma=-1)
