"""The same case under every method: a sheet for papers, and the single pictures that the page arranges."""

import io
import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray
from PIL import Image

from rwseg.core.files import write_bytes
from rwseg.report.comparison.same_cases import SameCase, SameCases, Shown, dice_text
from rwseg.report.figures.save import DPI, METADATA
from rwseg.report.figures.style import SMALL, WIDTH, styled
from rwseg.training.figures import run_colours

SHEET = "same_case"
CAPTION = (
    "The cases on which the methods disagree most, medium and least (mean over pairs of methods of 1 - Dice "
    "between their predictions, on the part that is shown). Lines: the reference; areas: the prediction; "
    "Dice: mean over classes on the whole slice."
)
MOST_COLUMNS = 8
LETTERS = 18
"""Of a method's name in an inch."""

ORDER = ("Most disagreement", "Median disagreement", "Least disagreement")

PANEL_SIDE = 420
"""Pixels of the longer side of a picture on the page, twice what it takes there."""


def write_sheet(found: SameCases, folder: Path) -> Path:
    """Write `folder/same_case.png` and `.pdf`; returns the PNG's path."""
    with styled():
        figure = _sheet(found)
        for suffix in ("pdf", "png"):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, dpi=DPI, metadata=METADATA[suffix])
            write_bytes(folder / f"{SHEET}.{suffix}", buffer.getvalue())
    return folder / f"{SHEET}.png"


def panel(case: SameCase, shown: Shown | None, num_classes: int) -> Image.Image:
    """The picture of a prediction, or with None of the reference alone, in true proportions."""
    height, width = case.exhibit.reference.shape
    sides = np.array([width, height * case.exhibit.aspect])
    sides *= PANEL_SIDE / sides.max()
    figure, buffer = Figure(figsize=tuple(sides / 100)), io.BytesIO()
    _draw(figure.add_axes((0, 0, 1, 1)), case, shown, num_classes, line=1.9)
    figure.savefig(buffer, format="png", dpi=100)
    return Image.open(buffer).convert("RGB")


def titles(cases: tuple[SameCase, ...]) -> list[str]:
    """What each case is; of fewer than three the last ones are left out."""
    return [f"{name}: {case.title}" for name, case in zip(ORDER, cases, strict=False)]


def _sheet(found: SameCases) -> Figure:
    panels = 1 + len(found.cases[0].shown)
    lines = -(-panels // MOST_COLUMNS)
    columns = -(-panels // lines)
    side = WIDTH / columns
    names = {one.method: textwrap.fill(one.method, int(side * LETTERS)) for one in found.cases[0].shown}
    headings = 0.1 * (2 + max(name.count("\n") for name in names.values()))
    heights = [lines * (side * _proportion(case) + headings + 0.08) + 0.16 for case in found.cases]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.25), layout="constrained")
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, case, title in zip(parts, found.cases, titles(found.cases), strict=True):
        part.suptitle(title, x=0.004, horizontalalignment="left", fontsize=7.5)
        places = part.subplots(lines, columns, squeeze=False).flat
        for axes, shown in zip(places, (None, *case.shown), strict=False):
            _draw(axes, case, shown, len(found.classes), line=0.6)
            name = "reference" if shown is None else f"{names[shown.method]}\n{dice_text(shown.dice)}"
            axes.set_title(name, fontsize=SMALL, loc="center", pad=2)
        for axes in part.axes[panels:]:
            axes.set_axis_off()
    figure.legend(handles=_legend(found.classes), loc="outside lower center", ncols=8, fontsize=SMALL)
    return figure


def _proportion(case: SameCase) -> float:
    height, width = case.exhibit.reference.shape
    return float(case.exhibit.aspect * height / width)


def _draw(axes: Axes, case: SameCase, shown: Shown | None, num_classes: int, line: float) -> None:
    """The image, what is predicted as areas, and the contours of the reference."""
    one = case.exhibit
    axes.set_axis_off()
    axes.imshow(one.image, cmap="gray", vmin=0, vmax=255, aspect="auto", interpolation="nearest")
    axes.set_aspect(one.aspect)
    for label, colour in enumerate(run_colours(num_classes - 1), start=1):
        if shown is not None:
            _area(axes, shown.prediction == label, colour)
        _contour(axes, one.reference == label, colour, line)


def _area(axes: Axes, mask: NDArray[np.bool_], colour: str) -> None:
    if mask.all():
        axes.axhspan(0, 1, transform=axes.transAxes, color=colour, alpha=0.4, linewidth=0)
    elif mask.any():
        axes.contourf(mask, levels=[0.5, 1.5], colors=[colour], alpha=0.4)


def _contour(axes: Axes, mask: NDArray[np.bool_], colour: str, line: float) -> None:
    if mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors="black", linewidths=1.9 * line)
        axes.contour(mask, levels=[0.5], colors=colour, linewidths=line)


def _legend(classes: tuple[str, ...]) -> list[Line2D | Patch]:
    colours = run_colours(len(classes) - 1)
    named = [Patch(color=colour, label=name) for name, colour in zip(classes[1:], colours, strict=True)]
    return [
        *named,
        Line2D([], [], color="gray", linewidth=1.0, label="reference: line"),
        Patch(color="gray", alpha=0.4, label="prediction: area"),
    ]
