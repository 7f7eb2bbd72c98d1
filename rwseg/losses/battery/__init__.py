"""Properties that a loss needs to train well: what `rwseg check-loss` and the tests of rwseg's own try.

Functions of a loss, each on small made-up images, that say one thing of it: a `Finding`. What they need of a
loss is its call alone. The picture of wrong signs is `rwseg.report.figures.wrong_signs`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rwseg.core.own_code import OwnCodeError, calling_own_code
from rwseg.losses.base import SegmentationLoss
from rwseg.losses.battery.execution import compiled, half, orientation, volumes
from rwseg.losses.battery.finding import Finding, Verdict
from rwseg.losses.battery.gradients import absent, differences, direction, gradient
from rwseg.losses.battery.scenes import SHAPES, make
from rwseg.losses.battery.softmax import softmax_once
from rwseg.losses.battery.values import batch, finite, inputs, minimum, neighbours, repeatable
from rwseg.losses.foreign import as_segmentation_loss

__all__ = ["CALLED", "ROWS", "SHAPES", "Finding", "Verdict", "check_loss", "check_row"]

ROWS: Mapping[str, Callable[..., Finding]] = {
    "finite": finite,
    "gradient": gradient,
    "minimum": minimum,
    "one pixel": neighbours,
    "direction": direction,
    "absent class": absent,
    "softmax": softmax_once,
    "batch": batch,
    "inputs": inputs,
    "repeatable": repeatable,
    "differences": differences,
    "not square": orientation,
    "volumes": volumes,
    "half precision": half,
    "torch.compile": compiled,
}
"""Each takes a loss of ours or a `ForeignLoss` and the number of classes, and says one thing of it."""

CALLED = "called"
"""The row before all others: that it can be called at all."""


def check_loss(loss: Callable[..., Any], classes: int = 4) -> Iterator[Finding]:
    """Yield a finding per row for any callable `(logits, labels) -> scalar`; one if it cannot be called.

    Raises `ValueError` for fewer than two classes and for what is no loss.
    """
    if classes < 2:
        raise ValueError(f"classes: expected at least 2 (background counts), got {classes}")
    module = as_segmentation_loss(loss)
    logits, labels = make(SHAPES["2d"], classes)
    try:
        with calling_own_code():
            module(logits.requires_grad_(), labels)
    except OwnCodeError as error:
        called = f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} of int64"
        advice = f"it is called with {called}, and returns a scalar that has a gradient"
        yield Finding(CALLED, "fails", str(error), advice)
        return
    yield Finding(CALLED, "pass", "a scalar with a gradient")
    for row in ROWS:
        yield check_row(row, module, classes)


def check_row(row: str, loss: SegmentationLoss, classes: int = 4) -> Finding:
    """Return what one row says; a loss that fails in it is told."""
    try:
        with calling_own_code():
            return ROWS[row](loss, classes)
    except OwnCodeError as error:
        return Finding(row, "fails", str(error), "what is tried here is met in a training")
