"""Figures over seeds and subjects: all pairs, what the differences vary with, how stable the ranking is."""

from math import isinf, isnan

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.samples import MEAN
from rwseg.report.comparison.significance import LEVEL
from rwseg.report.comparison.summary import pair_of
from rwseg.report.figures.style import (
    BLUE,
    COLUMN,
    INK,
    MUTED,
    ORANGE,
    SKY,
    SMALL,
    VERMILION,
    WIDTH,
    name_rows,
    row_height,
    wrapped,
)
from rwseg.report.printed import signed

FAINT, DEEP = 0.15, 0.55
"""Opacity of the smallest and the largest difference; text stays readable on either."""

FEW, MANY = 6, 16
"""Methods up to which one column has room for all pairs, in three decimals, and two columns for two."""


def pairs_figure(comparison: Comparison) -> Figure | None:
    """All pairs: differences of the mean Dice, in bold and colour where seeds and subjects tell them."""
    names = ranked(comparison)
    if len(names) < 2:
        return None
    width = COLUMN if len(names) <= FEW else WIDTH
    figure = Figure(figsize=(width, 0.75 + 1.2 * row_height(names) * len(names)), layout="constrained")
    axes = figure.subplots()
    found = {(a, b): pair_of(comparison, a, b) for a in names for b in names if a != b}
    largest = float(np.nanmax([0.0, *(abs(row["difference"]) for row in found.values())]))
    for (a, b), row in found.items():
        y, x, sure = names.index(a), names.index(b), row["p_holm"] < LEVEL
        if sure:
            colour = BLUE if row["difference"] > 0 else VERMILION
            depth = FAINT + (DEEP - FAINT) * abs(row["difference"]) / largest
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, color=colour, alpha=depth, linewidth=0))
        if len(names) > MANY:
            continue
        text = signed(row["difference"], 3 if len(names) <= FEW else 2)
        weight, ink = ("bold", INK) if sure else ("normal", MUTED)
        axes.text(x, y, text, ha="center", va="center", fontsize=SMALL, fontweight=weight, color=ink)
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
    axes.set_xticks(range(len(names)), [str(i) for i in range(1, len(names) + 1)])
    numbered = [f"{wrapped(name)}  {i}" for i, name in enumerate(names, 1)]
    axes.set_yticks(range(len(names)), numbered, linespacing=1.0)
    axes.set(xlabel="minus the mean Dice of", ylabel="mean Dice of")
    axes.grid(visible=False)
    return figure


def variance_figure(comparison: Comparison) -> Figure | None:
    """Of each method against the best: whence the variance of the difference, and the seeds needed."""
    names = ranked(comparison)
    rows = {name: pair_of(comparison, name, names[0]) for name in names[1:]}
    rows = {name: row for name, row in rows.items() if not isnan(row["interaction_variance"])}
    if not rows:
        return None
    figure = Figure(figsize=(COLUMN, 1.1 + row_height(list(rows)) * len(rows)), layout="constrained")
    axes = figure.subplots()
    for y, row in enumerate(rows.values()):
        _variance_bar(axes, y, row)
    name_rows([axes], list(rows))
    axes.set(xlim=(0, 1), xlabel=f"share of the variance of the\ndifference to {wrapped(names[0])}")
    axes.text(1.03, 1.0, "seeds\nneeded", va="bottom", linespacing=1.0, transform=axes.transAxes)
    axes.set_xticks((0, 0.5, 1))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(unique.values(), unique, loc="outside lower center", ncols=3, handlelength=1.5)
    return figure


def _variance_bar(axes: Axes, y: int, row: pd.Series) -> None:
    seeds, subjects = row["seeds"], row["subjects"]
    parts = {
        "seeds": (row["seed_variance"] / seeds, ORANGE),
        "patients": (row["subject_variance"] / subjects, SKY),
        "both together": (row["interaction_variance"] / (seeds * subjects), MUTED),
    }
    total, left = sum(part for part, _ in parts.values()), 0.0
    for label, (part, colour) in parts.items():
        share = part / total if total else 0.0
        axes.barh(y, share, left=left, height=0.62, color=colour, label=label)
        left += share
    needed = row["needed"]
    text = "none would" if isinf(needed) else "" if isnan(needed) else str(int(needed))
    axes.text(1.03, y, text, va="center_baseline", transform=axes.get_yaxis_transform())


def ranks_figure(comparison: Comparison) -> Figure | None:
    """How often a method has a rank, over resampled seeds and subjects: a larger blob is more often."""
    names, table = ranked(comparison), comparison.ranks
    if len(names) < 2 or table.empty:
        return None
    figure = Figure(figsize=(COLUMN, 0.75 + row_height(names) * len(names)), layout="constrained")
    axes = figure.subplots()
    for row in table[table["share"] > 0].to_dict("records"):
        y = names.index(row["method"])
        axes.scatter(row["rank"], y, s=90 * row["share"], color=BLUE, linewidth=0)
    name_rows([axes], names)
    step = -(-len(names) // 12)
    axes.set(xlabel="rank by mean Dice", xlim=(0.5, len(names) + 0.5), xticks=range(1, len(names) + 1, step))
    return figure


def ranked(comparison: Comparison) -> list[str]:
    """The methods with a mean Dice, the best first."""
    summary = comparison.summary
    rows = summary[(summary["class_name"] == MEAN) & (summary["metric"] == "dice")].dropna(subset=["mean"])
    return [str(name) for name in rows.sort_values("mean", ascending=False, kind="stable")["method"]]
