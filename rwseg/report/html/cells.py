"""Tables of the page: what a cell shows, by what number it sorts, and where it leads."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby

from rwseg.report.markup import Piece, TextTable


@dataclass(frozen=True)
class Column:
    """A column under a heading of its own and, with its neighbours, under `group`; `best` comes first."""

    label: str
    group: str = ""
    numeric: bool = True
    best: str = "ascending"


@dataclass(frozen=True)
class Table:
    """A table with its caption; the first cell of a row is its heading."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Piece, ...], ...]

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
    """The table as it stands in Markdown and LaTeX; its cells have one part each."""
    columns = tuple(
        Column(name, numeric=place > 0 and name not in table.left) for place, name in enumerate(table.columns)
    )
    rows = tuple(tuple(one for (one,) in row) for row in table.rows)
    return Table(table.name, table.caption, columns, rows)


def transposed(table: Table, corner: str) -> Table:
    """Columns as rows; `corner` is the heading of the new first column. All of it sorts as text."""
    heads = [Piece(column.label) for column in table.columns[1:]]
    columns = (Column(corner, numeric=False), *(Column(row[0].text, numeric=False) for row in table.rows))
    rows = tuple((head, *(row[place] for row in table.rows)) for place, head in enumerate(heads, start=1))
    return Table(table.name, table.caption, columns, rows)


def link_numbers(cells: Iterable[Piece], hrefs: Iterable[str]) -> tuple[Piece, ...]:
    """The cells, each with the next of `hrefs` where it holds a number."""
    pairs = zip(cells, hrefs, strict=True)
    return tuple(replace(cell, href="" if cell.value is None else href) for cell, href in pairs)
