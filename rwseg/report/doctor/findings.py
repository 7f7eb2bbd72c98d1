"""What an examination finds, and how it is told."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

Level = Literal["ok", "note", "fault"]
STYLES: dict[Level, str] = {"ok": "green", "note": "yellow", "fault": "bold red"}


@dataclass(frozen=True)
class Finding:
    """One thing found: `ok`, a `note` to think about, or a `fault` that keeps a run from starting."""

    level: Level
    text: str


def print_findings(findings: Iterable[Finding], console: Console) -> None:
    """One line each, the level in front."""
    for finding in findings:
        console.print(Text(f"{finding.level:>5}", style=STYLES[finding.level]), finding.text, highlight=False)


def print_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], console: Console) -> None:
    """A table whose first column is text and whose others are figures."""
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)
