"""Whether a loss applies softmax once, over the classes: seen by watching its tensor operations."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from rwseg.losses.base import SegmentationLoss
from rwseg.losses.battery.finding import Finding
from rwseg.losses.battery.scenes import SHAPES, Shape, make

SOFTMAXES = ("aten._softmax", "aten._log_softmax")
SQUASHING = (
    *SOFTMAXES,
    "aten.exp",
    "aten.logsumexp",
    "aten.sigmoid",
    "aten.log_sigmoid_forward",
    "aten.binary_cross_entropy_with_logits",
)
"""What turns logits into probabilities, or is a part of that."""


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the squashing operations whose input is a distribution over the classes already.

    Random logits are no distribution: numbers of [0, 1] that sum to 1 in every pixel are probabilities.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.classes = classes
        self.twice: list[str] = []
        self.axes: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).rpartition(".")[0]
        if name in SQUASHING and isinstance(args[0], Tensor):
            self._look(name, args)
        return func(*args, **(kwargs or {}))

    def _look(self, name: str, args: Any) -> None:
        given, short = args[0], name.removeprefix("aten.").strip("_")
        if any(_is_distribution(given, axis, self.classes) for axis in range(given.ndim)):
            self.twice.append(short)
        elif name in SOFTMAXES and given.ndim > 1 and given.shape[args[1]] != self.classes:
            length = given.shape[args[1]]
            self.axes.append(f"{short} over an axis of length {length}, of {self.classes} classes")


def softmax_once(loss: SegmentationLoss, classes: int, shape: Shape = SHAPES["2d"]) -> Finding:
    """Softmax over the axis of the classes, and not of probabilities again."""
    logits, labels = make(shape, classes)
    with Watch(classes) as watch:
        loss(logits, labels)
    if watch.twice:
        largest = float(torch.e / (torch.e + classes - 1))
        return Finding(
            "softmax",
            "fails",
            f"{watch.twice[0]} of what are probabilities already: none exceeds {largest:.2f} then",
            "right predictions cannot be told from unsure ones, and training stalls: give logits to "
            "cross_entropy and to losses with softmax=True, or leave softmax out before them",
        )
    if watch.axes:
        advice = "the classes are axis 1 of logits (B, K, *S): softmax(logits, dim=1)"
        return Finding("softmax", "fails", watch.axes[0], advice)
    return Finding("softmax", "pass", "probabilities are made once, over the classes")


def _is_distribution(given: Tensor, axis: int, classes: int) -> bool:
    if given.shape[axis] != classes or not given.is_floating_point():
        return False
    total = given.sum(axis)
    return bool((given >= 0).all() and torch.allclose(total, torch.ones_like(total), atol=1e-3))
