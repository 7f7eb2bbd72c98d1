"""Pictures of region maps: what the loss feels in each pixel, on the gallery's example, hearts and a tree."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from rwseg.data.datasets.phantom import draw_hearts
from rwseg.data.datasets.phantom_geometry import label_volume
from rwseg.maps import Composition, RectifiedMap, compact, composed_map
from rwseg.report.figures.loss_gallery import enlarged, with_contours, write_pixels
from rwseg.training.figures import save

WEIGHT_COLOURS = matplotlib.colormaps["cividis"].resampled(16)  # dark: least, yellow: most
LABEL_COLOURS = np.array([[255, 255, 255], [86, 180, 233], [230, 159, 0], [0, 158, 115]]) / 255
PERCENTILE = 99.5


def felt_weight(
    parts: Sequence[Any], labels: Tensor, num_classes: int, spacing: Sequence[float] | None = None
) -> Tensor:
    """Return what the loss feels in each pixel of `(B, *S)`: the mean of the wrong classes less the true one.

    Of a rectified map it is the factor before the softmax in the gradient.
    """
    made = composed_map(Composition.of(parts), labels, num_classes, spacing)
    inside, outside = made if isinstance(made, RectifiedMap) else compact(made, labels)
    return outside - inside


def draw_weight(labels: Tensor, weight: Tensor, path: Path) -> None:
    """Draw a weight `(1, H, W)` from 0 to its largest, with the contours of the labels."""
    write_pixels(_weight_panel(labels, weight), path)


def draw_heart_slices(maps: Mapping[str, Sequence[Any]], path: Path, subject: int = 1) -> None:
    """Draw a phantom heart slice by slice: its labels, then a row for the weight of each 3D map, in mm."""
    heart = draw_hearts(subject)["ED"]
    labels = torch.from_numpy(label_volume(heart)).long()
    height, width = 1.05 * labels.shape[1] / labels.shape[2], len(labels)
    figure = Figure(figsize=(width * 1.1, (1 + len(maps)) * height * 1.1 + 0.3), layout="constrained")
    panels = figure.subplots(1 + len(maps), len(labels))
    for axes, plane in zip(panels[0], labels, strict=True):
        axes.imshow(LABEL_COLOURS[plane.numpy()], interpolation="nearest")
    for row, (name, parts) in zip(panels[1:], maps.items(), strict=True):
        weight = felt_weight(parts, labels[None], 4, heart.spacing)[0].numpy()
        for axes, plane in zip(row, weight, strict=True):
            axes.imshow(plane, cmap=WEIGHT_COLOURS, vmin=0, vmax=weight.max(), interpolation="nearest")
        row[0].set_ylabel(name, fontsize=8)
    panels[0, 0].set_ylabel("labels", fontsize=8)
    _finish(figure, path)


def draw_choice(maps: Mapping[str, Sequence[Any]], path: Path) -> None:
    """Draw the weight of several maps on a slice of a phantom heart and on a branching tree, a row each."""
    heart = torch.from_numpy(label_volume(draw_hearts(1)["ED"])[2]).long()
    figure = Figure(figsize=(1.75 * (1 + len(maps)), 4.6), layout="constrained")
    panels = figure.subplots(2, 1 + len(maps))
    for row, labels, classes in zip(panels, (heart, branching_tree()), (4, 3), strict=True):
        row[0].imshow(LABEL_COLOURS[labels.numpy()], interpolation="nearest")
        for axes, parts in zip(row[1:], maps.values(), strict=True):
            fitting = [_with_weights_for(part, classes) for part in parts]
            weight = felt_weight(fitting, labels[None], classes)[0].numpy()
            top = float(np.percentile(weight, PERCENTILE))
            axes.imshow(weight, cmap=WEIGHT_COLOURS, vmin=0, vmax=top, interpolation="nearest")
    for axes, name in zip(panels[0], ("labels", *maps), strict=True):
        axes.set_title(name, fontsize=7)
    _finish(figure, path)


def branching_tree(shape: tuple[int, int] = (88, 75)) -> Tensor:
    """Labels `(H, W)` of two classes: a vessel that branches until it is a pixel thin, and a round lesion."""
    rows, columns = np.indices(shape)
    labels = np.zeros(shape, np.int64)

    def branch(row: float, column: float, angle: float, length: float, radius: float) -> None:
        for step in np.linspace(0, length, 2 * int(length) + 2):
            r, c = row + step * np.sin(angle), column + step * np.cos(angle)
            labels[np.hypot(rows - r, columns - c) <= radius] = 1
        if radius > 0.5:
            for turn in (-0.55, 0.45):
                branch(r, c, angle + turn, 0.72 * length, 0.62 * radius)

    branch(86, 36, -np.pi / 2, 24, 4.0)
    labels[(np.hypot(rows - 70, columns - 62) < 7) & (labels == 0)] = 2
    return torch.from_numpy(labels)


def _with_weights_for(part: Any, classes: int) -> Any:
    is_weights = isinstance(part, Mapping) and "class_weights" in part
    return {"class_weights": list(part["class_weights"])[:classes]} if is_weights else part


def _finish(figure: Figure, path: Path) -> None:
    for axes in figure.axes:
        axes.set_xticks([])
        axes.set_yticks([])
    save(figure, path)


def _weight_panel(labels: Tensor, weight: Tensor) -> NDArray[np.float64]:
    largest = float(np.percentile(weight.numpy(), PERCENTILE)) or 1.0
    colours = enlarged(WEIGHT_COLOURS(weight[0].numpy() / largest)[..., :3])
    return with_contours(colours, labels)
