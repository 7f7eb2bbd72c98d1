"""Pictures of the worst and best cases of each method, from its run directories, small enough for a page."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from rwseg.core.errors import MALFORMED, RunError, table_of_run
from rwseg.report.comparison.comparison import Comparison, Method, Run
from rwseg.report.comparison.samples import MEAN
from rwseg.report.html.embedded import embedded

MOST_PICTURES = 18
MOST_BYTES = 500_000
"""Of all pictures together; the text of the page needs a third more."""

LARGEST_PICTURE = 110_000


@dataclass(frozen=True)
class Picture:
    """A picture ready for the page: `data` is a URI that holds it."""

    method: str
    title: str
    data: str
    width: int
    height: int


@dataclass(frozen=True)
class _Found:
    method: str
    title: str
    path: Path


def gallery(comparison: Comparison) -> list[Picture]:
    """Sheets of all methods, then overlays of evaluations, at most `MOST_PICTURES`, in `MOST_BYTES` together.

    A sheet (`figures/cases.png`: worst, median and best case) is that of the run whose mean Dice is the
    median of its method's. Overlays are the worst and the best of those that a run's last evaluation by name
    has drawn. Raises `RunError` for a file that is no picture.
    """
    sheets = [found for method in comparison.methods for found in _sheet(method, comparison.per_run)]
    overlays = [found for method in comparison.methods for found in _overlays(method)]
    chosen = [*sheets, *overlays][:MOST_PICTURES]
    order = {method.name: i for i, method in enumerate(comparison.methods)}
    chosen.sort(key=lambda found: order[found.method])
    size = min(LARGEST_PICTURE, MOST_BYTES // max(1, len(chosen)))
    return [_encoded(found, size) for found in chosen]


def _sheet(method: Method, per_run: pd.DataFrame) -> Iterator[_Found]:
    asked = (
        (per_run["method"] == method.name) & (per_run["class_name"] == MEAN) & (per_run["metric"] == "dice")
    )
    dice = per_run[asked].set_index("seed")["value"].dropna()
    drawn = [run for run in method.runs if _sheet_of(run).is_file() and run.seed in dice]
    if not drawn:
        return
    drawn.sort(key=lambda run: float(dice[run.seed]))
    run = drawn[(len(drawn) - 1) // 2]
    which = f", the median of {len(drawn)} runs" if len(drawn) > 1 else ""
    title = (
        f"{method.name}: worst, median and best case (seed {run.seed}{which}, mean Dice {dice[run.seed]:.3f})"
    )
    yield _Found(method.name, title, _sheet_of(run))


def _overlays(method: Method) -> Iterator[_Found]:
    for run in method.runs:
        drawn = sorted(run.folder.glob("evaluation/*/overlays/*.png"))
        if not drawn:
            continue
        folder = drawn[-1].parent
        table = folder.parent / "cases.csv"
        with table_of_run(table):
            dice = pd.read_csv(table, dtype={"case": str}).groupby("case")["dice"].mean()
            ranked = dice[[path.stem for path in drawn if path.parent == folder]].sort_values()
        for case in dict.fromkeys((ranked.index[0], ranked.index[-1])):
            title = f"{method.name}: {case}, Dice {ranked[case]:.3f} (seed {run.seed}, {folder.parent.name})"
            yield _Found(method.name, title, folder / f"{case}.png")
        return


def _sheet_of(run: Run) -> Path:
    return run.folder / "figures" / "cases.png"


def _encoded(found: _Found, most_bytes: int) -> Picture:
    """The picture in the largest size that fits."""
    try:
        with Image.open(found.path) as file:
            original = file.convert("RGB")
    except MALFORMED as error:
        raise RunError(
            f"{found.path}: expected a picture, got: {error}; delete it or draw it again"
        ) from error
    return Picture(found.method, found.title, *embedded(original, most_bytes))
