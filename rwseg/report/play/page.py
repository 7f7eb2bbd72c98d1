"""The page as one HTML file that needs nothing else: templates and scripts of this folder, put together."""

from pathlib import Path

from markupsafe import Markup

import rwseg
from rwseg.core.files import write_bytes
from rwseg.report.page_templates import page_templates
from rwseg.report.play.labels import Drawing, as_text

HERE = Path(__file__).parent
TITLE = "Region-wise losses to play with"

MAPS = ("distance", "shapes", "emphasis", "maps")
CORE = (*MAPS, "gradient", "prediction", "settings", "presets", "state", "simplex")
"""Scripts that compute, without a page."""

VIEW = ("colours", "panels", "editor", "simplex_view", "form", "tables", "main", "render", "start")


def write_play_page(path: Path, drawing: Drawing | None = None) -> Path:
    """Write the page to `path` atomically, with labels to begin with or a built-in drawing; returns `path`.

    The page asks no host, and its bytes depend on the arguments alone. Raises `DataError` where it cannot be
    written.
    """
    given = {} if drawing is None else {"drawing": as_text(drawing), "names": drawing.names}
    text = (
        page_templates(HERE)
        .get_template("play.html.j2")
        .render(
            title=TITLE,
            note=None if drawing is None else drawing.note,
            given=given,
            version=rwseg.__version__,
            style=Markup((HERE / "play.css").read_text(encoding="utf-8")),
            script=Markup(script(*CORE, *VIEW)),
        )
    )
    write_bytes(path, text.encode())
    return path


def script(*names: str) -> str:
    """The scripts of these names, one after the other."""
    return "\n".join((HERE / f"{name}.js").read_text(encoding="utf-8") for name in names)
