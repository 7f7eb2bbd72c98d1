"""The report that `rwseg report` was asked for: made, written, and its table printed."""

from argparse import Namespace
from pathlib import Path

from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from rwseg.core.errors import RwsegError
from rwseg.core.terminal import console
from rwseg.report.baselines import ALLOWED, baseline_folder
from rwseg.report.comparison.compare import compare
from rwseg.report.comparison.runs import find_runs
from rwseg.report.comparison.summary import summary_sentences
from rwseg.report.files import write_report
from rwseg.report.markup import TextTable
from rwseg.report.pack import pack
from rwseg.report.tables import results

DEFAULT = Path("report")


def report(asked: Namespace) -> None:
    """Pack the runs, compare them and write the report, by the options of the command.

    `RwsegError` where it cannot.
    """
    folders = [*asked.runs, *(baseline_folder(name) for name in asked.baseline)]
    runs = find_runs(folders)
    if asked.pack is not None:
        print("wrote", *pack(runs, asked.pack, asked.compare))
        if asked.output is None:
            return
    output = asked.output or _default()
    comparison = compare(
        runs,
        reference=asked.reference,
        threshold=asked.threshold,
        compared=asked.compare,
        allowed=[*asked.allow, *(ALLOWED if asked.baseline else ())],
        title=asked.title,
    )
    try:
        written = write_report(comparison, output, pictures=not asked.no_gallery)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise RwsegError(f"{output}: expected a folder that can be written, got: {error}") from error
    _print(results(comparison, "hausdorff", "results"), comparison.title)
    for said in summary_sentences(comparison):
        print(f"* {said}")
    for note in comparison.notes:
        print(f"- {note}")
    print(f"wrote {written[0]}, {written[1]} and {len(written) - 2} tables and figures beside them")


def _default() -> Path:
    """`report` here, if new or an earlier report: files of others may have the names of ours."""
    if DEFAULT.exists() and not (DEFAULT / "report.md").is_file():
        raise RwsegError(f"{DEFAULT}: expected a new folder or an earlier report, found another; give -o OUT")
    return DEFAULT


def _print(table: TextTable, title: str) -> None:
    printed = Table(title=title, caption=table.caption, collapse_padding=True, pad_edge=False)
    for name in table.columns:
        justify: JustifyMethod = "left" if name == table.columns[0] else "right"
        printed.add_column(name, justify=justify, overflow="fold")
    for row in table.rows:
        cells = []
        for pieces in row:
            text = Text()
            for place, piece in enumerate(pieces):
                text.append("\n" if place else "")
                text.append(piece.text, style="bold" if piece.bold else "")
            cells.append(text)
        printed.add_row(*cells)
    console().print(printed)
