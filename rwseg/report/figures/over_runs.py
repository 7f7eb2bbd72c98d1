"""Figures over runs: validation curves, distribution over seeds, failures, cost."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from rwseg.report.comparison.classes import class_label, panel_classes
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.figures.style import (
    BLUE,
    COLUMN,
    INK,
    MUTED,
    PAPER,
    WIDTH,
    Look,
    blocks,
    legend_below,
    legend_height,
    looks,
    name_rows,
    row_height,
    wrapped,
)
from rwseg.report.tables import metric_name

FEW_EPOCHS = 30
UNITS = (("h", 3600), ("min", 60), ("s", 1))


def curves_figure(comparison: Comparison, metric: str = "dice") -> Figure | None:
    """Validation over epochs, mean over runs with its band; a panel per class, rows of methods."""
    table = comparison.curves.dropna(subset=["mean"])
    table = table[table["metric"] == metric]
    if table.empty:
        return None
    drawn = _names(comparison, table)
    rows, classes = blocks(drawn, comparison.reference), panel_classes(comparison, table["class_name"])
    look = looks(drawn, comparison.reference)
    one_row = len(rows) == 1
    columns = _columns(len(classes)) if one_row else len(classes)
    height = 2.0 * -(-len(classes) // columns) if one_row else 1.75 * len(rows)
    figure = Figure(figsize=(WIDTH, 0.25 + height), layout="constrained")
    grid = figure.subplots(-(-len(rows) * len(classes) // columns), columns, squeeze=False, sharey=True)
    places = list(grid.flat)
    for index, axes in enumerate(places):
        if index >= len(rows) * len(classes):
            axes.set_visible(False)
            continue
        name, methods = classes[index % len(classes)], rows[index // len(classes)]
        part = table[table["class_name"] == name]
        for method in methods:
            _curve(axes, part[part["method"] == method], method, look[method])
        axes.set_title(class_label(name))
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for axes in grid[:, 0]:
        axes.set_ylabel(f"validation {metric_name(comparison, metric)}")
    low, high = float(table["low"].min()), float(table["high"].max())
    margin = 0.03 if metric == "dice" else 0.05 * high
    places[0].set_ylim(
        max(-0.02, low - margin), min(1.02, high + margin) if metric == "dice" else high + margin
    )
    if one_row:
        columns = len(drawn) if len(drawn) <= 3 else -(-len(drawn) // 2)
        handles, labels = places[0].get_legend_handles_labels()
        figure.legend(handles, map(wrapped, labels), loc="outside lower center", ncols=columns)
    else:
        for axes in grid[:, -1]:
            handles, labels = axes.get_legend_handles_labels()
            axes.legend(handles, map(wrapped, labels), loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def distribution_figure(comparison: Comparison) -> Figure | None:
    """Share of runs whose mean Dice is at most x, with its confidence band (the paper's Figure 5)."""
    table = comparison.distribution
    several = {method.name for method in comparison.methods if len(method.runs) > 1}
    drawn = [name for name in _names(comparison, table) if name in several]
    if not drawn:
        return None
    panels, look = blocks(drawn, comparison.reference), looks(drawn, comparison.reference)
    shown = table[table["method"].isin(drawn)]
    margin = 0.05 * max(float(np.ptp(shown["value"])), 0.02)
    limits = (float(shown["value"].min()) - margin, float(shown["value"].max()) + margin)
    size = (COLUMN if len(panels) == 1 else WIDTH, 2.4 + legend_height(panels))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, methods in zip(grid, panels, strict=True):
        for method in methods:
            _steps(axes, shown[shown["method"] == method], method, look[method], limits)
        if comparison.threshold is not None and limits[0] < comparison.threshold < limits[1]:
            axes.axvline(
                comparison.threshold,
                color=MUTED,
                linewidth=0.8,
                label=f"slow below {comparison.threshold:.3f}",
            )
        axes.set(xlim=limits, ylim=(-0.02, 1.02), xlabel="mean Dice of a run")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        legend_below(axes, axes)
    figure.axes[0].set_ylabel("share of runs at or below")
    return figure


def collapses_figure(comparison: Comparison) -> Figure | None:
    """Share of collapsed runs per method with its exact 95 % interval."""
    table = comparison.convergence
    table = table[table["runs"] > 0]
    if table.empty:
        return None
    names = list(table["method"])
    figure = Figure(figsize=(COLUMN, 0.65 + row_height(names) * len(table)), layout="constrained")
    axes = figure.subplots()
    for y, row in enumerate(table.to_dict("records")):
        axes.plot((row["low"], row["high"]), (y, y), color=INK, linewidth=1.1, solid_capstyle="butt")
        face = BLUE if row["collapsed"] else PAPER
        axes.plot(row["share"], y, marker="o", markersize=4.5, color=INK, markerfacecolor=face)
        text = f"{row['collapsed']} of {row['runs']}"
        axes.text(1.03, y, text, transform=axes.get_yaxis_transform(), va="center_baseline")
    name_rows([axes], names)
    axes.set(xlabel="share of runs that lost a class", xlim=(-0.02, 1.02))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    return figure


def cost_figure(comparison: Comparison) -> Figure | None:
    """Time of a run and of an epoch per method."""
    table = comparison.cost.dropna(subset=["seconds"])
    if table.empty:
        return None
    devices = sorted(set(table["device"]))
    names = [
        row["method"] if len(devices) == 1 else f"{row['method']} ({row['device']})"
        for row in table.to_dict("records")
    ]
    figure = Figure(figsize=(WIDTH, 0.75 + row_height(names) * len(table)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    longest = float(table["seconds"].max())
    unit, scale = next((unit, scale) for unit, scale in UNITS if longest >= 2 * scale or scale == 1)
    where = f" on {devices[0]}" if len(devices) == 1 else ""
    _bars(left, table["seconds"] / scale, f"A run{where}", unit)
    _bars(right, table["seconds_per_epoch"], f"An epoch{where}", "s")
    name_rows([left, right], names)
    return figure


def _names(comparison: Comparison, table: pd.DataFrame) -> list[str]:
    """Names of the methods that the table holds, in the order of the comparison."""
    held = set(table["method"])
    return [method.name for method in comparison.methods if method.name in held]


def _columns(panels: int) -> int:
    return panels if panels <= 3 else 2 if panels == 4 else 3


def _curve(axes: Axes, rows: pd.DataFrame, method: str, look: Look) -> None:
    epoch = rows["epoch"] + 1
    # A picture inside the SVG where hundreds of epochs would make it large; not in the colour of the text,
    # which the page changes.
    few = len(rows) <= FEW_EPOCHS
    axes.fill_between(
        epoch,
        rows["low"],
        rows["high"],
        color=look.colour,
        alpha=0.14,
        linewidth=0,
        rasterized=not few and look.colour != INK,
    )
    axes.plot(
        epoch,
        rows["mean"],
        color=look.colour,
        linestyle=look.line,
        linewidth=1.1,
        marker=look.marker if few else None,
        markersize=2.4,
        label=method,
    )


def _steps(axes: Axes, rows: pd.DataFrame, method: str, look: Look, limits: tuple[float, float]) -> None:
    values = np.concatenate([rows["value"], limits[1:]])
    low, high, share = (
        np.concatenate([rows[column], rows[column].iloc[-1:]]) for column in ("low", "high", "share")
    )
    axes.fill_between(values, low, high, step="post", color=look.colour, alpha=0.1, linewidth=0)
    axes.step(
        np.concatenate([limits[:1], values]),
        np.concatenate([[0.0], share]),
        where="post",
        color=look.colour,
        linestyle=look.line,
        linewidth=1.2,
        label=method,
    )


def _bars(axes: Axes, values: Sequence[float] | pd.Series, title: str, unit: str) -> None:
    bars = axes.barh(range(len(values)), values, height=0.62, color=BLUE)
    axes.bar_label(bars, fmt="%.3g", padding=2)
    axes.set(title=title, xlabel=unit)
    axes.margins(x=0.12)
