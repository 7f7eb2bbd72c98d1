"""The tables of the page: those of the other formats, made to sort and to lead to cases, and one of runs."""

from rwseg.core.progress import duration
from rwseg.report import tables as text
from rwseg.report.calibration_table import calibration
from rwseg.report.comparison.classes import class_label, shown_classes
from rwseg.report.comparison.comparison import Comparison, Run, folders_below
from rwseg.report.comparison.samples import COUNTS
from rwseg.report.html.cells import Column, Table, from_text, link_numbers, transposed
from rwseg.report.markup import Piece, cell
from rwseg.report.printed import DIGITS, decimal

METHOD = Column("method", numeric=False)
FIRST = {"dice": "descending", "hausdorff": "ascending", "hausdorff95": "ascending"}
"""The order in which the best of a metric comes first."""


def page_tables(comparison: Comparison) -> dict[str, Table]:
    """Every table of the page by name; those about which there are no numbers are left out."""
    if not comparison.methods:
        return {}
    built = [
        results(comparison, "hausdorff", "results"),
        results(comparison, "hausdorff95", "hausdorff95"),
        from_text(text.over_seeds(comparison)),
        from_text(text.differences(comparison)),
        *([from_text(text.phases(comparison))] if len(comparison.phases) else []),
        from_text(text.convergence(comparison)),
        from_text(calibration(comparison)),
        from_text(text.cost(comparison)),
        transposed(from_text(text.settings(comparison)), "method"),
        per_run(comparison),
    ]
    return {table.name: table for table in built if table.rows and len(table.columns) > 1}


def results(comparison: Comparison, distance: str, name: str) -> Table:
    """The main table, in the layout of the paper's tables 2 to 4; each number leads to its cases."""
    table = text.results(comparison, distance, name)
    classes, metrics = shown_classes(comparison), ("dice", distance)
    rows = []
    for i, (method, *numbers, missed, spurious, runs) in enumerate(table.rows):
        cells = (piece for pieces in numbers for piece in pieces)
        hrefs = (cases_link(i, k) for k in range(len(classes)) for _ in metrics)
        rows.append((*method, *link_numbers(cells, hrefs), *missed, *spurious, *runs))
    columns = (
        METHOD,
        *(_metric(comparison, m, c) for c in classes for m in metrics),
        *(Column(name) for name in (*COUNTS, "runs")),
    )
    return Table(name, f"{table.caption} Every number leads to its cases.", columns, tuple(rows))


def per_run(comparison: Comparison) -> Table:
    """Each run's means over cases; its folder as it is named below what all runs share."""
    rows = comparison.per_run.to_dict("records")
    values = {(row["method"], row["seed"], row["class_name"], row["metric"]): row["value"] for row in rows}
    classes = shown_classes(comparison)
    asked = [*((c, "dice") for c in classes), (classes[-1], "hausdorff")]
    runs = [(method.name, run) for method in comparison.methods for run in method.runs]
    below = folders_below(run for _, run in runs)
    columns = (
        METHOD,
        Column("seed"),
        *(_metric(comparison, m, c) for c, m in asked),
        Column("time"),
        Column("folder", numeric=False),
    )

    def row_of(method: str, run: Run) -> tuple[Piece, ...]:
        numbers = [decimal(values[method, run.seed, c, m], DIGITS[m]) for c, m in asked]
        seed, time = cell(str(run.seed), run.seed), cell(duration(run.seconds), run.seconds)
        return (Piece(method), *seed, *(one for (one,) in numbers), *time, Piece(below[str(run.folder)]))

    caption = f"Means over the cases of every run. {text.totals_text(comparison)}"
    return Table("runs", caption, columns, tuple(row_of(*pair) for pair in runs))


def _metric(comparison: Comparison, metric: str, class_name: str) -> Column:
    return Column(text.metric_name(comparison, metric), class_label(class_name), best=FIRST[metric])


def cases_link(method: int | str, class_place: int | str) -> str:
    """Where `page.js` shows the cases of a method and a class, by their places or `all`."""
    return f"#cases-{method}-{class_place}"
