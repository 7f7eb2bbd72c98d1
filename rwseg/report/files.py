"""The files of a report: tables in three formats, figures, `report.md` and the page."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from rwseg.core.files import write_text
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.same_cases import same_cases
from rwseg.report.comparison.samples import COUNTS
from rwseg.report.comparison.summary import summary_sentences
from rwseg.report.figures.all_figures import DRAWINGS, draw_figures
from rwseg.report.figures.same_case import CAPTION, SHEET, write_sheet
from rwseg.report.figures.save import FORMATS
from rwseg.report.html.page import write_page
from rwseg.report.latex_results import results_one_column, results_two_columns
from rwseg.report.markup import TextTable, latex, markdown
from rwseg.report.tables import text_tables

HEADINGS = {
    "results": "Results",
    "results_hd95": "Results with HD95",
    "over_seeds": "All pairs over seeds and patients",
    "tests": "Differences to the reference over cases",
    "phases": "Per phase",
    "convergence": "Convergence",
    "calibration": "Calibration",
    "cost": "Cost",
    "settings": "What the methods differ in",
}


RESULTS = {"results": "hausdorff", "results_hd95": "hausdorff95"}
"""Tables whose LaTeX is not that of the text, with the distance that they hold beside Dice."""


def write_report(comparison: Comparison, folder: Path, pictures: bool = True) -> list[Path]:
    """Write all of a report below `folder` and return the paths, those to open first in front.

    Without `pictures` the page shows no case, only numbers and figures made of them. Each file is replaced as
    a whole; files of an earlier report that this one has no numbers for are removed.
    """
    tables = text_tables(comparison)
    _remove_earlier(folder)
    written = write_tables(comparison, tables, folder / "tables")
    figures = draw_figures(comparison, folder / "figures")
    found = same_cases(comparison.methods) if pictures else None
    if found and found.cases:
        figures[SHEET] = write_sheet(found, folder / "figures")
    report = folder / "report.md"
    write_text(report, report_text(comparison, tables, figures))
    page = write_page(comparison, figures, folder, pictures)
    return [page, report, *written, *figures.values()]


def report_text(comparison: Comparison, tables: list[TextTable], figures: Mapping[str, Path]) -> str:
    """The report in Markdown; figures are linked beside it."""
    lines = [f"# {comparison.title}", ""]
    lines += [*(f"- **{said}**" for said in summary_sentences(comparison)), ""]
    lines += ["Read this first:", "", *(f"- {note}" for note in comparison.notes), ""]
    for table in tables:
        lines += [f"## {HEADINGS[table.name]}", "", markdown(table)]
    lines += ["## Figures", ""]
    for drawing in DRAWINGS:
        if drawing.name in figures:
            lines += [f"![{drawing.title}](figures/{figures[drawing.name].name})", ""]
            lines += [drawing.caption_of(comparison), ""]
        else:
            lines += [drawing.absent, ""]
    if SHEET in figures:
        lines += [f"![The same case under every method](figures/{figures[SHEET].name})", "", CAPTION, ""]
    lines += ["How to read the numbers: docs/report.md. All of them in full precision: tables/*.csv."]
    return "\n".join(lines) + "\n"


def numbers_of(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """The tables in full precision, by the name of their CSV file.

    Those of metrics have their unit, the policy on missed and spurious structures and the counts of these.
    """
    keys = ["method", "class_name", "metric"]
    counts = comparison.summary[[*keys, *COUNTS]]
    measured = {
        "results": comparison.summary,
        "tests": comparison.tests.merge(counts, on=keys),
        "over_seeds": comparison.over_seeds,
        "per_run": comparison.per_run,
        "phases": comparison.phases,
    }
    units = {"dice": "", "hausdorff": comparison.unit, "hausdorff95": comparison.unit}
    return {
        **{
            name: table.assign(unit=table["metric"].map(units), missed_policy=comparison.missed)
            for name, table in measured.items()
        },
        "convergence": comparison.convergence,
        "ranks": comparison.ranks,
        "curves": comparison.curves.assign(unit=comparison.curves["metric"].map(units)),
        "training": comparison.training,
        "distribution": comparison.distribution,
        "calibration": comparison.calibration,
        "reliability": comparison.reliability,
        "cost": comparison.cost,
        "settings": comparison.settings,
    }


def write_tables(comparison: Comparison, tables: list[TextTable], folder: Path) -> list[Path]:
    """Write `tables` as Markdown and LaTeX, and all numbers as CSV in full precision; returns the paths."""
    texts = {}
    for table in tables:
        texts[folder / f"{table.name}.md"] = markdown(table)
        texts[folder / f"{table.name}.tex"] = latex(table)
    for name, distance in RESULTS.items():
        texts[folder / f"{name}.tex"] = results_two_columns(comparison, distance, name)
        texts[folder / f"{name}_onecolumn.tex"] = results_one_column(comparison, distance, name)
    for name, numbers in numbers_of(comparison).items():
        if len(numbers):
            texts[folder / f"{name}.csv"] = numbers.to_csv(index=False)
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)


def _remove_earlier(folder: Path) -> None:
    names = {
        *HEADINGS,
        *(f"{name}_onecolumn" for name in RESULTS),
        "per_run",
        "curves",
        "training",
        "distribution",
        "ranks",
        "reliability",
    }
    for name in names:
        for suffix in (".md", ".tex", ".csv"):
            (folder / "tables" / f"{name}{suffix}").unlink(missing_ok=True)
    for drawing in DRAWINGS:
        for suffix in FORMATS:
            (folder / "figures" / f"{drawing.name}.{suffix}").unlink(missing_ok=True)
    for suffix in (".png", ".pdf"):
        (folder / "figures" / f"{SHEET}{suffix}").unlink(missing_ok=True)
