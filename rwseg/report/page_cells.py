"""Tables of the page: what a cell shows, by what number it sorts, and where it leads."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from rwseg.report.markup import TextTable

_NUMBER = re.compile(r"[+\N{MINUS SIGN}-]?\d+(\.\d+)?(e[+-]?\d+)?")
_CLOCK = re.compile(r"(\d+:)?\d+:\d\d")


@dataclass(frozen=True)
class Column:
    """A column under a heading of its own and, with its neighbours, under `group`; `best` comes first."""

    label: str
    group: str = ""
    numeric: bool = True
    best: str = "ascending"


@dataclass(frozen=True)
class Cell:
    """A cell of a table; `href` leads to the cases behind a number."""

    text: str
    strong: bool = False
    href: str = ""

    @property
    def value(self) -> float | None:
        """The number that a column of numbers sorts by; None where there is a dash."""
        return sort_value(self.text)


@dataclass(frozen=True)
class Table:
    """A table with its caption; the first cell of a row is its heading."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def parts(self) -> list[list[Column]]:
        """The columns, neighbours of one group together, each other by itself."""
        keyed = groupby(enumerate(self.columns), lambda pair: pair[1].group or pair[0])
        return [[column for _, column in pairs] for _, pairs in keyed]

    @property
    def grouped(self) -> bool:
        """Whether there are two rows of headings."""
        return any(column.group for column in self.columns)


def from_text(table: TextTable) -> Table:
    """The table as it stands in Markdown and LaTeX."""
    columns = tuple(
        Column(name, numeric=place > 0 and name not in table.left) for place, name in enumerate(table.columns)
    )
    rows = tuple(
        tuple(
            Cell(", ".join(piece.text for piece in pieces), any(piece.bold for piece in pieces))
            for pieces in row
        )
        for row in table.rows
    )
    return Table(table.name, table.caption, columns, rows)


def transposed(table: Table, corner: str) -> Table:
    """Columns as rows; `corner` is the heading of the new first column. All of it sorts as text."""
    heads = [Cell(column.label) for column in table.columns[1:]]
    columns = (Column(corner, numeric=False), *(Column(row[0].text, numeric=False) for row in table.rows))
    rows = tuple((head, *(row[place] for row in table.rows)) for place, head in enumerate(heads, start=1))
    return Table(table.name, table.caption, columns, rows)


def sort_value(text: str) -> float | None:
    """The number that a text begins with or holds first; clock times in seconds."""
    if _CLOCK.fullmatch(text):
        seconds = 0
        for part in text.split(":"):
            seconds = 60 * seconds + int(part)
        return float(seconds)
    found = _NUMBER.search(text)
    return float(found[0].replace("\N{MINUS SIGN}", "-")) if found else None


def link_numbers(cells: tuple[Cell, ...], hrefs: Iterator[str]) -> tuple[Cell, ...]:
    """The cells, each with the next of `hrefs` where it holds a number."""
    pairs = zip(cells, hrefs, strict=True)
    return tuple(Cell(cell.text, cell.strong, href if cell.value is not None else "") for cell, href in pairs)
