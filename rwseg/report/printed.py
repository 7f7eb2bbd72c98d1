"""Numbers as tables print them: decimals, signs, p-values, and a dash where there is none."""

from collections.abc import Mapping
from math import isnan
from typing import Any

from rwseg.report.markup import Cell, cell

NAMES = {"dice": "Dice", "hausdorff": "HD", "hausdorff95": "HD95"}
DIGITS = {"dice": 3, "hausdorff": 2, "hausdorff95": 2}
Row = Mapping[Any, Any]
NOTHING = "\N{EN DASH}"


def mean_std(row: Row, metric: str, mean: str = "mean") -> str:
    """`0.904 ± 0.090`, without a deviation where there is one value only, or a dash where there is none."""
    digits = DIGITS[metric]
    if isnan(row[mean]):
        return NOTHING
    alone = isnan(row["std"]) or row.get("cases") == 1
    return f"{row[mean]:.{digits}f}" if alone else f"{row[mean]:.{digits}f} ± {row['std']:.{digits}f}"


def decimal(value: float, digits: int) -> Cell:
    """A cell with `number`."""
    return cell(number(value, digits), value)


def number(value: float, digits: int) -> str:
    """With `digits` decimals, or a dash where there is no value."""
    return NOTHING if isnan(value) else f"{value:.{digits}f}"


def signed(value: float, digits: int) -> str:
    """As `number`, with its sign; a rounded zero has none."""
    if isnan(value):
        return NOTHING
    text = f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return text[1:] if round(float(value), digits) == 0 else text


def p_text(value: float) -> str:
    """Three decimals, four just below 0.05, one digit that is not 0 below 0.001."""
    if isnan(value):
        return NOTHING
    if value < 0.001:
        return f"{value:.1g}"
    return f"{value:.4f}" if 0.0495 <= value < 0.05 else f"{value:.3f}"


def p_cell(value: float) -> Cell:
    """A cell with `p_text`."""
    return cell(p_text(value), value)


def count(value: int) -> Cell:
    """A cell with a whole number."""
    return cell(str(int(value)), value)


def interval(row: Row, digits: int) -> str:
    """`[+0.010, +0.030]`, or a dash."""
    return NOTHING if isnan(row["low"]) else f"[{signed(row['low'], digits)}, {signed(row['high'], digits)}]"
