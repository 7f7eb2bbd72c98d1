"""Tables on a terminal: long names stay on one line, and a file has no right edge."""

import os
from typing import IO

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

LEAST = 12
"""Cells that a shortened name keeps where there is any room for them."""

UNBOUNDED = 10_000


def console(file: IO[str] | None = None, soft_wrap: bool = False) -> Console:
    """The console for all that commands print; as wide as the terminal (or COLUMNS), else without an edge."""
    made = Console(file=file, soft_wrap=soft_wrap)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = UNBOUNDED
    return made


class Shortened:
    """A path or a name in a table: on one line, without its middle where the column is too narrow."""

    def __init__(self, text: object) -> None:
        self.text = str(text)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(shortened(self.text, options.max_width), no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        length = cell_len(self.text)
        return Measurement(min(length, LEAST), length)


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` cells: `…` for its middle, as both ends of a path tell runs apart.

    >>> shortened("outputs/default/phantom/rrw/alone/seed12", 24)
    'outputs/def…alone/seed12'
    """
    if cell_len(text) <= width:
        return text
    if width < 3:
        return set_cell_size(text, width)
    head = (width - 1) // 2
    tail = width - 1 - head
    end = text
    while cell_len(end) > tail:
        end = end[1:]
    return f"{set_cell_size(text, head)}…{end}"
