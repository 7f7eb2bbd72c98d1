"""Rows about a loss's value: where it is finite, where it is lowest, what it depends on."""

import torch
from torch import Tensor

from rwseg.losses.base import SegmentationLoss
from rwseg.losses.battery.finding import Finding
from rwseg.losses.battery.scenes import SHAPES, Shape, called, fillings, make
from rwseg.losses.loss_gap import CERTAIN, CERTAINTIES, perfect_logits

TOLERANCE = 1e-5
"""Of the values that are compared: a hundred times float32's rounding."""


def predictions(logits: Tensor, labels: Tensor, classes: int) -> dict[str, Tensor]:
    """Predictions by what they are, from random ones to those that are surely right or surely wrong."""
    return {
        "a random prediction": logits,
        "equal logits": 0 * logits,
        "a random prediction, very sure": 40 * logits,
        "a right prediction, surely": perfect_logits(labels, classes),
        "a wrong prediction, surely": perfect_logits((labels + 1) % classes, classes),
    }


@torch.no_grad()
def finite(loss: SegmentationLoss, classes: int, shape: Shape = SHAPES["2d"]) -> Finding:
    """A scalar that is a number, whatever is predicted."""
    wrong = []
    for filling in fillings(classes):
        logits, labels = make(shape, classes, filling)
        for name, predicted in predictions(logits, labels, classes).items():
            value = loss(predicted, labels)
            if not bool(value.isfinite()):
                wrong.append(f"{float(value)} for {name} in {called(filling)}")
    advice = (
        "one such batch ends a training; torch.log_softmax instead of log(softmax), a clamp before a root, "
        "logarithm or division"
    )
    return _verdict("finite", wrong, "a number for every prediction", advice)


@torch.no_grad()
def minimum(loss: SegmentationLoss, classes: int, shape: Shape = SHAPES["2d"]) -> Finding:
    """Right predictions cost least. Of several certainties the cheapest counts; the value may be negative."""
    lower, equal, prices = [], [], []
    for filling in fillings(classes):
        logits, labels = make(shape, classes, filling)
        certain = loss(perfect_logits(labels, classes), labels)
        values = [loss(perfect_logits(labels, classes, sure), labels) for sure in CERTAINTIES]
        best = torch.stack([certain, *values]).min()
        others = predictions(logits, labels, classes)
        others |= {
            "a right prediction, hardly": perfect_logits(labels, classes, 0.01),
            "its opposite": -logits,
        }
        for name, predicted in others.items():
            value = loss(predicted, labels)
            near = TOLERANCE * max(1e-3, float(value.abs()), float(best.abs()))
            text = f"{float(value):.4g} for {name}, {float(best):.4g} for a right one, in {called(filling)}"
            if value < best - near:
                lower.append(text)
            elif value <= best and name != "a right prediction, surely":
                equal.append(text)
        if certain > best + TOLERANCE * max(1.0, float(best.abs())):
            sure = [CERTAIN, *CERTAINTIES][int(torch.stack([certain, *values]).argmin())]
            prices.append(f"{float(certain):.4g} for certainty, {float(best):.4g} at a logit of {sure:g}")
    if lower:
        advice = "training leads to wrong predictions: look at the signs (1 - overlap, -log p)"
        return _verdict("minimum", lower, "", advice)
    if equal:
        return Finding(
            "minimum", "note", equal[0], "such images teach nothing; with others in a batch that may do"
        )
    if prices:
        return Finding(
            "minimum", "note", prices[0], "certainty has a price, as with smoothed labels: may be meant"
        )
    return Finding("minimum", "pass", "right predictions cost least")


@torch.no_grad()
def neighbours(loss: SegmentationLoss, classes: int, shape: Shape = SHAPES["2d"]) -> Finding:
    """A perfect prediction with one pixel wrong costs more."""
    for filling in fillings(classes):
        _, labels = make(shape, classes, filling)
        perfect = perfect_logits(labels, classes)
        wrong = perfect.clone()
        wrong[0, :, 2, 3] = wrong[0, :, 2, 3].roll(1, 0)
        best, value = loss(perfect, labels), loss(wrong, labels)
        if value <= best:
            found = (
                f"{float(value):.6g} with one pixel wrong, {float(best):.6g} without, in {called(filling)}"
            )
            advice = "small structures may be cheaper to leave out than to find"
            return Finding("one pixel", "note", found, advice)
    return Finding("one pixel", "pass", "a single wrong pixel costs something")


@torch.no_grad()
def batch(loss: SegmentationLoss, classes: int, shape: Shape = SHAPES["2d"]) -> Finding:
    """The loss of a batch is the mean of its items' losses."""
    logits, labels = make(shape, classes)
    items = torch.stack([loss(x[None], y[None]) for x, y in zip(logits, labels, strict=True)])
    value, mean = loss(logits, labels), items.mean()
    near = 10 * TOLERANCE * float(items.abs().max())
    found = f"{float(value):.6g} for a batch, {float(mean):.6g} for the mean of its items"
    if bool((value - mean).abs() <= near):
        return Finding("batch", "pass", found)
    return Finding(
        "batch",
        "fails",
        found,
        "what an image teaches depends on its neighbours in the batch, and several processes train something "
        "else than one: take ratios per item, over the axes behind the classes, and the mean over items last",
    )


@torch.no_grad()
def repeatable(loss: SegmentationLoss, classes: int, shape: Shape = SHAPES["2d"]) -> Finding:
    """The same value for the same input."""
    logits, labels = make(shape, classes)
    first, second = loss(logits, labels), loss(logits, labels)
    found = f"{float(first):.6g}, then {float(second):.6g}, for the same input"
    if torch.equal(first, second):
        return Finding("repeatable", "pass", "the same value each time")
    return Finding(
        "repeatable", "note", found, "it draws at random or has a memory: a resumed run may differ"
    )


@torch.no_grad()
def inputs(loss: SegmentationLoss, classes: int, shape: Shape = SHAPES["2d"]) -> Finding:
    """Logits and labels are left as they are."""
    logits, labels = make(shape, classes)
    x, y = logits.clone(), labels.clone()
    loss(x, y)
    wrong = [name for name, a, b in (("logits", x, logits), ("labels", y, labels)) if not torch.equal(a, b)]
    found = [f"{' and '.join(wrong)} changed in place"] if wrong else []
    advice = "other terms and the metrics see the changed ones: work on a copy"
    return _verdict("inputs", found, "left as they are", advice)


def _verdict(row: str, faults: list[str], otherwise: str, advice: str) -> Finding:
    """Fails where there are faults, of which the first is told."""
    if not faults:
        return Finding(row, "pass", otherwise)
    more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
    return Finding(row, "fails", f"{faults[0]}{more}", advice)
