"""A loss on labels of one's own: the weights that it gives each class, and where it pushes pixels."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from rwseg.losses.theory.relative_weights import relative_weights
from rwseg.losses.theory.signs import wrong_sign_pixels
from rwseg.report.figures.theory_pixels import Stage

PERCENTILE = 99.0
MOST_CLASSES = 4
"""Panels of weights in a row; of more classes, those with the most pixels."""

WEIGHTS = matplotlib.colormaps["cividis"].with_extremes(under="#D55E00")
PUSHES = matplotlib.colormaps["PuOr"]

LEGEND = (
    "Weight: what a class costs beside the true one (orange: less than that). Gradient: purple pushes the "
    "true class up, orange down; hatched: a wrong sign."
)

Loss = Callable[[Tensor, Tensor], Tensor]


def labels_figure(
    labels: Tensor,
    names: Sequence[str],
    losses: Mapping[str, Loss],
    stages: Sequence[Stage],
    title: str,
    aspect: float = 1.0,
) -> Figure:
    """Draw, a row per loss, the weight of each class beside the true one, then the gradient at each stage.

    `labels` is an integer slice `(H, W)` of the classes `names`; the softmax `(K, H, W)` of a stage is a
    prediction, and weights are those of the last stage but one. `aspect` is the pixel's height over its
    width. The gradient is drawn at each pixel's true class, and hatched where a sign is wrong.
    """
    shown = sorted(
        np.argsort([-int((labels == k).sum()) for k in range(len(names))], kind="stable")[:MOST_CLASSES]
    )
    columns, height = 1 + len(shown) + len(stages), 2.1 * aspect * labels.shape[0] / labels.shape[1]
    figure = Figure(figsize=(2.2 * columns, len(losses) * (height + 0.5) + 0.9), layout="constrained")
    panels = figure.subplots(len(losses), columns, squeeze=False)
    for axes in panels.flat:
        axes.set_xticks([])
        axes.set_yticks([])
    _draw_labels(panels[0, 0], labels, names, aspect)
    for axes in panels[1:, 0]:
        axes.set_axis_off()
    for (name, loss), row in zip(losses.items(), panels, strict=True):
        row[1].set_ylabel(name, fontsize=9, fontweight="bold")
        _draw_weights(
            row[1 : 1 + len(shown)], loss, stages[-2], labels, [(int(k), names[k]) for k in shown], aspect
        )
        for axes, stage in zip(row[1 + len(shown) :], stages, strict=True):
            _draw_push(axes, loss, stage, labels, aspect)
    figure.supxlabel(LEGEND, fontsize=9)
    figure.suptitle(title, fontsize=10, x=0.005, horizontalalignment="left")
    return figure


def _draw_labels(axes: Axes, labels: Tensor, names: Sequence[str], aspect: float) -> None:
    colours = matplotlib.colormaps["cividis"](np.linspace(0, 1, len(names)))
    norm = BoundaryNorm(np.arange(len(names) + 1) - 0.5, len(names))
    image = axes.imshow(
        labels.numpy(), cmap=ListedColormap(list(colours)), norm=norm, interpolation="nearest"
    )
    axes.set_aspect(aspect)
    axes.set_title("labels", fontsize=9)
    bar = axes.figure.colorbar(image, ax=axes, location="bottom", shrink=0.9, ticks=range(len(names)))
    bar.ax.set_xticklabels(names, fontsize=7, rotation=30 if len(names) > 3 else 0)


def _draw_weights(
    row: Sequence[Axes],
    loss: Loss,
    stage: Stage,
    labels: Tensor,
    classes: Sequence[tuple[int, str]],
    aspect: float,
) -> None:
    """One scale for a row, from 0, the true class, to the 99th percentile; below 0 in orange."""
    weights = relative_weights(loss, stage.softmax[None], labels[None])[0].numpy()
    high = float(np.percentile(weights, PERCENTILE)) or 1.0
    for axes, (k, name) in zip(row, classes, strict=True):
        image = axes.imshow(weights[k], cmap=WEIGHTS, vmin=-1e-6 * high, vmax=high, interpolation="nearest")
        axes.set_aspect(aspect)
        axes.set_title(f"weight of {name}", fontsize=9)
    bar = row[0].figure.colorbar(image, ax=row[-1], location="right", shrink=0.8)
    bar.ax.tick_params(labelsize=7)


def _draw_push(axes: Axes, loss: Loss, stage: Stage, labels: Tensor, aspect: float) -> None:
    logits = stage.softmax[None].log().requires_grad_()
    (slope,) = torch.autograd.grad(loss(logits, labels[None]), logits)
    push = -slope.gather(1, labels[None, None])[0, 0].numpy()
    wrong = wrong_sign_pixels(slope, labels[None])[0].numpy()
    largest = float(np.percentile(np.abs(push), PERCENTILE)) or 1.0
    axes.imshow(push, cmap=PUSHES, vmin=-largest, vmax=largest, interpolation="nearest")
    if wrong.any():
        hatching: dict[str, Any] = {"levels": [0.5, 1.5], "colors": "none", "hatches": ["////"]}
        axes.contourf(wrong.astype(float), **hatching)
    axes.set_aspect(aspect)
    axes.set_title(f"{stage.title}\nwrong sign in {wrong.mean():.1%}", fontsize=9)
