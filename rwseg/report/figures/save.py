"""A figure as files: SVG for the page, PDF for a paper, PNG for everything else."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from PIL import Image

from rwseg.core.files import replacing, write_bytes, write_text
from rwseg.report.figures.svg import compact

FORMATS = ("svg", "pdf", "png")

DPI = 300
"""Of the PNG."""

METADATA: Mapping[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": "rwseg"},
    "pdf": {"CreationDate": None, "Creator": "rwseg", "Producer": None},
    "png": {"Software": None},
}
"""Without the time of writing and versions, so that bytes depend on what is drawn alone."""

_SVG_DPI = 200
"""Of what is a picture inside the SVG: as fine as a screen shows it."""


def save_figure(figure: Figure, title: str, folder: Path, name: str) -> Path:
    """Put `title` over the figure and write `name` in all `FORMATS` below `folder`; returns the PNG's path.

    The bytes depend on the figure alone.
    """
    figure.suptitle(title, x=0.005, horizontalalignment="left")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout is found: once is enough for all formats
    write_text(folder / f"{name}.svg", _svg(figure))
    write_bytes(folder / f"{name}.pdf", _pdf(figure))
    with replacing(folder / f"{name}.png") as temporary:
        # A palette is a third of the size, and enough for few colours and their edges.
        few = _pixels(figure).quantize(256, dither=Image.Dither.NONE)
        few.save(temporary, optimize=True, dpi=(DPI, DPI))
    return folder / f"{name}.png"


def _svg(figure: Figure) -> str:
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", dpi=_SVG_DPI, metadata=METADATA["svg"])
    return compact(drawn.getvalue())


def _pdf(figure: Figure) -> bytes:
    """All of it vectors, also what is a picture inside the SVG to keep the page small."""
    for artist in figure.findobj(Artist.get_rasterized):
        artist.set_rasterized(False)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="pdf", metadata=METADATA["pdf"])
    return drawn.getvalue()


def _pixels(figure: Figure) -> Image.Image:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, pil_kwargs={"compress_level": 1})
    return Image.open(drawn).convert("RGB")
