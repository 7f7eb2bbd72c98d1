"""What a run leaves when training is over: tables, figures, and results in the loggers."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from rwseg.data.module import SliceDataModule
from rwseg.figures import case_sheet, learning_curves
from rwseg.files import write_text
from rwseg.learner import Learner
from rwseg.tables import print_cases
from rwseg.tracking.callbacks import predicted, shown_entries
from rwseg.tracking.identity import Identity
from rwseg.tracking.loggers import Tracked
from rwseg.tracking.pictures import log_results
from rwseg.tracking.results import results

log = logging.getLogger(__name__)


def write_outcome(cfg: DictConfig, folder: Path, learner: Learner, data: SliceDataModule) -> None:
    """Tables and figures of the last weights; everything here can be written again from the checkpoint."""
    cases = learner.cases
    assert cases is not None
    write_text(folder / "metrics" / "cases.csv", cases.to_csv(index=False))
    figures = draw_figures(folder, learner, data, cases)
    count = len(cases["case"].unique())
    print_cases(
        cases, cfg.evaluation.missed, title=f"{cfg.dataset.name}, {count} validation cases, last epoch"
    )
    for path in [folder / "metrics" / "cases.csv", *figures]:
        log.info("wrote %s", path)


def draw_figures(folder: Path, learner: Learner, data: SliceDataModule, cases: pd.DataFrame) -> list[Path]:
    """Draw the learning curves, and the worst, the median and the best case."""
    return [
        learning_curves(folder / "metrics" / "epochs.csv", folder / "figures" / "curves.png"),
        _draw_cases(learner, data, cases, folder / "figures" / "cases.png"),
    ]


def log_outcome(
    cfg: DictConfig,
    identity: Identity,
    steps: int,
    learner: Learner,
    data: SliceDataModule,
    tracked: Sequence[Tracked],
) -> None:
    """Results, and overlays of the same cases in every run."""
    if not tracked:
        return
    cases = learner.cases
    assert cases is not None
    overlays = [predicted(learner, data, entry) for entry in shown_entries(data)]
    found = results(identity.folder, steps, cases, data.prepared.classes, overlays)
    for one in tracked:
        table = identity.folder / "metrics" / "cases.csv"
        log_results(one.logger, found, identity.settings(cfg), table)


def _draw_cases(learner: Learner, data: SliceDataModule, cases: pd.DataFrame, path: Path) -> Path:
    """The worst, the median and the best validation case, on the prepared grid."""
    ranked = cases.groupby("case")["dice"].mean().sort_values()
    places = sorted({0, len(ranked) // 2, len(ranked) - 1})
    chosen = []
    for place in places:
        entry = next(entry for entry in data.val_entries if entry.name == ranked.index[place])
        _, image, reference, labels = predicted(learner, data, entry)
        name = f"{entry.name} {entry.phase}, Dice {ranked.iloc[place]:.2f}"
        chosen.append((image, reference, labels, name))
    aspect = data.val_entries[0].spacing[1] / data.val_entries[0].spacing[2]
    title = "Worst, median and best validation case by mean Dice"
    return case_sheet(chosen, data.prepared.classes, aspect, title, path)
