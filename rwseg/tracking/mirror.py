"""The rows of `epochs.csv` in a tracker: each epoch once, also where training was interrupted."""

import math
from collections.abc import Mapping
from typing import Protocol

import pytorch_lightning as pl

from rwseg.epochs import EpochTable
from rwseg.tracking.results import Results

LOSSES = ("train/loss", "train/loss_gap")


class Tracker(Protocol):
    """Where the rows and results of a run go. Its step is the epoch, 0-based."""

    @property
    def first_epoch(self) -> int | None:
        """The first epoch that the tracker lacks; None where it cannot know."""

    def log_epoch(self, epoch: int, row: Mapping[str, float]) -> None:
        """Take the row of an epoch; called once per epoch, in their order."""

    def log_results(self, results: Results) -> None:
        """Take the results of the last weights."""

    def close(self, success: bool) -> None:
        """End the run in the tracker, as finished or as failed."""


class EpochMirror(pl.Callback):
    """Sends the rows of `table` to `tracker`, from the first epoch that it lacks.

    Stands after `EpochTable` and `Checkpoints`: an epoch is sent once its checkpoint is saved, so none is
    sent again by a resumed run. What a killed process had not sent any more is sent then, where the tracker
    says what it holds. Lightning's own logging knows neither.
    """

    def __init__(self, table: EpochTable, tracker: Tracker) -> None:
        self.table = table
        self.tracker = tracker
        self.next_epoch: int | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send what an earlier process did not."""
        first = self.tracker.first_epoch
        self.next_epoch = trainer.current_epoch if first is None else first
        self._send()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send the row."""
        self._send()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send them also where all epochs are done: Lightning then begins no training and no epoch."""
        if self.next_epoch is None:
            self.table.on_train_start(trainer, pl_module)
            self.on_train_start(trainer, pl_module)

    def _send(self) -> None:
        for row in self.table.rows:
            epoch = int(row["epoch"])
            if self.next_epoch is not None and epoch >= self.next_epoch:
                self.tracker.log_epoch(epoch, measured(row))
                self.next_epoch = epoch + 1


def measured(row: Mapping[str, float]) -> dict[str, float]:
    """Leave out what an epoch did not measure; a loss that is no number stays: it is news."""
    return {key: value for key, value in row.items() if key in LOSSES or not math.isnan(value)}
