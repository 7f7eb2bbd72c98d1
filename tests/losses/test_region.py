"""Overlap losses against their formulas in NumPy, and against MONAI where the code is ours."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from monai.losses.dice import DiceLoss as MonaiDiceLoss
from monai.losses.dice import GeneralizedWassersteinDiceLoss as MonaiWassersteinDiceLoss
from references import SHAPES, Array, Example, counts, example, one_hot, softmax

from rwseg.losses import (
    AsymmetricSimilarityLoss,
    DiceLoss,
    FocalTverskyLoss,
    GeneralizedDiceLoss,
    GeneralizedWassersteinDiceLoss,
    IoULoss,
    LovaszSoftmaxLoss,
    PenaltyGeneralizedDiceLoss,
    SegmentationLoss,
    SensitivitySpecificityLoss,
    TverskyLoss,
    perfect_logits,
)

every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def ratio(e: Example, alpha: float, beta: float, smooth: float = 1e-5) -> Array:
    tp, fp, fn = counts(e.p, e.y)
    result: Array = (tp + smooth) / (tp + alpha * fp + beta * fn + smooth)
    return result


def dice(e: Example) -> Array:
    tp, fp, fn = counts(e.p, e.y)
    result: Array = 1 - 2 * tp / (2 * tp + fp + fn + 1e-6)
    return result


def sensitivity_specificity(e: Example, w: float = 0.05) -> Array:
    pixels = tuple(range(2, e.p.ndim))
    error = (e.y - e.p) ** 2
    inside = (error * e.y).sum(pixels) / np.maximum(e.y.sum(pixels), 1)
    outside = (error * (1 - e.y)).sum(pixels) / np.maximum((1 - e.y).sum(pixels), 1)
    result: Array = w * inside + (1 - w) * outside
    return result


PER_CLASS: dict[str, tuple[type, Callable[[Example], Array]]] = {
    "dice": (DiceLoss, dice),
    "iou": (IoULoss, lambda e: 1 - ratio(e, 1, 1, 0.5e-5)),
    "tversky": (TverskyLoss, lambda e: 1 - ratio(e, 0.3, 0.7)),
    "focal_tversky": (FocalTverskyLoss, lambda e: (1 - ratio(e, 0.3, 0.7)) ** 0.75),
    "asymmetric": (AsymmetricSimilarityLoss, lambda e: 1 - ratio(e, 1 / 3.25, 2.25 / 3.25)),
    "sensitivity_specificity": (SensitivitySpecificityLoss, sensitivity_specificity),
}
every_class_wise = pytest.mark.parametrize("name", PER_CLASS)


@every_class_wise
@every_shape
def test_mean_over_classes_equals_the_formula(name: str, shape: tuple[int, ...]) -> None:
    loss, formula = PER_CLASS[name]
    e = example(shape)
    assert float(loss()(e.logits, e.labels)) == pytest.approx(formula(e).mean(), rel=1e-4)


@every_class_wise
def test_background_and_class_weights(name: str) -> None:
    loss, formula = PER_CLASS[name]
    e = example((3, 7, 12))
    values = formula(e)
    foreground = loss(include_background=False)(e.logits, e.labels)
    assert float(foreground) == pytest.approx(values[:, 1:].mean(), rel=1e-4)
    weighted = loss(class_weights=[1, 2, 0, 4])(e.logits, e.labels)
    assert float(weighted) == pytest.approx((values @ [1, 2, 0, 4]).mean() / 7, rel=1e-4)
    both = loss(include_background=False, class_weights=[2, 0, 4])(e.logits, e.labels)
    assert float(both) == pytest.approx((values[:, 1:] @ [2, 0, 4]).mean() / 6, rel=1e-4)


def generalized_dice(e: Example) -> Array:
    """Per item, absent classes weighing as much as the smallest one."""
    tp, fp, fn = counts(e.p, e.y)
    size = e.y.sum(tuple(range(2, e.y.ndim)))
    w = 1 / np.where(size > 0, size, np.where(size > 0, size, np.inf).min(1, keepdims=True)) ** 2
    result: Array = 1 - 2 * (w * tp).sum(1) / (w * (2 * tp + fp + fn)).sum(1)
    return result


@every_shape
def test_generalized_dice_and_its_penalty_equal_their_formulas(shape: tuple[int, ...]) -> None:
    e = example(shape)
    gd = generalized_dice(e)
    assert float(GeneralizedDiceLoss()(e.logits, e.labels)) == pytest.approx(gd.mean(), rel=1e-4)
    penalty = PenaltyGeneralizedDiceLoss()(e.logits, e.labels)
    assert float(penalty) == pytest.approx((gd / (1 + 2.5 * (1 - gd))).mean(), rel=1e-4)
    none = PenaltyGeneralizedDiceLoss(k=0)(e.logits, e.labels)
    torch.testing.assert_close(none, GeneralizedDiceLoss()(e.logits, e.labels))
    foreground = e._replace(p=e.p[:, 1:], y=e.y[:, 1:])
    value = GeneralizedDiceLoss(include_background=False)(e.logits, e.labels)
    assert float(value) == pytest.approx(generalized_dice(foreground).mean(), rel=1e-4)


def test_an_absent_class_does_not_decide_generalized_dice() -> None:
    labels = torch.zeros(1, 6, 9, dtype=torch.long)
    labels[0, 2:4, 3:6] = 1
    logits = 0.1 * perfect_logits(labels, 3)  # all but right: class 2 gets a hundred-thousandth per pixel
    p, y = softmax(logits), one_hot(labels, 3)
    w = 1 / (y.sum((0, 2, 3)) + 1e-10) ** 2
    kervadec = 1 - 2 * (w * (p * y).sum((0, 2, 3))).sum() / (w * (p + y).sum((0, 2, 3))).sum()
    assert float(GeneralizedDiceLoss()(logits, labels)) < 1e-4
    assert kervadec > 0.99


def test_smoothing_does_not_drown_generalized_dice_in_a_large_volume() -> None:
    labels = torch.zeros(1, 64, 64, 64, dtype=torch.uint8)
    value = GeneralizedDiceLoss()(torch.zeros(1, 4, 64, 64, 64), labels)
    assert float(value) == pytest.approx(0.75, rel=1e-4)  # MONAI's own 1e-5 makes this 0.32


def test_generalized_dice_of_the_foreground_of_an_empty_image_is_finite() -> None:
    logits = torch.randn(1, 4, 6, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
    value = GeneralizedDiceLoss(include_background=False)(logits, torch.zeros(1, 6, 9, dtype=torch.long))
    assert value.isfinite()
    assert torch.autograd.grad(value, logits)[0].isfinite().all()


def test_special_cases_of_tversky_are_dice_and_iou() -> None:
    logits, labels = example((2, 7, 12))[:2]
    monai = MonaiDiceLoss(softmax=True, to_onehot_y=True)(logits, labels[:, None])
    torch.testing.assert_close(TverskyLoss(0.5, 0.5)(logits, labels), monai, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(TverskyLoss(1, 1)(logits, labels), IoULoss()(logits, labels))
    torch.testing.assert_close(
        AsymmetricSimilarityLoss(beta=1)(logits, labels), TverskyLoss(0.5, 0.5)(logits, labels)
    )
    torch.testing.assert_close(
        FocalTverskyLoss(gamma=1)(logits, labels), TverskyLoss()(logits, labels), rtol=1e-5, atol=1e-6
    )


def test_dice_of_a_perfect_prediction_is_the_share_of_absent_classes() -> None:
    labels = torch.zeros(1, 6, 9, dtype=torch.long)
    assert float(DiceLoss()(perfect_logits(labels, 4), labels)) == pytest.approx(0.75, abs=1e-6)


def jaccard_loss(wrong: set[int], members: set[int]) -> float:
    """Jaccard loss of a class where exactly the pixels `wrong` are predicted wrongly."""
    return len(wrong) / len(wrong | members)


def lovasz(errors: Array, members: set[int]) -> float:
    """The Lovász extension by its definition: sorted errors times the gains of the set function."""
    wrong: set[int] = set()
    total = 0.0
    for i in np.argsort(-errors):
        grown = wrong | {int(i)}
        total += errors[i] * (jaccard_loss(grown, members) - (jaccard_loss(wrong, members) if wrong else 0))
        wrong = grown
    return total


@every_shape
def test_lovasz_softmax_equals_its_definition(shape: tuple[int, ...]) -> None:
    e = example(shape)
    items = []
    for p, y in zip(e.p.reshape(*e.p.shape[:2], -1), e.y.reshape(*e.y.shape[:2], -1), strict=True):
        values = [
            lovasz(np.abs(y_k - p_k), set(np.flatnonzero(y_k)))
            for p_k, y_k in zip(p, y, strict=True)
            if y_k.any()
        ]
        items.append(np.mean(values))
    assert float(LovaszSoftmaxLoss()(e.logits, e.labels)) == pytest.approx(np.mean(items), rel=1e-5)


def test_lovasz_softmax_of_a_hard_prediction_is_its_jaccard_loss() -> None:
    labels, predicted = (example((3, 7, 12), present=3, seed=seed).labels for seed in (1, 2))
    y, p = one_hot(labels, 4), one_hot(predicted, 4)
    tp, fp, fn = counts(p, y)
    expected = (1 - tp / np.maximum(tp + fp + fn, 1))[:, :3].mean()
    assert float(LovaszSoftmaxLoss()(perfect_logits(predicted, 4), labels)) == pytest.approx(
        expected, rel=1e-6
    )


MATRIX = [[0, 1, 1, 2], [1, 0, 0.5, 1], [1, 0.5, 0, 0.25], [2, 1, 0.25, 0]]


@pytest.mark.parametrize("distances", [None, MATRIX], ids=["equal", "given"])
@every_shape
def test_wasserstein_dice_equals_formula_and_monai(shape: tuple[int, ...], distances: list | None) -> None:
    e = example(shape)
    m = 1 - np.eye(4) if distances is None else np.array(distances) / 2
    labels = e.labels.numpy()
    w = sum(m[labels, k] * e.p[:, k] for k in range(4)).reshape(len(labels), -1)
    true = ((1 - w) * (labels.reshape(len(labels), -1) > 0)).sum(1)
    value = GeneralizedWassersteinDiceLoss(distances)(e.logits, e.labels)
    assert float(value) == pytest.approx((1 - 2 * true / (2 * true + w.sum(1))).mean(), rel=1e-4)
    monai = MonaiWassersteinDiceLoss(m.astype(np.float32))(e.logits, e.labels)
    torch.testing.assert_close(value, monai)


LOGITS, LABELS = example((2, 7, 12))[:2]


def call(loss: SegmentationLoss) -> object:
    return loss(LOGITS, LABELS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TverskyLoss(-0.1, 0.7), "alpha >= 0 and beta >= 0, .*, got alpha=-0.1, beta=0.7"),
        (lambda: TverskyLoss(0.3, float("nan")), "beta=nan"),
        (lambda: TverskyLoss(0, 0), "not both 0, got alpha=0, beta=0"),
        (lambda: FocalTverskyLoss(beta=-1), "beta=-1"),
        (lambda: FocalTverskyLoss(gamma=0.75), "a root of a finite degree of 1 or more, got 0.75"),
        (lambda: FocalTverskyLoss(gamma=float("inf")), "got inf"),
        (lambda: PenaltyGeneralizedDiceLoss(k=-1), r"k: expected a penalty in \[0, inf\), got -1"),
        (lambda: PenaltyGeneralizedDiceLoss(k=float("nan")), "got nan"),
        (lambda: AsymmetricSimilarityLoss(beta=-1.5), "beta: expected the weight of recall, .*, got -1.5"),
        (lambda: AsymmetricSimilarityLoss(beta=float("inf")), "positive and finite, got inf"),
        (lambda: SensitivitySpecificityLoss(w=1), r"weight of the sensitivity, in \(0, 1\), got 1"),
        (lambda: IoULoss(class_weights=[0, 0, 0, 0]), "not all of them 0"),
        (
            lambda: call(DiceLoss(include_background=False, class_weights=[1] * 4)),
            r"expected 3 values \(one per class without the background\), got 4",
        ),
        (lambda: call(TverskyLoss(class_weights=[1] * 3)), r"expected 4 values \(one per class\), got 3"),
        (lambda: GeneralizedWassersteinDiceLoss([[0, 1], [1]]), "expected a square matrix"),
        (lambda: GeneralizedWassersteinDiceLoss([[0, -1], [1, 0]]), "distances >= 0"),
        (lambda: GeneralizedWassersteinDiceLoss([[1, 1], [1, 0]]), "0 on the diagonal"),
        (lambda: GeneralizedWassersteinDiceLoss([[0, 0], [0, 0]]), "not everywhere"),
        (lambda: call(GeneralizedWassersteinDiceLoss([[0, 1], [1, 0]])), "expected a 4 x 4 matrix"),
    ],
)
def test_wrong_input_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
