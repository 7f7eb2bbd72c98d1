"""Who gets the gradient of a loss on labels of one's own, class by class, and what annealing changes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from rwseg.losses.theory.shares import ClassShares, annealed_shares, class_shares
from rwseg.report.figures.theory_pixels import Stage

# Okabe and Ito's colours, told apart by colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
CURVE = tuple(np.linspace(0, 1, 21).tolist())

Loss = Callable[[Tensor, Tensor], Tensor]


class Share(NamedTuple):
    """A row of the table: a loss, a prediction, a class, and its two shares."""

    loss: str
    prediction: str
    class_name: str
    wrong_sign: float
    gradient: float


def shares_of(
    labels: Tensor, names: Sequence[str], losses: Mapping[str, Loss], stages: Sequence[Stage]
) -> list[Share]:
    """Return the shares of each class of a slice `(H, W)` for every loss at every prediction."""
    return [
        Share(loss, stage.title, name, float(wrong), float(gradient))
        for loss, call in losses.items()
        for stage in stages
        for name, wrong, gradient in zip(names, *_shares(call, stage, labels), strict=True)
    ]


def _shares(loss: Loss, stage: Stage, labels: Tensor) -> ClassShares:
    logits = stage.softmax[None].log().requires_grad_()
    (slope,) = torch.autograd.grad(loss(logits, labels[None]), logits)
    return class_shares(slope, labels[None])


def shares_figure(shares: Sequence[Share], labels: Tensor, title: str) -> Figure:
    """Draw a row per prediction: wrong signs per class, and its part of the gradient beside its pixels.

    Last, at the uniform prediction, the same of the boundary map that is annealed to the RRW map, in pixels.
    """
    losses = list(dict.fromkeys(share.loss for share in shares))
    predictions = list(dict.fromkeys(share.prediction for share in shares))
    names = list(dict.fromkeys(share.class_name for share in shares))
    pixels = torch.bincount(labels.flatten().long(), minlength=len(names)) / labels.numel()
    figure = Figure(figsize=(11, 2.4 * (len(predictions) + 1) + 0.9), layout="constrained")
    panels = figure.subplots(len(predictions) + 1, 2, squeeze=False)
    for prediction, (left, right) in zip(predictions, panels, strict=False):
        own = [share for share in shares if share.prediction == prediction]
        _bars(left, names, losses, {(s.loss, s.class_name): s.wrong_sign for s in own})
        _bars(right, names, losses, {(s.loss, s.class_name): s.gradient for s in own})
        left.set_title(f"{prediction}: pixels with a wrong sign", fontsize=9)
        right.set_title(f"{prediction}: part of the gradient (line: of the pixels)", fontsize=9)
        for k, share in enumerate(pixels.tolist()):
            right.hlines(share, k - 0.45, k + 0.45, colors="black", linewidth=1)
    _anneal_curves(panels[-1, 0], panels[-1, 1], labels, len(names))
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", fontsize=9)
    figure.suptitle(title, fontsize=10, x=0.005, horizontalalignment="left")
    return figure


def _bars(
    axes: Axes, names: Sequence[str], losses: Sequence[str], values: Mapping[tuple[str, str], float]
) -> None:
    width = 0.8 / len(losses)
    for number, loss in enumerate(losses):
        places = np.arange(len(names)) - 0.4 + (number + 0.5) * width
        heights = [values[loss, name] for name in names]
        axes.bar(places, heights, width, color=COLOURS[number % len(COLOURS)], label=loss)
    axes.set_xticks(range(len(names)), names, fontsize=8)
    _share_axis(axes)


def _anneal_curves(left: Axes, right: Axes, labels: Tensor, classes: int) -> None:
    found = list(annealed_shares(labels[None], classes, CURVE))
    t = [one.t for one in found]
    foreground: dict[str, Any] = {"color": COLOURS[1], "linestyle": "--"}
    left.plot(t, [one.wrong for one in found], color=COLOURS[0], label="all pixels")
    left.plot(t, [one.wrong_foreground for one in found], label="foreground", **foreground)
    left.legend(fontsize=8)
    left.set_title("[boundary, {anneal: t}], uniform: pixels with a wrong sign", fontsize=9)
    right.plot(t, [one.foreground_gradient for one in found], **foreground)
    right.set_title("[boundary, {anneal: t}], uniform: the foreground's part of the gradient", fontsize=9)
    for axes in (left, right):
        axes.set_xlabel("t: 0 boundary map, 1 RRW map", fontsize=8)
        _share_axis(axes)


def _share_axis(axes: Axes) -> None:
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.tick_params(labelsize=8)
