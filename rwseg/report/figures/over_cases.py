"""Figures over cases: the Dice of each case, and differences to the reference with their intervals."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rwseg.report.comparison.cases import averaged_cases
from rwseg.report.comparison.classes import class_label, panel_classes
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.significance import LEVEL
from rwseg.report.figures.style import (
    BLUE,
    INK,
    MUTED,
    PAPER,
    VERMILION,
    WIDTH,
    Look,
    looks,
    name_rows,
    row_height,
)
from rwseg.report.tables import metric_name

METRICS = {"dice": ("higher is better", 1), "hausdorff": ("lower is better", -1)}
"""Direction and sign of an improvement of the metrics that are drawn."""


def cases_figure(comparison: Comparison) -> Figure | None:
    """The Dice of each case: a panel per class, a row per method, in which a case keeps its height."""
    cases = averaged_cases(comparison).dropna(subset=["dice"])
    if cases.empty:
        return None
    held = set(cases["method"])
    names = [method.name for method in comparison.methods if method.name in held]
    classes = [name for name in comparison.classes if name in set(cases["class_name"])]
    look = looks(names, comparison.reference)
    figure = Figure(figsize=(WIDTH, 0.7 + 0.32 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(classes), squeeze=False, sharey=True)[0]
    for axes, name in zip(panels, classes, strict=True):
        part = cases[cases["class_name"] == name]
        table = part.pivot_table("dice", "case", "method", sort=False)
        order = table[comparison.reference if comparison.reference in table else names[0]]
        height = order.rank(method="first").fillna(0)
        offset = 0.36 * (0.5 - height / max(len(height), 1)) * 2
        for y, method in enumerate(names):
            if method in table:
                _row_of_cases(axes, table[method], y + offset, y, look[method])
        axes.set_title(name)
        axes.set_xlabel("Dice")
        axes.xaxis.set_major_locator(MaxNLocator(5))
    name_rows(panels, names)
    return figure


def differences_figure(comparison: Comparison) -> Figure | None:
    """Forest plot: difference of each method to the reference per class, with its bootstrap interval."""
    tests = comparison.tests.dropna(subset=["difference"])
    metrics = [metric for metric in METRICS if metric in set(tests["metric"])]
    if not metrics:
        return None
    names = [method.name for method in comparison.methods if method.name in set(tests["method"])]
    classes = panel_classes(comparison, tests["class_name"])
    height = 0.5 + len(metrics) * (0.6 + row_height(names) * len(names))
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    grid = figure.subplots(len(metrics), len(classes), squeeze=False, sharey=True, sharex="row")
    for row, metric in zip(grid, metrics, strict=True):
        heading, (direction, sign) = metric_name(comparison, metric), METRICS[metric]
        for axes, name in zip(row, classes, strict=True):
            _forest(axes, tests.query("metric == @metric and class_name == @name"), names, sign)
            axes.set_title(class_label(name))
            axes.xaxis.set_major_locator(MaxNLocator(3))
        row[0].set_ylabel(f"{heading}\n{direction}")
        row[(len(classes) - 1) // 2].set_xlabel(f"{heading} minus that of {comparison.reference}")
    name_rows(list(grid.flat), names)
    figure.legend(handles=_key(), loc="outside lower center", ncols=3)
    return figure


def _row_of_cases(axes: Axes, values: pd.Series, heights: pd.Series, y: int, look: Look) -> None:
    low, middle, high = np.percentile(values.dropna(), (25, 50, 75))
    axes.barh(y, high - low, left=low, height=0.8, color=look.colour, alpha=0.16, linewidth=0)
    axes.vlines(middle, y - 0.4, y + 0.4, color=look.colour, linewidth=1.5)
    # A picture inside the SVG, which thousands of points would make large; not in the colour of the text,
    # which the page changes.
    flat = look.colour != INK
    axes.scatter(values, heights, s=4, color=look.colour, alpha=0.75, linewidth=0, rasterized=flat)


def _forest(axes: Axes, rows: pd.DataFrame, names: list[str], sign: int) -> None:
    axes.axvline(0, color=MUTED, linewidth=0.8)
    for row in rows.to_dict("records"):
        y, sure = names.index(row["method"]), row["p_holm"] < LEVEL
        colour = (BLUE if sign * row["difference"] > 0 else VERMILION) if sure else INK
        axes.plot((row["low"], row["high"]), (y, y), color=colour, linewidth=1.1, solid_capstyle="butt")
        axes.plot(
            row["difference"],
            y,
            marker="o" if not sure else "D" if colour == BLUE else "s",
            markersize=3.8,
            color=colour,
            markerfacecolor=colour if sure else PAPER,
        )


def _key() -> list[Line2D]:
    looks_of = (
        ("D", BLUE, BLUE, f"better, p (Holm) < {LEVEL:g}"),
        ("s", VERMILION, VERMILION, f"worse, p (Holm) < {LEVEL:g}"),
        ("o", INK, PAPER, "no difference that these cases tell"),
    )
    return [
        Line2D([], [], marker=marker, color=colour, markerfacecolor=face, markersize=3.8, label=label)
        for marker, colour, face, label in looks_of
    ]
