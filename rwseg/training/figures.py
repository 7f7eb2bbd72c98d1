"""Pictures of a run: learning curves, and images with the contours of reference and prediction."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from rwseg.core.errors import ConfigError
from rwseg.core.files import replacing, told_unless_written
from rwseg.training.planes import levels, window_of

# Okabe and Ito's colours, told apart by colour-blind readers; one per foreground class, then around again.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
COLUMNS = 6
"""Most slices in a row of a picture."""

MOST_SLICES = 12

Plane = NDArray[np.uint8]
Panel = tuple[Plane, Plane | None, Plane, str]


def learning_curves(epochs_csv: Path, path: Path) -> Path:
    """Draw the gap of the training loss and the validation Dice per class over epochs; returns `path`."""
    table = pd.read_csv(epochs_csv)
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    epoch = table["epoch"] + 1
    left.plot(epoch, table["train/loss_gap"], color="#0072B2", marker="." if len(table) < 40 else None)
    left.update_datalim([(1, 0)])  # so that the margin above a flat curve is one of the whole axis
    left.autoscale_view()
    left.set(
        title="Training loss above a perfect prediction", xlabel="epoch", ylabel="loss gap", ylim=(0, None)
    )
    validated = table.dropna(subset=["val/dice"]) if "val/dice" in table else table.iloc[:0]
    names = [str(column) for column in table.columns if str(column).startswith("val/dice_")]
    for column, colour in zip(names, run_colours(len(names)), strict=True):
        right.plot(
            validated["epoch"] + 1,
            validated[column],
            color=colour,
            marker=".",
            label=column[len("val/dice_") :],
        )
    if len(validated):
        right.plot(validated["epoch"] + 1, validated["val/dice"], color="black", linestyle="--", label="mean")
        right.legend(loc="best")
    right.set(title="Validation Dice on whole volumes", xlabel="epoch", ylabel="Dice", ylim=(0, 1))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    return save(figure, path)


def case_picture(
    image: NDArray[np.float32],
    reference: NDArray[np.uint8] | None,
    prediction: NDArray[np.uint8],
    classes: Sequence[str],
    aspect: float,
    title: str,
    path: Path,
) -> Path:
    """Draw the slices of a volume `(Z, H, W)` with contours, solid reference, dashed prediction.

    `image` is grey, or has colours `(Z, H, W, 3)`. `aspect` is the pixel's height over its width in mm. Of
    more than `MOST_SLICES` slices, evenly spaced ones. Returns `path`.
    """
    rows = [(image, reference, prediction, "")]
    return save(_sheet(rows, classes, aspect, title, slices=MOST_SLICES), path)


def case_sheet(
    cases: Sequence[tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.uint8], str]],
    classes: Sequence[str],
    aspect: float,
    title: str,
    path: Path,
) -> Path:
    """Draw a row of slices for each of `cases` (image, reference, prediction, name); returns `path`.

    Cases of one slice stand side by side.
    """
    return save(_sheet(cases, classes, aspect, title, slices=COLUMNS), path)


def _sheet(
    cases: Sequence[tuple[NDArray[np.float32], NDArray[np.uint8] | None, NDArray[np.uint8], str]],
    classes: Sequence[str],
    aspect: float,
    title: str,
    slices: int,
) -> Figure:
    most = max(len(image) for image, *_ in cases)
    columns = len(cases) if most == 1 else min(most, COLUMNS)
    side = 2.2 if columns > 3 else 3.6  # inches: few panels fill their figure
    panels: list[Panel | None] = []
    for image, reference, prediction, name in cases:
        window, shown, visible = _window(reference, prediction), _slices(len(image), slices), levels(image)
        for z in shown:
            heading = f"{name if z == shown[0] else ''}\nslice {z + 1}".lstrip("\n" if not name else "")
            plane = None if reference is None else reference[z][window]
            panels.append((visible[z][window], plane, prediction[z][window], heading))
        if most > 1:
            panels += [None] * (-len(shown) % columns)  # the next case begins a new row
    rows = max(1, -(-len(panels) // columns))
    height, width = next(panel[2].shape for panel in panels if panel is not None)
    figure = Figure(
        figsize=(side * columns, 0.75 + rows * (side * aspect * height / width + 0.45)), layout="constrained"
    )
    for axes, panel in zip(figure.subplots(rows, columns, squeeze=False).flat, panels, strict=True):
        axes.set_axis_off()
        if panel is not None:
            _draw(axes, *panel, len(classes), aspect)
    figure.suptitle(title)
    figure.legend(
        handles=_legend(classes, any(case[1] is not None for case in cases)),
        loc="outside lower center",
        ncols=8,
    )
    return figure


def _draw(
    axes: Axes,
    image: Plane,
    reference: Plane | None,
    prediction: Plane,
    title: str,
    num_classes: int,
    aspect: float,
) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, aspect=aspect, interpolation="nearest")
    axes.set_title(title, fontsize=8, loc="left")
    for label, colour in enumerate(run_colours(num_classes - 1), start=1):
        for labels, style in ((reference, "solid"), (prediction, "dashed")):
            if labels is not None and (labels == label).any() and not (labels == label).all():
                axes.contour(labels == label, levels=[0.5], colors=colour, linestyles=style, linewidths=1.1)


def _legend(classes: Sequence[str], with_reference: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, label=name)
        for name, colour in zip(classes[1:], run_colours(len(classes) - 1), strict=True)
    ]
    if with_reference:
        handles.append(Line2D([], [], color="gray", linestyle="solid", label="reference"))
    return [*handles, Line2D([], [], color="gray", linestyle="dashed", label="prediction")]


def _window(reference: Plane | None, prediction: Plane) -> tuple[slice, slice]:
    """The part of the plane that holds the structures of any slice."""
    mask = (prediction > 0) if reference is None else (prediction > 0) | (reference > 0)
    return window_of(np.logical_or.reduce(mask, axis=0))


def _slices(depth: int, most: int) -> list[int]:
    return sorted({round(z) for z in np.linspace(0, depth - 1, min(depth, most))})


def run_colours(count: int) -> list[str]:
    """`count` colours, repeated where there are more than the palette has."""
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def rgb(label: int) -> NDArray[np.float32]:
    """The colour of a foreground class (1, 2, ...), `(3,)` from 0 to 255."""
    return np.array([int(COLOURS[(label - 1) % len(COLOURS)][i : i + 2], 16) for i in (1, 3, 5)], np.float32)


def save(figure: Figure, path: Path) -> Path:
    """Write a figure atomically in the format of its suffix; returns `path`.

    Raises the error of `check_ending`, and `DataError` where it cannot be written.
    """
    check_ending(path)
    style = matplotlib.rc_context({"savefig.dpi": 110})
    with told_unless_written(path), replacing(path) as temporary, style:
        figure.savefig(temporary, format=path.suffix[1:].lower())
    return path


def check_ending(path: Path) -> None:
    """Raise `ConfigError` for a file that is not named as a picture."""
    if path.suffix[1:].lower() not in FigureCanvasBase.get_supported_filetypes():
        raise ConfigError(f"{path}: expected the ending of a picture, such as .png, .svg or .pdf")
