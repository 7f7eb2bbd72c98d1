"""The figures of a report: which there are, what each shows, and why one may be left out."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from rwseg.report.comparison.calibration import NO_CALIBRATION
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.convergence import BAND
from rwseg.report.figures.calibration import reliability_figure
from rwseg.report.figures.over_cases import cases_figure, differences_figure
from rwseg.report.figures.over_epochs import training_figure
from rwseg.report.figures.over_runs import collapses_figure, cost_figure, curves_figure, distribution_figure
from rwseg.report.figures.over_seeds import pairs_figure, ranks_figure, variance_figure
from rwseg.report.figures.save import save_figure
from rwseg.report.figures.style import styled
from rwseg.report.tables import totals_text


class Drawing(NamedTuple):
    """A figure: its file's name, what it shows, why it may be missing, and what draws it or returns None.

    `measured`: it shows metrics of structures, some of which may be missed or spurious.
    """

    name: str
    title: str
    caption: str
    absent: str
    draw: Callable[[Comparison], Figure | None]
    measured: bool = True

    def caption_of(self, comparison: Comparison) -> str:
        """The caption, with the counts of missed and spurious structures and the policy where they matter."""
        return f"{self.caption} {totals_text(comparison)}" if self.measured else self.caption


DRAWINGS = (
    Drawing(
        "curves",
        "Validation Dice during training",
        "Validation Dice on whole volumes after each epoch: mean over the runs of a method; band: "
        f"{BAND[0]:.0%} to {BAND[1]:.0%} quantiles over its runs. The solid line in every row is the "
        "reference.",
        "There are no validation curves: no run has validated after an epoch yet.",
        curves_figure,
    ),
    Drawing(
        "curves_hausdorff",
        "Validation Hausdorff distance during training",
        "As above, the Hausdorff distance; with the policy nan, of structures that both sides have.",
        "There are no curves of the Hausdorff distance.",
        partial(curves_figure, metric="hausdorff"),
    ),
    Drawing(
        "training",
        "Loss during training",
        "Training loss, and beneath it the loss gap (loss minus that of a perfect prediction) on a "
        f"logarithmic scale: mean over the runs of a method; band: {BAND[0]:.0%} to {BAND[1]:.0%} quantiles "
        "over its runs. Each method has scales of its own: losses differ in size and sign, and only shapes "
        "compare.",
        "There are no training losses: no run has trained an epoch yet.",
        training_figure,
        measured=False,
    ),
    Drawing(
        "distribution",
        "Distribution of the final Dice over seeds",
        "Empirical distribution over seeds: the share of a method's runs whose mean Dice is at most the "
        "value on the axis, with its 95 % confidence band. A curve further right is better, a steeper one "
        "less a matter of luck.",
        "There is no distribution over seeds: it takes at least two finished runs of a method.",
        distribution_figure,
    ),
    Drawing(
        "pairs",
        "Differences of all pairs",
        "Mean Dice of the row's method minus that of the column's, the best first; in bold and colour where "
        "p < 0.05 over seeds and subjects, with Holm's correction over all pairs.",
        "There are no pairs: it takes a second method.",
        pairs_figure,
        measured=False,
    ),
    Drawing(
        "variance",
        "What a difference varies with",
        "Whence the variance of the mean difference to the best method: from seeds, from patients, or from "
        "both together; beside it how many seeds would tell a difference of this size with 80 % power.",
        "There is no variance over seeds: it takes two methods with two seeds in common.",
        variance_figure,
        measured=False,
    ),
    Drawing(
        "ranks",
        "Stability of the ranking",
        "How often a method has a rank by mean Dice, over 2000 resamples of seeds and patients: the larger "
        "the blob, the more often.",
        "There is no ranking: it takes a second method.",
        ranks_figure,
        measured=False,
    ),
    Drawing(
        "cases",
        "Dice of every case",
        "Dice of every case, averaged over the runs of a method. A case has the same height in every row, "
        "the easiest for the reference on top; box: quartiles and median.",
        "There are no cases: no run has finished a validation yet.",
        cases_figure,
    ),
    Drawing(
        "differences",
        "Difference to the reference",
        "Mean difference of each method to the reference on the same cases, with its 95 % bootstrap interval "
        "(cases of one subject drawn together).",
        "There are no differences: it takes a second method with results on the same cases.",
        differences_figure,
    ),
    Drawing(
        "collapses",
        "Runs that collapsed",
        "Share of runs that lost a class (mean Dice below 0.1), with exact 95 % binomial intervals.",
        "There are no shares of collapsed runs: no run has finished yet.",
        collapses_figure,
    ),
    Drawing(
        "reliability",
        "Calibration",
        "Accuracy of the predicted classes where they have this confidence (the largest class probability), "
        "pooled over the runs of a method; on the line it is as often right as it is sure, below it is too "
        "sure. Pixels that reference or prediction takes for foreground; bins with less than 0.1 % of them "
        "are left out.",
        NO_CALIBRATION,
        reliability_figure,
        measured=False,
    ),
    Drawing(
        "cost",
        "What a run costs",
        "Time of a run and of an epoch, validation included, mean over the runs of a method.",
        "There is no cost: no run has finished yet.",
        cost_figure,
        measured=False,
    ),
)


def draw_figures(comparison: Comparison, folder: Path) -> dict[str, Path]:
    """Draw what the numbers allow as `folder/<name>.svg`, `.pdf` and `.png`; returns the PNG's path by name.

    The bytes depend on the numbers alone. A figure without numbers is left out; its `Drawing` says why.
    """
    paths: dict[str, Path] = {}
    with styled():
        for drawing in DRAWINGS:
            figure = drawing.draw(comparison)
            if figure is not None:
                paths[drawing.name] = save_figure(figure, drawing.title, folder, drawing.name)
    return paths
