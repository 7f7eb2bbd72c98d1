"""What a run leaves when training is over: tables, figures, and results in the loggers."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from rwseg.core.files import write_text
from rwseg.data.datamodule import SliceDataModule
from rwseg.metrics.terminal_table import print_cases
from rwseg.training.figures import case_sheet, learning_curves
from rwseg.training.lightning_module import Learner
from rwseg.training.loggers.callbacks import Tracked, predicted, shown_entries
from rwseg.training.loggers.pictures import log_results
from rwseg.training.loggers.results import results

log = logging.getLogger(__name__)


def write_results(folder: Path, learner: Learner, data: SliceDataModule, dataset: str) -> None:
    """Tables and figures of the last weights; everything here can be written again from the checkpoint.

    `dataset` is the name over the table.
    """
    cases = learner.cases
    assert cases is not None
    write_text(folder / "metrics" / "cases.csv", cases.to_csv(index=False))
    figures = draw_figures(folder, learner, data, cases)
    count = len(cases["case"].unique())
    print_cases(cases, learner.missed, title=f"{dataset}, {count} validation cases, last epoch")
    for path in [folder / "metrics" / "cases.csv", *figures]:
        log.info("wrote %s", path)


def draw_figures(folder: Path, learner: Learner, data: SliceDataModule, cases: pd.DataFrame) -> list[Path]:
    """Draw the learning curves, and the worst, the median and the best case."""
    return [
        learning_curves(folder / "metrics" / "epochs.csv", folder / "figures" / "curves.png"),
        _draw_cases(learner, data, cases, folder / "figures" / "cases.png"),
    ]


def send_results(
    folder: Path,
    facts: Mapping[str, object],
    settings: dict[str, object],
    steps: int,
    learner: Learner,
    data: SliceDataModule,
    tracked: Sequence[Tracked],
) -> None:
    """Send loggers the results, and overlays of the same cases in every run.

    `facts` are the run's `run.json`, `settings` what a logger is told of its configuration.
    """
    if not tracked:
        return
    cases = learner.cases
    assert cases is not None
    overlays = [predicted(learner, data, entry) for entry in shown_entries(data)]
    found = results(folder, facts, steps, cases, data.prepared.classes, overlays, learner.missed)
    for one in tracked:
        log_results(one.logger, found, settings, folder / "metrics" / "cases.csv")


def _draw_cases(learner: Learner, data: SliceDataModule, cases: pd.DataFrame, path: Path) -> Path:
    """The worst, the median and the best validation case, on the prepared grid."""
    ranked = cases.groupby("case")["dice"].mean().sort_values()
    places = sorted({0, len(ranked) // 2, len(ranked) - 1})
    chosen = []
    for place in places:
        entry = next(entry for entry in data.val_entries if entry.name == ranked.index[place])
        _, image, reference, labels = predicted(learner, data, entry)
        name = f"{' '.join(filter(None, (entry.name, entry.phase)))}, Dice {ranked.iloc[place]:.2f}"
        chosen.append((image, reference, labels, name))
    aspect = data.val_entries[0].spacing[1] / data.val_entries[0].spacing[2]
    title = "Worst, median and best validation case by mean Dice"
    return case_sheet(chosen, data.prepared.classes, aspect, title, path)
