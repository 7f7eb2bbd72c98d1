"""Compound losses against the sum of their terms in NumPy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from monai.losses.dice import DiceCELoss as MonaiDiceCELoss
from references import SHAPES, Array, Example, counts, example, true_class

from rwseg.losses import (
    DiceCELoss,
    DiceFocalLoss,
    DiceTopKLoss,
    ExponentialLogarithmicLoss,
    SegmentationLoss,
    perfect_logits,
)

every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def dice_scores(e: Example, smooth: float) -> Array:
    tp, fp, fn = counts(e.p, e.y)
    scores: Array = (2 * tp + smooth) / (2 * tp + fp + fn + smooth)
    return scores


@pytest.mark.parametrize("include_background", [True, False])
@every_shape
def test_sums_of_dice_and_a_cross_entropy(shape: tuple[int, ...], include_background: bool) -> None:
    e = example(shape)
    scores = dice_scores(e, smooth=1e-5)
    dice = 1 - (scores if include_background else scores[:, 1:]).mean()
    p = true_class(e.p, e.y)
    worst = np.sort(-np.log(p).reshape(len(p), -1), axis=1)[:, -round(p[0].size / 5) :]
    for loss, second in (
        (DiceCELoss(include_background), -np.log(p).mean()),
        (DiceFocalLoss(3.0, include_background), -((1 - p) ** 3 * np.log(p)).mean()),
        (DiceTopKLoss(20, include_background), worst.mean()),
    ):
        assert float(loss(e.logits, e.labels)) == pytest.approx(dice + second, rel=1e-5)


@every_shape
def test_class_weights_weigh_the_pixels_of_their_class(shape: tuple[int, ...]) -> None:
    e = example(shape)
    weights = [0.5, 2.0, 0.0, 3.0]
    dice = 1 - dice_scores(e, smooth=1e-5).mean()
    w, p = np.array(weights)[e.labels.numpy()], true_class(e.p, e.y)
    for loss, second in (
        (DiceCELoss(class_weights=weights), np.mean(w * -np.log(p))),
        (DiceFocalLoss(3.0, class_weights=weights), np.mean(w * (1 - p) ** 3 * -np.log(p))),
    ):
        assert float(loss(e.logits, e.labels)) == pytest.approx(dice + second, rel=1e-5)
        assert not loss.state_dict()


@pytest.mark.parametrize("include_background", [True, False])
def test_dice_ce_equals_monai(include_background: bool) -> None:
    logits, labels = example((3, 7, 12))[:2]
    monai = MonaiDiceCELoss(include_background, softmax=True, to_onehot_y=True)(logits, labels[:, None])
    torch.testing.assert_close(DiceCELoss(include_background)(logits, labels), monai)


@pytest.mark.parametrize(
    "loss", [DiceCELoss(), DiceFocalLoss(), DiceTopKLoss(100)], ids=["dice_ce", "dice_focal", "dice_topk"]
)
def test_a_hopeless_pixel_is_still_pushed_with_full_strength(loss: SegmentationLoss) -> None:
    logits = torch.tensor([60.0, 0.0]).view(1, 2, 1, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits, torch.ones(1, 1, 1, dtype=torch.long)), logits)
    torch.testing.assert_close(gradient.flatten(), torch.tensor([1.0, -1.0]))


def test_focal_term_of_a_root_has_a_finite_gradient_at_a_perfect_prediction() -> None:
    labels = example((2, 7, 12)).labels
    logits = perfect_logits(labels, 4).requires_grad_()
    (gradient,) = torch.autograd.grad(DiceFocalLoss(gamma=0.5)(logits, labels), logits)
    assert gradient.isfinite().all()


def test_exponential_logarithmic_of_a_class_that_is_nowhere_in_a_large_image() -> None:
    logits = torch.zeros(1, 2, 1024, 1024)
    logits[:, 1] = 14.0
    p = 1 / (1 + np.exp([14.0, -14.0]))
    n = 1024**2
    dice = np.array([(2 * n * p[0] + 1) / (n * p[0] + n + 1), 1 / (n * p[1] + 1)])
    loss = ExponentialLogarithmicLoss(gamma=1.0, ce_weight=1e-30)
    value = float(loss(logits, torch.zeros(1, 1024, 1024, dtype=torch.uint8)))
    assert value == pytest.approx(0.8 * -np.log(dice).mean(), rel=1e-5)


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0, 3.0]])
@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.0])
@every_shape
def test_exponential_logarithmic(shape: tuple[int, ...], gamma: float, weights: list[float] | None) -> None:
    e = example(shape)
    w = np.ones(4) if weights is None else np.array(weights)
    dice = ((-np.log(dice_scores(e, smooth=1))) ** gamma).mean()
    ce = (w[e.labels.numpy()] * (-np.log(true_class(e.p, e.y))) ** gamma).mean()
    value = ExponentialLogarithmicLoss(gamma, class_weights=weights)(e.logits, e.labels)
    assert float(value) == pytest.approx(0.8 * dice + 0.2 * ce, rel=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DiceFocalLoss(gamma=-1), r"gamma: expected a focusing exponent in \[0, inf\), got -1"),
        (lambda: DiceCELoss(class_weights=[1, -1]), "finite weights >= 0"),
        (lambda: DiceTopKLoss(percent=0), "percent: expected the share"),
        (
            lambda: ExponentialLogarithmicLoss(gamma=0),
            "to be positive and finite, got gamma=0",
        ),
        (lambda: ExponentialLogarithmicLoss(gamma=float("inf")), "got gamma=inf"),
        (lambda: ExponentialLogarithmicLoss(dice_weight=0), "dice_weight=0"),
        (
            lambda: ExponentialLogarithmicLoss(class_weights=[1, 2])(
                torch.zeros(1, 3, 4, 5), torch.zeros(1, 4, 5, dtype=torch.long)
            ),
            r"expected 3 values \(one per class\), got 2",
        ),
    ],
)
def test_wrong_input_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
