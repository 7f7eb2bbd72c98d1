"""Active contour and two-sided Hausdorff losses against NumPy, SciPy and MONAI."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from monai.losses.hausdorff_loss import HausdorffDTLoss as MonaiHausdorffDTLoss
from monai.losses.hausdorff_loss import LogHausdorffDTLoss as MonaiLogHausdorffDTLoss
from references import SHAPES, Array, Example, example, one_hot, signed_distances, softmax, true_class
from torch import Tensor

from rwseg.losses import (
    ActiveContourLoss,
    HausdorffDTLoss,
    LogHausdorffDTLoss,
    RegionWiseLoss,
    perfect_logits,
)
from rwseg.losses.classes import predicted_classes

every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def length(u: Array) -> float:
    """Mean length of the contours of a map `(B, *S)`, in pixels: forward differences, 0 at the end."""
    squared = np.zeros_like(u)
    for axis in range(1, u.ndim):
        end = np.take(u, [-1], axis)
        squared += np.diff(u, axis=axis, append=end) ** 2
    return float(np.sqrt(squared + 1e-8).mean())


@every_shape
def test_active_contour_of_two_classes_is_the_published_loss(shape: tuple[int, ...]) -> None:
    e = example(shape, classes=2, present=2)
    u, v = e.p[:, 1], e.y[:, 1]
    region_in, region_out = np.mean(u * (v - 1) ** 2), np.mean((1 - u) * v**2)
    for weight in (1.0, 2.5):
        expected = length(u) + weight * (region_in + region_out)
        value = ActiveContourLoss(region_weight=weight)(e.logits, e.labels)
        assert float(value) == pytest.approx(expected, rel=1e-5)


@every_shape
def test_active_contour_of_more_classes(shape: tuple[int, ...]) -> None:
    e = example(shape)
    contours = np.mean([length(e.p[:, k]) for k in range(4)])
    expected = contours + np.mean(1 - true_class(e.p, e.y))
    assert float(ActiveContourLoss()(e.logits, e.labels)) == pytest.approx(expected, rel=1e-5)
    region = 4 * float(RegionWiseLoss("active_contour")(e.logits, e.labels))
    assert float(ActiveContourLoss()(e.logits, e.labels)) == pytest.approx(contours + region, rel=1e-5)


def test_contour_of_a_square_has_its_length() -> None:
    labels = torch.zeros(1, 12, 17, dtype=torch.long)
    labels[0, 3:7, 5:11] = (
        1  # four edges of 4 + 6 + 4 + 6 differences, two of which share the far corner's pixel
    )
    value = ActiveContourLoss()(perfect_logits(labels, 2), labels)
    assert float(value) * 12 * 17 == pytest.approx(20 - 2 + np.sqrt(2) + (12 * 17 - 19) * 1e-4, abs=1e-3)


def test_active_contour_of_a_single_slice_volume_is_that_of_the_slice() -> None:
    logits, labels = example((2, 7, 12))[:2]
    loss = ActiveContourLoss()
    torch.testing.assert_close(loss(logits[:, :, None], labels[:, None]), loss(logits, labels))


def hausdorff(e: Example, alpha: float) -> Array:
    """Per item and class, distances by SciPy."""
    predicted = one_hot(torch.tensor(e.p.argmax(1)), e.p.shape[1])
    distances = np.abs(signed_distances(e.y)) ** alpha + np.abs(signed_distances(predicted)) ** alpha
    values: Array = ((e.p - e.y) ** 2 * distances).mean(axis=tuple(range(2, e.p.ndim)))
    return values


@pytest.mark.parametrize("alpha", [1.0, 2.0])
@every_shape
def test_hausdorff_losses_equal_their_formulas(shape: tuple[int, ...], alpha: float) -> None:
    e = example(shape)
    values = hausdorff(e, alpha)
    for loss, kept in (
        (HausdorffDTLoss(alpha), values),
        (HausdorffDTLoss(alpha, include_background=False), values[:, 1:]),
    ):
        assert float(loss(e.logits, e.labels)) == pytest.approx(kept.mean(), rel=1e-5)
    for log_loss, kept in (
        (LogHausdorffDTLoss(alpha), values),
        (LogHausdorffDTLoss(alpha, include_background=False), values[:, 1:]),
    ):
        expected = np.log(1 + kept.mean(1)).mean()
        assert float(log_loss(e.logits, e.labels)) == pytest.approx(expected, rel=1e-5)


def confident(e: Example) -> Tensor:
    """Logits whose largest softmax value is above 1/2 everywhere, where MONAI's masks are the argmax."""
    winners = torch.nn.functional.one_hot(e.logits.argmax(1), e.logits.shape[1]).movedim(-1, 1)
    logits = e.logits + 4 * winners
    assert (softmax(logits).max(1) > 0.5).all()
    return logits


@pytest.mark.parametrize("classes", [2, 4])
@every_shape
def test_hausdorff_losses_equal_monai(shape: tuple[int, ...], classes: int) -> None:
    e = example(shape, classes, present=min(classes, 3))
    logits, labels = confident(e), e.labels
    for include in (True, False):
        options = {"include_background": include, "to_onehot_y": True, "softmax": True}
        for item, truth in zip(logits.split(1), labels.split(1), strict=True):
            monai, monai_log = (
                loss(**options)(item, truth[:, None])
                for loss in (MonaiHausdorffDTLoss, MonaiLogHausdorffDTLoss)
            )
            torch.testing.assert_close(HausdorffDTLoss(include_background=include)(item, truth), monai)
            torch.testing.assert_close(LogHausdorffDTLoss(include_background=include)(item, truth), monai_log)


def test_predicted_classes_are_the_argmax() -> None:
    p = torch.randint(0, 3, (2, 5, 7, 12), generator=torch.Generator().manual_seed(0)).float()  # full of ties
    assert torch.equal(predicted_classes(p).long(), p.argmax(1))
    p = p.movedim(1, -1).contiguous().movedim(-1, 1)  # channels last
    assert torch.equal(predicted_classes(p).long(), p.argmax(1))


def test_distances_take_no_part_in_the_gradient() -> None:
    e = example((2, 7, 12))
    logits = e.logits.requires_grad_()
    predicted = one_hot(e.logits.detach().argmax(1), 4)
    fixed = torch.tensor(signed_distances(e.y) ** 2 + signed_distances(predicted) ** 2)
    expected = ((torch.softmax(logits, 1) - torch.tensor(e.y)) ** 2 * fixed).mean()
    wanted, got = (
        torch.autograd.grad(value, logits)[0] for value in (expected, HausdorffDTLoss()(logits, e.labels))
    )
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ActiveContourLoss(region_weight=0),
            "expected a positive finite weight, got 0",
        ),
        (lambda: ActiveContourLoss(region_weight=float("inf")), "got inf"),
        (lambda: HausdorffDTLoss(alpha=float("inf")), "got inf"),
        (lambda: HausdorffDTLoss(alpha=0), "alpha: expected a positive exponent of the distance, got 0"),
        (lambda: LogHausdorffDTLoss(alpha=-2), "got -2"),
        (
            lambda: HausdorffDTLoss()(torch.zeros(1, 3, 4, 5), torch.full((1, 4, 5), 3)),
            r"values in \[0, 3\)",
        ),
    ],
)
def test_wrong_input_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
