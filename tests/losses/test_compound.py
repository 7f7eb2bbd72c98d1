"""Compound losses against the sum of their terms in NumPy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from references import SHAPES, Array, Example, counts, example, true_class

from rwseg.losses import DiceCELoss, DiceFocalLoss, DiceTopKLoss, ExponentialLogarithmicLoss

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
        (lambda: DiceFocalLoss(gamma=-1), "gamma: expected a focusing exponent >= 0"),
        (lambda: DiceTopKLoss(percent=0), "percent: expected the share"),
        (
            lambda: ExponentialLogarithmicLoss(gamma=0),
            "to be positive, got gamma=0",
        ),
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
