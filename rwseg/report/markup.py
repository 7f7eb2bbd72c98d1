"""Tables as Markdown and LaTeX."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import pandas as pd


@dataclass(frozen=True)
class Piece:
    """A part of a cell, in bold where it is the best of its column.

    `value` is the number that `text` shows and that the page sorts by, None where it shows none; on the page
    `href` leads to the cases behind it.
    """

    text: str
    bold: bool = False
    value: float | None = None
    href: str = ""


Cell = tuple[Piece, ...]
"""Parts of a cell, printed with commas between them."""


@dataclass(frozen=True)
class TextTable:
    """A table as it is printed: `name` of its file, caption, column headings and rows of cells.

    The first column is set flush left, as are those in `left`; the others flush right.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left: tuple[str, ...] = ()


def cell(text: str, value: float | None = None) -> Cell:
    """A cell of one part."""
    return (piece(text, value),)


def piece(text: str, value: float | None, bold: bool = False) -> Piece:
    """A part of a cell; NaN is no value."""
    return Piece(text, bold, None if value is None or isnan(value) else value)


def markdown(table: TextTable) -> str:
    """The table in GitHub's Markdown, its caption below it."""
    marks = ["---" if left else "---:" for left in _flush_left(table)]
    lines = [[_markdown_text(name) for name in table.columns], marks]
    lines += [[_markdown_cell(one) for one in row] for row in table.rows]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{body}\n\n{_markdown_text(table.caption)}\n"


LONG = 36
"""Most rows of a LaTeX table on one page; more are continued on the next."""


def latex(table: TextTable) -> str:
    """The table in LaTeX for a document with the packages booktabs and graphicx.

    Tables wider than the line are shrunk to it.
    """
    lines = ["% needs \\usepackage{booktabs,graphicx}"]
    for start in range(0, max(1, len(table.rows)), LONG):
        first = rf"\caption{{{latex_text(table.caption)}}}\label{{tab:{table.name}}}"
        over = rf"Table~\ref{{tab:{table.name}}}, continued" if start else first
        lines += [r"\begin{table}[htbp]", r"\centering", over, r"\par\medskip", r"\sbox0{%"]
        lines += [_tabular(table, start) + "}%"]
        lines += [r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _tabular(table: TextTable, start: int) -> str:
    alignment = "".join("l" if left else "r" for left in _flush_left(table))
    head = [latex_text(name) for name in table.columns]
    rows = [[_latex_cell(one) for one in row] for row in table.rows[start : start + LONG]]
    styler = pd.DataFrame(rows, columns=head).style.hide(axis="index")
    return str(styler.to_latex(column_format=alignment, hrules=True))


def _flush_left(table: TextTable) -> list[bool]:
    return [place == 0 or name in table.left for place, name in enumerate(table.columns)]


def _markdown_cell(pieces: Sequence[Piece]) -> str:
    texts = ((_markdown_text(piece.text), piece.bold) for piece in pieces)
    return ", ".join(f"**{text}**" if bold else text for text, bold in texts)


def _markdown_text(text: str) -> str:
    for sign in "\\*|<`":
        text = text.replace(sign, f"\\{sign}")
    return text


def _latex_cell(pieces: Sequence[Piece]) -> str:
    texts = ((latex_text(piece.text), piece.bold) for piece in pieces)
    return ", ".join(rf"\textbf{{{text}}}" if bold else text for text, bold in texts)


LATEX_SIGNS: dict[str, str | int | None] = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": r"{[}",  # a row that begins with a bracket would be an argument of the line break before it
    "]": r"{]}",
    "±": r"$\pm$",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    **{sign: f"\\{sign}" for sign in "&%$#_"},
}


def latex_text(text: str) -> str:
    """The text with LaTeX's own signs escaped."""
    return text.translate(str.maketrans(LATEX_SIGNS))
