"""Rows about a loss's gradient with respect to the logits."""

import math

import torch
from torch import Tensor

from rwseg.losses.base import SegmentationLoss
from rwseg.losses.battery.finding import Finding
from rwseg.losses.battery.scenes import SHAPES, Shape, called, fillings, make, predicting
from rwseg.losses.battery.values import predictions
from rwseg.losses.loss_gap import CERTAIN

CONFIDENCES = (1.0, 4.0, 12.0)
WEAK = 0.25
"""Share of the push on a present class below which that on an absent one is told."""


def gradient_of(loss: SegmentationLoss, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of the loss at the logits."""
    leaf = logits.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf, labels), leaf)
    return gradient


def gradient(loss: SegmentationLoss, classes: int, shape: Shape = SHAPES["2d"]) -> Finding:
    """A gradient of numbers everywhere, and not zero where the prediction is random."""
    for filling in fillings(classes):
        logits, labels = make(shape, classes, filling)
        for name, predicted in predictions(logits, labels, classes).items():
            slope = gradient_of(loss, predicted, labels)
            if not bool(slope.isfinite().all()):
                advice = "one such batch makes every weight NaN: avoid roots, logarithms and divisions at 0"
                return Finding("gradient", "fails", f"not finite for {name} in {called(filling)}", advice)
            if predicted is logits and not bool(slope.any()):
                advice = (
                    "such images teach nothing: a class that they lack must cost something where predicted"
                )
                return Finding("gradient", "fails", f"zero for {name} in {called(filling)}", advice)
    return Finding("gradient", "pass", "finite, and not zero, whatever the labels")


def differences(loss: SegmentationLoss, classes: int) -> Finding:
    """The gradient is that of the value, by finite differences in float64."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.randint(0, max(2, classes - 1), (2, 3, 5), generator=generator)
    labels[-1, :, 0] = 0
    logits = torch.randn(2, classes, 3, 5, generator=generator, dtype=torch.float64)
    try:
        value = loss(logits, labels)
    except (RuntimeError, TypeError) as error:
        return Finding("differences", "note", f"not tried, it takes no float64: {error}", "nothing to do")
    if value.dtype != torch.float64:
        return Finding("differences", "note", "not tried, it computes in float32", "nothing to do")
    slope = gradient_of(loss, logits, labels)
    step, worst = 1e-5, 0.0
    for _ in range(8):  # along random directions
        way = torch.randn(logits.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            measured = (loss(logits + step * way, labels) - loss(logits - step * way, labels)) / (2 * step)
        off = (measured - (slope * way).sum()).abs() / (slope.abs() * way.abs()).sum().clamp_min(1e-12)
        worst = max(worst, float(off))
    found = f"differs from finite differences by {worst:.1g} of its size"
    if worst <= 1e-4:
        return Finding("differences", "pass", found)
    advice = "a part of the formula is not differentiated (detach, argmax, round, a backward of one's own)"
    return Finding("differences", "note", found, f"{advice}: fine for weights that are meant to be constants")


def direction(loss: SegmentationLoss, classes: int, shape: Shape = SHAPES["2d"]) -> Finding:
    """Wrong predictions are pushed towards the true classes, in every item."""
    silent = []
    for filling in fillings(classes):
        _, labels = make(shape, classes, filling)
        for confidence in CONFIDENCES:
            wrong = predicting((labels + 1) % classes, classes, confidence)
            slopes = gradient_of(loss, wrong, labels).gather(1, labels[:, None]).flatten(1).sum(1)
            where = f"at a logit of {confidence:g} for the wrong class in {called(filling)}"
            if bool((slopes > 0).any()):
                advice = "training goes the wrong way: look at the signs"
                return Finding("direction", "fails", f"pushed away from the true class {where}", advice)
            if bool((slopes == 0).any()):
                silent.append(f"not pushed at all {where}")
    if silent:
        advice = "what is surely wrong at the start may stay so: add cross entropy, strategy=equal_ce"
        return Finding("direction", "note", silent[0], advice)
    return Finding("direction", "pass", "wrong predictions are pushed towards the true class in every item")


def absent(loss: SegmentationLoss, classes: int) -> Finding:
    """Where a class is predicted that an item lacks, pixels are pushed back to their own, as for others."""
    kind = classes - 1
    box = torch.zeros(1, *SHAPES["2d"][1:], dtype=torch.long)
    box[:, 1:4, 2:6] = min(1, kind - 1)  # of two classes there is no other
    where = "where a class is predicted that the item lacks"
    advice = (
        "structures stay in images that have none: let an absent class cost something where it is predicted "
        "(a smoothing of 1 above and below the bar of Dice), or add cross entropy, strategy=equal_ce"
    )
    for labels, place in ((0 * box, "in an image of background alone"), (box, "beside other classes")):
        push = _push(loss, labels, kind, classes)
        if not math.isfinite(push) or push <= 0:
            found = (
                "no gradient" if push == 0 else "pushed away from the true class" if push < 0 else "no number"
            )
            return Finding("absent class", "fails", f"{found} {where}, {place}", advice)
    share = 1.0 if kind == 1 else push / _push(loss, labels, 1, classes)
    if share < WEAK:
        found = f"pushed back {share:.0%} as hard {where} as for a class that it has"
        return Finding("absent class", "note", found, advice)
    return Finding("absent class", "pass", f"pushed back {where}")


def _push(loss: SegmentationLoss, labels: Tensor, kind: int, classes: int) -> float:
    """How hard a structure of class `kind`, predicted in the background, is pushed back to the background.

    No other class has a probability there, so that nothing but these two compete.
    """
    predicted = predicting(labels, classes, CERTAIN)
    predicted[..., 5:8, 8:12] = -CERTAIN
    predicted[:, 0, 5:8, 8:12] = 0
    predicted[:, kind, 5:8, 8:12] = 2
    return float(gradient_of(loss, predicted, labels)[:, kind, 5:8, 8:12].sum())
