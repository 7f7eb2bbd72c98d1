"""What loggers are sent while training runs: each epoch once, and now and then pictures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from rwseg.data.case import IGNORE
from rwseg.data.datamodule import SliceDataModule
from rwseg.data.display import displayed
from rwseg.data.preprocessing.prepared import Entry
from rwseg.models.inference.sliding_window import most_probable, predict_slices
from rwseg.models.inference.whole_volumes import WINDOW_BATCH
from rwseg.training.callbacks.epoch_table import EpochTable
from rwseg.training.lightning_module import Learner
from rwseg.training.loggers.pictures import log_overlays, takes_pictures
from rwseg.training.loggers.results import Overlay

LOSSES = ("train/loss", "train/loss_gap", "val/loss", "val/loss_gap")


@dataclass(frozen=True)
class Tracked:
    """A logger, and the first epoch that it lacks: None where nobody can know."""

    logger: Logger
    first_epoch: int | None


class LogEpochs(pl.Callback):
    """Sends the rows of `table` to each logger, from the first epoch that it lacks.

    Stands after `EpochTable` and before the checkpoints: what a checkpoint holds has been sent. Lightning's
    own logging would send the epochs again that a killed process had not saved.
    """

    def __init__(self, table: EpochTable, tracked: Sequence[Tracked]) -> None:
        self.table = table
        self.tracked = tracked
        self.next_epochs: list[int] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send what an earlier process did not."""
        self.next_epochs = [
            trainer.current_epoch if one.first_epoch is None else one.first_epoch for one in self.tracked
        ]
        self._send()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send the row."""
        self._send()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send them also where all epochs are done: Lightning then begins no training and no epoch."""
        if not self.next_epochs and self.tracked:
            self.table.on_train_start(trainer, pl_module)
            self.on_train_start(trainer, pl_module)

    def _send(self) -> None:
        for place, one in enumerate(self.tracked):
            for row in self.table.rows:
                if row["epoch"] >= self.next_epochs[place]:
                    one.logger.log_metrics(measured(row), step=int(row["step"]))
                    self.next_epochs[place] = int(row["epoch"]) + 1
            one.logger.save()


class Overlays(pl.Callback):
    """Logs pictures of the same validation cases after every `every`-th epoch, to loggers that take pictures.

    Raises `ValueError` for an interval below 1.
    """

    def __init__(self, every: int) -> None:
        if every < 1:
            raise ValueError(f"callbacks.overlays.every: expected 1 or more epochs, got {every}")
        self.every = every

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Predict and log; the last epoch's pictures are among the results."""
        epoch, data = trainer.current_epoch + 1, trainer.datamodule  # type: ignore[attr-defined]
        loggers = [logger for logger in trainer.loggers if takes_pictures(logger)]
        if not loggers or not trainer.is_global_zero or epoch % self.every or epoch == trainer.max_epochs:
            return
        assert isinstance(pl_module, Learner)
        assert isinstance(data, SliceDataModule)
        overlays = [predicted(pl_module, data, entry) for entry in shown_entries(data)]
        pl_module.train()
        for logger in loggers:
            log_overlays(logger, overlays, data.prepared.classes, trainer.global_step - 1)


def shown_entries(data: SliceDataModule) -> list[Entry]:
    """First, middle and last validation case: the same ones in every run."""
    entries = data.val_entries
    return [entries[place] for place in sorted({0, len(entries) // 2, len(entries) - 1})]


def predicted(learner: Learner, data: SliceDataModule, entry: Entry) -> Overlay:
    """A validation case on the prepared grid with its prediction; leaves `learner` in evaluation mode."""
    learner.eval()
    image = data.volume(entry, learner.device).image
    slices = predict_slices(learner.network, image, learner.patch_size, learner.flips, WINDOW_BATCH)
    labels, reference = most_probable([slices]), data.prepared.label(entry)
    reference = np.where(reference == IGNORE, np.uint8(0), reference)
    return Overlay(entry.name, displayed(data.prepared, entry), reference, labels)


def measured(row: Mapping[str, float]) -> dict[str, float]:
    """Leave out what an epoch did not measure; a loss that is no number stays: it is news."""
    return {key: value for key, value in row.items() if key in LOSSES or not math.isnan(value)}
