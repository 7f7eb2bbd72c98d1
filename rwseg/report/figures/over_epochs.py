"""The figure of training losses: small multiples, for losses of different methods have no common scale."""

from itertools import zip_longest

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullLocator

from rwseg.report.comparison.comparison import Comparison
from rwseg.report.figures.style import BLUE, COLUMN, VERMILION, WIDTH, wrapped

MOST_COLUMNS = 5
CHARACTERS = 120
"""That both columns of a journal have room for, side by side in one line."""

LOSS, GAP = 0.5, 0.7
"""Inches of the panels of a method, without what is written around them."""

DECADE, MARGIN = 10, 1.3


def training_figure(comparison: Comparison) -> Figure | None:
    """Per method the training loss, and beneath it the loss gap on a logarithmic scale."""
    table = comparison.training
    held = set(table["method"])
    names = {method.name: _heading(method.name) for method in comparison.methods if method.name in held}
    if not names:
        return None
    longest = max(len(line) for heading in names.values() for line in heading.split("\n"))
    rows = -(-len(names) // max(1, min(MOST_COLUMNS, CHARACTERS // (longest + 1))))
    columns = -(-len(names) // rows)
    text = 0.3 + 0.11 * max(heading.count("\n") + 1 for heading in names.values())
    size = (WIDTH if columns > 2 else COLUMN, 0.45 + rows * (LOSS + GAP + text))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=(LOSS, GAP) * rows)
    pairs = [pair for row in range(rows) for pair in zip(grid[2 * row], grid[2 * row + 1], strict=True)]
    for (above, below), name in zip_longest(pairs, names):
        if name is None:
            above.set_visible(False)
            below.set_visible(False)
        else:
            _courses(above, below, table[table["method"] == name])
            # Not a title: this begins above the labels of the axis, and the layout leaves room for its width.
            above.annotate(names[name], (0, 1), (-24, 4), "axes fraction", "offset points", linespacing=1.0)
    for first in range(0, len(pairs), columns):
        for axes, label in zip(pairs[first], ("loss", "loss gap"), strict=True):
            axes.set_ylabel(label)
    figure.align_ylabels([axes for pair in pairs[::columns] for axes in pair])
    return figure


def _heading(name: str) -> str:
    return wrapped(name, lines=3, width=20)


def _courses(above: Axes, below: Axes, rows: pd.DataFrame) -> None:
    loss, gap = (rows[rows["quantity"] == quantity] for quantity in ("loss", "loss_gap"))
    _course(above, loss, BLUE)
    above.yaxis.set_major_locator(MaxNLocator(3))
    above.tick_params(axis="x", labelbottom=False)
    gap = gap[gap["mean"] > 0]  # the others have no place on a logarithmic scale
    if len(gap):
        _course(below, gap, VERMILION)
        below.set_yscale("log")
        lowest = max(float(gap["low"].where(gap["low"] > 0).min()), float(gap["mean"].min()) / DECADE)
        low, high = lowest / MARGIN, float(gap["high"].max()) * MARGIN
        below.set_ylim(low, high)
        below.yaxis.set_major_locator(_few_ticks(high / low))
        below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        below.yaxis.set_minor_locator(NullLocator())
    for axes in (above, below):
        axes.set_xlim(1, max(2, int(rows["epoch"].max()) + 1))
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    below.set_xlabel("epoch")


def _few_ticks(ratio: float) -> Locator:
    """Two to four ticks on a logarithmic axis from 1 to `ratio` times as much."""
    if ratio < 3:
        return MaxNLocator(3)
    return LogLocator(subs=(1, 2, 5) if ratio < DECADE else (1, 3) if ratio < DECADE**2 else (1,), numticks=4)


def _course(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    epoch = rows["epoch"] + 1
    axes.fill_between(epoch, rows["low"], rows["high"], color=colour, alpha=0.2, linewidth=0)
    axes.plot(epoch, rows["mean"], color=colour, linewidth=1)
