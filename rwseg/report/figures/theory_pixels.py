"""Figure 3 of the region-wise paper: negative gradient components in every pixel of a slice."""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from rwseg.losses.theory.gradients import region_wise_gradient
from rwseg.losses.theory.signs import map_wrong_sign_pixels, negative_components
from rwseg.maps import boundary_map, rrw_map

COUNT_COLOURS = ("#BBBBBB", "#E8F1FA", "#F0A030", "#B0306A", "#3B0F4F")
"""No negative component, one (right), two, three, more: the more, the darker."""


class Stage(NamedTuple):
    """A prediction to draw: what it is called, and its softmax `(K, H, W)`."""

    title: str
    softmax: Tensor


def negatives_figure(
    labels: Tensor, stages: Sequence[Stage], classes: Sequence[str], title: str, aspect: float = 1.0
) -> Figure:
    """Draw how many components of each pixel's gradient are negative, as the prediction gets better.

    `labels` is an integer slice `(H, W)`, `aspect` its pixel's height over its width in mm. First row: the
    boundary map of the labels; second row: their RRW map, with the same predictions. Raises `ValueError`
    for a softmax that does not fit labels and classes.
    """
    shape = (len(classes), *labels.shape)
    for stage in stages:
        if tuple(stage.softmax.shape) != shape:
            raise ValueError(
                f"softmax of '{stage.title}': expected shape {shape} for the labels and classes given, "
                f"got {tuple(stage.softmax.shape)}"
            )
    columns, height = len(stages) + 1, 2.9 * aspect * shape[1] / shape[2]
    figure = Figure(figsize=(2.9 * columns, 2 * (height + 0.45) + 0.9), layout="constrained")
    panels = figure.subplots(2, columns)
    builders = {"RW-Boundary map": boundary_map, "RRW map": rrw_map}
    for (name, build), row in zip(builders.items(), panels, strict=True):
        region_map = build(labels[None], len(classes), spacing=(aspect, 1.0))
        for axes, stage in zip(row[1:], stages, strict=True):
            _draw_counts(axes, f"{name}: {stage.title}", stage.softmax, region_map, labels)
            axes.set_aspect(aspect)
    _draw_labels(panels[:, 0], labels, classes, aspect)
    question = "How many components of each pixel's gradient are negative? One, the true class's, is right."
    lines = [textwrap.fill(line, width=32 * columns) for line in (question, title)]
    figure.suptitle("\n".join(lines), fontsize=11)
    figure.legend(handles=_count_legend(len(classes)), loc="outside lower center", ncols=5, fontsize=9)
    return figure


def _draw_counts(axes: Axes, title: str, softmax: Tensor, region_map: Tensor, labels: Tensor) -> None:
    """Counts and class borders, for a softmax `(K, H, W)` and a map `(1, K, H, W)`."""
    batch = softmax[None].to(region_map.dtype)
    wrong = map_wrong_sign_pixels(batch, region_map, labels[None]).float().mean()
    counts = negative_components(region_wise_gradient(batch, region_map, dim=1)[0], dim=0)
    axes.imshow(
        counts.clamp(max=len(COUNT_COLOURS) - 1).numpy(),
        cmap=ListedColormap(list(COUNT_COLOURS)),
        norm=BoundaryNorm(np.arange(len(COUNT_COLOURS) + 1) - 0.5, len(COUNT_COLOURS)),
        interpolation="nearest",
    )
    for k in range(1, len(softmax)):
        mask = (labels == k).numpy()
        if mask.any() and not mask.all():
            axes.contour(mask, levels=[0.5], colors="black", linewidths=0.6)
    axes.set_axis_off()
    axes.set_title(f"{title}\nwrong sign in {float(wrong):.1%} of pixels", fontsize=9)


def _draw_labels(column: Sequence[Axes], labels: Tensor, classes: Sequence[str], aspect: float) -> None:
    """The labels in the upper row, their legend in the lower."""
    colours = matplotlib.colormaps["cividis"](np.linspace(0, 1, len(classes)))
    column[0].imshow(
        labels.numpy(),
        cmap=ListedColormap(list(colours)),
        norm=BoundaryNorm(np.arange(len(classes) + 1) - 0.5, len(classes)),
        aspect=aspect,
        interpolation="nearest",
    )
    column[0].set_title("labels", fontsize=9)
    names = [Patch(facecolor=colour, label=name) for colour, name in zip(colours, classes, strict=True)]
    column[1].legend(handles=names, loc="upper center", title="labels", fontsize=9)
    for axes in column:
        axes.set_axis_off()


def _count_legend(num_classes: int) -> list[Patch]:
    most = len(COUNT_COLOURS) - 1
    names = ["0: no gradient", "1: right", *(f"{count}: wrong" for count in range(2, num_classes))]
    if num_classes > most:
        names = [*names[:most], f"{most} or more: wrong"]
    swatches = zip(COUNT_COLOURS, names, strict=False)  # no colour for counts that K classes cannot have
    return [Patch(facecolor=colour, edgecolor="black", label=name) for colour, name in swatches]
