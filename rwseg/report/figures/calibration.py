"""The reliability diagram: how often each method is right where it says how sure it is."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rwseg.metrics.calibration import BINS
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.figures.style import (
    COLUMN,
    MUTED,
    WIDTH,
    Look,
    blocks,
    legend_below,
    legend_height,
    looks,
)

FEW = 0.001
"""Share of a method's pixels below which a bin says more of chance than of calibration, and is left out."""


def reliability_figure(comparison: Comparison) -> Figure | None:
    """Accuracy over confidence, pooled over the runs of a method; below it, how often each confidence is."""
    table = comparison.reliability
    drawn = [method.name for method in comparison.methods if method.name in set(table["method"])]
    if not drawn:
        return None
    panels, look = blocks(drawn, comparison.reference), looks(drawn, comparison.reference)
    size = (COLUMN if len(panels) == 1 else WIDTH, 3.3 + legend_height(panels))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(2, len(panels), squeeze=False, sharex=True, sharey="row", height_ratios=(3, 1))
    lowest = _lowest(table)
    for (upper, lower), methods in zip(grid.T, panels, strict=True):
        upper.plot((0, 1), (0, 1), color=MUTED, linewidth=0.8, label="as right as sure")
        for method in methods:
            _draw(upper, lower, table[table["method"] == method], method, look[method])
        upper.set(xlim=(lowest, 1.01), ylim=(-0.02, 1.02))
        lower.set(xlabel="confidence", ylim=(0, None))
        lower.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        legend_below(lower, upper)
    grid[0, 0].set_ylabel("accuracy")
    grid[1, 0].set_ylabel("share of pixels")
    return figure


def _lowest(table: pd.DataFrame) -> float:
    """The lower edge of the first bin that some method has pixels in."""
    return float(table.loc[table["pixels"] > 0, "low"].min()) - 0.01


def _draw(upper: Axes, lower: Axes, rows: pd.DataFrame, method: str, look: Look) -> None:
    share = (rows["pixels"] / rows["pixels"].sum()).to_numpy()
    shown = rows[share >= FEW]
    style = {"color": look.colour, "linestyle": look.line, "linewidth": 1.1}
    upper.plot(
        shown["confidence"], shown["accuracy"], marker=look.marker, markersize=2.4, label=method, **style
    )
    lower.stairs(share, np.arange(BINS + 1) / BINS, baseline=None, **style)
