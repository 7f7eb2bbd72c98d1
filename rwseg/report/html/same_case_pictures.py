"""The same case under every method on the page: a row of single pictures that wraps as the window does."""

from typing import NamedTuple

from rwseg.report.comparison.same_cases import SameCases, dice_text
from rwseg.report.figures.same_case import CAPTION, panel, titles
from rwseg.report.html.embedded import Embedded, embedded
from rwseg.training.figures import run_colours

MOST_BYTES = 400_000
"""Of all pictures together."""

LARGEST_PICTURE = 20_000


class Panel(NamedTuple):
    """A picture under the name of its method, or of the reference."""

    name: str
    dice: str
    picture: Embedded


class Row(NamedTuple):
    """A case: the reference, then every method."""

    title: str
    panels: tuple[Panel, ...]


class Rows(NamedTuple):
    """All that the page shows of `SameCases`; no rows where the remark says why. `key`: class and colour."""

    rows: tuple[Row, ...]
    key: tuple[tuple[str, str], ...]
    remark: str
    caption: str = CAPTION


def same_case_rows(found: SameCases) -> Rows:
    """The pictures, in `MOST_BYTES` together."""
    count = sum(1 + len(case.shown) for case in found.cases)
    size, classes = min(LARGEST_PICTURE, MOST_BYTES // max(1, count)), found.classes
    rows = []
    for title, case in zip(titles(found.cases), found.cases, strict=True):
        reference = Panel("reference", "", embedded(panel(case, None, len(classes)), size))
        methods = (
            Panel(one.method, dice_text(one.dice), embedded(panel(case, one, len(classes)), size))
            for one in case.shown
        )
        rows.append(Row(title, (reference, *methods)))
    key = tuple(zip(classes[1:], run_colours(len(classes) - 1), strict=True))
    return Rows(tuple(rows), key, found.remark)
