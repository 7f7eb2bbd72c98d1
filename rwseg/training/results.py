"""What a run leaves when training is over: tables, figures, and results in the loggers."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rwseg.core.files import write_text
from rwseg.data.case import IGNORE
from rwseg.data.datamodule import SliceDataModule
from rwseg.data.display import displayed
from rwseg.metrics.terminal_table import print_cases
from rwseg.models.inference.sliding_window import most_probable, predict_slices
from rwseg.models.inference.whole_volumes import WINDOW_BATCH
from rwseg.training.figures import case_sheet, learning_curves
from rwseg.training.lightning_module import Learner
from rwseg.training.loggers.callbacks import Tracked, predicted, shown_entries
from rwseg.training.loggers.pictures import log_results
from rwseg.training.loggers.results import results
from rwseg.training.planes import fullest_slice
from rwseg.training.showcase import NAME as SHOWCASE
from rwseg.training.showcase import Exhibit, exhibit, exhibited, save_showcase

log = logging.getLogger(__name__)


def write_results(folder: Path, learner: Learner, data: SliceDataModule, dataset: str) -> None:
    """Tables and figures of the last weights; everything here can be written again from the checkpoint.

    `dataset` is the name over the table.
    """
    cases, reliability = learner.cases, learner.reliability
    assert cases is not None
    assert reliability is not None
    write_text(folder / "metrics" / "cases.csv", cases.to_csv(index=False))
    write_text(folder / "metrics" / "reliability.csv", reliability.to_csv(index=False))
    figures = draw_figures(folder, learner, data, cases)
    count = len(cases["case"].unique())
    print_cases(cases, learner.missed, title=f"{dataset}, {count} validation cases, last epoch")
    for path in [*(folder / "metrics" / name for name in ("cases.csv", "reliability.csv")), *figures]:
        log.info("wrote %s", path)


def draw_figures(folder: Path, learner: Learner, data: SliceDataModule, cases: pd.DataFrame) -> list[Path]:
    """Draw the learning curves, and the worst, the median and the best case; keep what reports show."""
    classes = data.prepared.classes
    return [
        learning_curves(folder / "metrics" / "epochs.csv", folder / "figures" / "curves.png"),
        _draw_cases(learner, data, cases, folder / "figures" / "cases.png"),
        save_showcase(folder / "figures" / SHOWCASE, _exhibits(learner, data), classes),
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


def _exhibits(learner: Learner, data: SliceDataModule) -> Iterator[Exhibit]:
    """The same slices in every run of the data, each predicted by itself."""
    learner.eval()
    for entry in exhibited(data.val_entries):
        reference = np.asarray(data.prepared.label(entry))
        z = fullest_slice(np.where(reference == IGNORE, np.uint8(0), reference))
        plane = reference[z]
        image = torch.from_numpy(data.prepared.image(entry, slice(z, z + 1))).to(learner.device)
        [labels] = most_probable(
            [predict_slices(learner.network, image, learner.patch_size, learner.flips, WINDOW_BATCH)]
        )
        shown = displayed(data.prepared, entry)[z]
        unlabelled, background = plane == IGNORE, np.uint8(0)
        masks = [np.where(unlabelled, background, mask) for mask in (plane, labels)]
        yield exhibit(entry, z, shown, masks[0], masks[1], len(data.prepared.classes))
