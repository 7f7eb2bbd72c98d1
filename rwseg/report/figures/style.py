"""How figures of a report look: what tells methods apart, how many share a panel, how they are written."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from rwseg.core.files import replacing, write_text
from rwseg.report.figures.svg import compact
from rwseg.training.figures import COLOURS

INK, MUTED, GRID, PAPER = "#1f2328", "#6e7681", "#d0d7de", "#ffffff"
"""Text and reference, remarks, grid, background. The page replaces them to suit a dark screen."""

ORANGE, SKY, GREEN, _YELLOW, BLUE, VERMILION, PURPLE = COLOURS  # yellow cannot be seen on white

_METHOD_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
_LINES: tuple[Any, ...] = ("--", "-.", ":", (0, (6, 1)), (0, (4, 1, 1, 1, 1, 1)))
_MARKERS = "svD^PX<>"

MOST_IN_A_PANEL = 5
"""Methods drawn beside the reference in one panel; more go into panels of their own."""

_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.titlesize": 9,
    "axes.titleweight": "normal",
    "axes.titlelocation": "left",
    "figure.titlesize": 10.5,
    "figure.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "savefig.dpi": 144,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",  # real text: it can be searched and read aloud
    "svg.hashsalt": "rwseg",
}
METADATA: Mapping[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": "rwseg"},
    "pdf": {"CreationDate": None, "Creator": "rwseg", "Producer": None},
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


def name_rows(panels: Sequence[Axes], names: Sequence[str]) -> None:
    """Label one row per name, the first on top, in panels that share their rows."""
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    for axes in panels:
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)


@contextmanager
def styled() -> Iterator[None]:
    """Figures made and written in here have the style of the report."""
    with matplotlib.rc_context(_STYLE):
        yield


def save_both(figure: Figure, title: str, folder: Path, name: str) -> Path:
    """Put `title` over the figure and write `name.png` and `name.svg`; returns the PNG's path."""
    figure.suptitle(title, x=0.005, horizontalalignment="left")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout is found: once is enough for two formats
    drawn = {suffix: io.BytesIO() for suffix in ("svg", "png")}
    for suffix, buffer in drawn.items():
        figure.savefig(buffer, format=suffix, metadata=METADATA[suffix])
    write_text(folder / f"{name}.svg", compact(drawn["svg"].getvalue().decode()))
    with Image.open(drawn["png"]) as picture, replacing(folder / f"{name}.png") as temporary:
        # A palette is a third of the size, and enough for few colours and their edges.
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(temporary, optimize=True)
    return folder / f"{name}.png"
