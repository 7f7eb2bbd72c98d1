"""Rows about how a loss can be called: volumes, shapes, half precision, torch.compile."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from rwseg.core.own_code import OwnCodeError, calling_own_code
from rwseg.losses.base import SegmentationLoss
from rwseg.losses.battery.finding import Finding
from rwseg.losses.battery.gradients import gradient_of
from rwseg.losses.battery.scenes import SHAPES, make
from rwseg.losses.foreign import ForeignLoss
from rwseg.losses.loss_gap import loss_at_perfect

HALF = {"float16": torch.float16, "bfloat16": torch.bfloat16}
FINE_WITHOUT = "fine without it: rwseg does not compile losses"

SHARE = 0.02
"""Of the distance to the minimum that half precision may change."""


def orientation(loss: SegmentationLoss, classes: int) -> Finding:
    """Images that are not square, and the same value for a transposed one."""
    logits, labels = make(SHAPES["2d"], classes)
    with torch.no_grad():
        value, turned = loss(logits, labels), loss(logits.mT.contiguous(), labels.mT.contiguous())
    found = f"{float(value):.6g} for 9 x 14 pixels, {float(turned):.6g} for the same transposed"
    if torch.allclose(value, turned, rtol=1e-4, atol=1e-6):
        return Finding("not square", "pass", found)
    advice = "height and width are not treated alike: fine if that is meant"
    return Finding("not square", "note", found, advice)


def volumes(loss: SegmentationLoss, classes: int) -> Finding:
    """Volumes `(B, K, D, H, W)`."""
    logits, labels = make(SHAPES["3d"], classes)
    try:
        with calling_own_code():
            fine = bool(gradient_of(loss, logits, labels).isfinite().all())
        found = "a gradient of numbers" if fine else "a gradient that is not finite"
    except OwnCodeError as error:
        fine, found = False, str(error)
    advice = "" if fine else "rwseg trains in 2D and does not need it"
    return Finding("volumes", "pass" if fine else "note", found, advice)


def half(loss: SegmentationLoss, classes: int) -> Finding:
    """What half precision would change: rwseg calls a loss with float32 and autocast off."""
    logits, labels = make((3, 40, 62), classes)
    raw = _raw(loss)
    wrong = []
    for name, kind in HALF.items():
        try:
            rounded = (2 * logits).to(kind)
            with torch.no_grad(), calling_own_code():
                best = loss_at_perfect(loss, labels, classes)
                exact, found = loss(rounded.float(), labels), raw(rounded, labels)
            share = float((found.float() - exact).abs() / (exact - best).abs().clamp_min(1e-12))
            wrong += [] if share <= SHARE else [f"{name} changes its distance to the best by {share:.0%}"]
        except OwnCodeError as error:
            wrong.append(f"{name}: {error}")
    if not wrong:
        return Finding("half precision", "pass", "the same value from logits in half precision")
    advice = "rwseg calls it in float32 with autocast off; in a loop of your own give it logits.float()"
    return Finding("half precision", "note", wrong[0], advice)


def compiled(loss: SegmentationLoss, classes: int) -> Finding:
    """`torch.compile` captures it in one graph, with the same value and gradient."""
    import torch._dynamo as dynamo  # seconds, for this row alone
    from torch._dynamo.utils import counters

    logits, labels = make(SHAPES["2d"], classes)
    raw = _raw(loss)
    dynamo.reset()
    counters.clear()
    try:
        with _quiet(), calling_own_code():
            leaf = logits.clone().requires_grad_()
            value = torch.compile(raw, backend="aot_eager")(leaf, labels)
            (slope,) = torch.autograd.grad(value, leaf)
    except OwnCodeError as error:
        return Finding("torch.compile", "note", str(error).splitlines()[0], FINE_WITHOUT)
    finally:
        breaks = sum(counters["graph_break"].values())
        dynamo.reset()
    same = torch.allclose(value, raw(logits, labels), rtol=1e-4, atol=1e-6)
    same = same and torch.allclose(slope, gradient_of(loss, logits, labels), rtol=1e-3, atol=1e-6)
    if same and not breaks:
        return Finding("torch.compile", "pass", "one graph, the same value and gradient")
    found = f"{breaks} graph breaks" if same else "another value or gradient"
    return Finding("torch.compile", "note", found, FINE_WITHOUT)


def _raw(loss: SegmentationLoss) -> Callable[..., Any]:
    """The loss as its author wrote it, unless it is given more than logits and labels."""
    plain = isinstance(loss, ForeignLoss) and loss.map_name is None and not loss.with_channel
    return loss.loss if isinstance(loss, ForeignLoss) and plain else loss


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("torch._dynamo")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTorch's own code
            yield
    finally:
        logger.setLevel(before)
