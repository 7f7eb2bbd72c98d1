"""How figures of a report look: what tells methods apart, how many share a panel, and sizes in print."""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from rwseg.training.figures import COLOURS

INK, MUTED, GRID, PAPER = "#1f2328", "#6e7681", "#d0d7de", "#ffffff"
"""Text and reference, remarks, grid, background. The page replaces them to suit a dark screen."""

ORANGE, SKY, GREEN, _YELLOW, BLUE, VERMILION, PURPLE = COLOURS  # yellow cannot be seen on white

_METHOD_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
_LINES: tuple[Any, ...] = ("--", "-.", ":", (0, (6, 1)), (0, (4, 1, 1, 1, 1, 1)))
_MARKERS = "svD^PX<>"

MOST_IN_A_PANEL = 5
"""Methods drawn beside the reference in one panel; more go into panels of their own."""

COLUMN, WIDTH = 88 / 25.4, 180 / 25.4
"""Inches of one and of both columns of a journal. Figures are drawn in the size in which they are printed."""

SMALL = 6.0
"""Points of the smallest text; all other text has seven."""

NAME_WIDTH = 28
"""Characters of a method's name on one line of a label."""

BELOW_LABELS = 0.34
"""Inches from an axis to below its label."""

_STYLE: dict[Any, Any] = {
    "font.size": 7,
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.titlesize": 7,
    "axes.titleweight": "normal",
    "axes.titlelocation": "left",
    "figure.titlesize": 8,
    "figure.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "axes.linewidth": 0.6,
    "axes.labelpad": 2.5,
    "axes.titlepad": 4,
    "grid.linewidth": 0.45,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "xtick.minor.width": 0.45,
    "ytick.minor.width": 0.45,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",  # real text: it can be searched and read aloud
    "svg.hashsalt": "rwseg",
    "pdf.fonttype": 42,  # outlines that journals take; matplotlib's own are bitmaps to some of them
}


class Look(NamedTuple):
    """Colour, line style and marker of a method: each alone tells the methods of a panel apart."""

    colour: str
    line: Any
    marker: str


def looks(methods: Sequence[str], reference: str) -> dict[str, Look]:
    """The look of each method; the reference is a solid line in the colour of the text."""
    found = {reference: Look(INK, "-", "o")}
    for i, name in enumerate(name for name in methods if name != reference):
        found[name] = Look(
            _METHOD_COLOURS[i % len(_METHOD_COLOURS)], _LINES[i % len(_LINES)], _MARKERS[i % len(_MARKERS)]
        )
    return found


def blocks(methods: Sequence[str], reference: str) -> list[list[str]]:
    """Split the methods into as few, evenly filled panels as keep them readable; the reference is in each."""
    others = [name for name in methods if name != reference]
    first = [reference] if reference in methods else []
    count = max(1, -(-len(others) // MOST_IN_A_PANEL))
    return [[*first, *(str(name) for name in part)] for part in np.array_split(others, count)]


def wrapped(name: str, lines: int = 2, width: int = NAME_WIDTH) -> str:
    """A method's name on as few lines of `width` characters as it takes; `lines` hold all of a longer one."""
    while len(found := textwrap.wrap(name, width, break_long_words=False)) > lines:
        width += 1
    return "\n".join(found)


def row_height(names: Sequence[str]) -> float:
    """Inches of a row with a name: two lines need more."""
    return 0.26 if any("\n" in wrapped(name) for name in names) else 0.19


def legend_height(panels: Sequence[Sequence[str]]) -> float:
    """Inches of the longest of the legends that name the methods of `panels`."""
    return max(sum(0.16 + 0.11 * wrapped(name).count("\n") for name in names) for names in panels)


def legend_below(axes: Axes, source: Axes) -> None:
    """What `source` shows, named below `axes` and the label of its axis."""
    figure = axes.figure
    below = axes.transAxes + ScaledTranslation(0, -BELOW_LABELS, figure.dpi_scale_trans)
    handles, labels = source.get_legend_handles_labels()
    axes.legend(
        handles,
        map(wrapped, labels),
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=below,
        borderaxespad=0,
    )


def name_rows(panels: Sequence[Axes], names: Sequence[str]) -> None:
    """Label one row per name, the first on top, in panels that share their rows."""
    panels[0].set_yticks(range(len(names)), [wrapped(name) for name in names], linespacing=1.0)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    for axes in panels:
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)


@contextmanager
def styled() -> Iterator[None]:
    """Figures made and written in here have the style of the report."""
    with matplotlib.rc_context(_STYLE):
        yield
