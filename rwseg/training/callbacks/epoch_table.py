"""`metrics/epochs.csv`, one row per epoch, and the line that a person reads while training runs."""

import math
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger
from rich.progress import TaskID

from rwseg.core.errors import table_of_run
from rwseg.core.files import write_text
from rwseg.core.lease import Lease
from rwseg.core.progress import bar, duration, on_terminal
from rwseg.data.datamodule import SliceDataModule
from rwseg.training.callbacks.checkpoints import validated
from rwseg.training.lightning_module import Learner


class OnlyWriter(pl.Callback):
    """Ends the training where its lease of the run directory is lost, before an epoch is written.

    `ClaimLostError` is what it raises. Stands before every callback that writes.
    """

    def __init__(self, lease: Lease) -> None:
        self.lease = lease

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look before an epoch is computed for nothing."""
        self.lease.check()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look before it is written."""
        self.lease.check()


class OwnSignals(pl.Callback):
    """Keeps our handler of SIGTERM: that of Lightning talks to the other processes from within the signal."""

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put ours back; Lightning sets its own just before."""
        if threading.current_thread() is threading.main_thread():  # no other may set handlers
            signal.signal(signal.SIGTERM, self.handler)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The same for a validation by itself."""
        self.on_train_start(trainer, pl_module)


class EpochTable(pl.Callback):
    """Adds a row per epoch to the CSV file; a resumed run first drops the rows that it will write again.

    `step` is that of the last training step, as loggers have it, `seconds` the whole epoch with validation,
    `train_seconds` the training steps, `data_seconds` the part of those spent on building batches. A column
    that an epoch did not measure is empty. `logger` takes in what other callbacks log, such as Lightning's
    `LearningRateMonitor`: a column each.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logger = TableLogger(path.parent)
        self.rows: list[dict[str, float]] = []
        self.started = 0.0
        self.train_seconds = 0.0
        self.learning_rate = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take over the rows of the epochs that are done; only now does the trainer know its epoch."""
        if self.path.is_file() and trainer.is_global_zero:
            with table_of_run(self.path):
                earlier = pd.read_csv(self.path)
                done = earlier[earlier["epoch"] < trainer.current_epoch]
                self.rows = [
                    {str(key): float(value) for key, value in row.items()} for row in done.to_dict("records")
                ]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clocks."""
        self.started = time.perf_counter()
        # Lightning's scheduler steps before the epoch's end.
        self.learning_rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        _data(trainer).data_seconds = 0.0

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The training steps of this epoch end here."""
        self.train_seconds = time.perf_counter() - self.started

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the row."""
        assert isinstance(pl_module, Learner)
        seconds = time.perf_counter() - self.started
        was_validated = validated(trainer)
        row = {
            "epoch": float(trainer.current_epoch),
            "step": float(trainer.global_step - 1),
            "learning_rate": self.learning_rate,
            "alpha": pl_module.loss.alpha if pl_module.loss.mode == "gradual" else math.nan,
            "seconds": seconds,
            "train_seconds": self.train_seconds if was_validated else seconds,
            "data_seconds": _data(trainer).data_seconds,
        }
        for name, value in trainer.callback_metrics.items():
            if name.startswith("train/") or was_validated:
                row[name] = float(value)
        self.rows.append({**self.logger.taken(), **row})
        if trainer.is_global_zero:
            table = pd.DataFrame(self.rows).astype({"epoch": int, "step": "Int64"})
            write_text(self.path, table.to_csv(index=False))


class TableLogger(Logger):
    """Keeps the latest values that callbacks of other people log, for the row of their epoch."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.values: dict[str, float] = {}

    @property
    def name(self) -> str:
        """As trackers call it."""
        return "csv"

    @property
    def version(self) -> str:
        """A run directory holds one table."""
        return ""

    @property
    def save_dir(self) -> str:
        """Where Lightning's profilers write."""
        return str(self.folder)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep them."""
        self.values.update({key: float(value) for key, value in metrics.items() if key != "epoch"})

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """They stand in config.yaml."""

    def taken(self) -> dict[str, float]:
        """What was logged since the last call."""
        values, self.values = self.values, {}
        return values


class TrainingProgress(pl.Callback):
    """A bar over the whole training with the time left on a terminal, and a line per epoch everywhere."""

    def __init__(self) -> None:
        self.bar = bar()
        self.task: TaskID | None = None
        self.started = 0.0
        self.first_epoch = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar where somebody watches."""
        self.started = time.monotonic()
        self.first_epoch = trainer.current_epoch
        if on_terminal() and trainer.is_global_zero:
            batches = int(trainer.num_training_batches)
            total = batches * (trainer.max_epochs or 0)
            self.task = self.bar.add_task("training", total=total, completed=batches * trainer.current_epoch)
            self.bar.start()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Advance."""
        if self.task is not None:
            self.bar.advance(self.task)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say how the epoch went and how long the rest will take."""
        if not trainer.is_global_zero:
            return
        done, epochs = trainer.current_epoch + 1, trainer.max_epochs or 0
        spent = time.monotonic() - self.started
        left = spent / (done - self.first_epoch) * (epochs - done)
        row = epoch_table(trainer).rows[-1]
        line = f"epoch {done}/{epochs}  loss {row['train/loss']:.4f}  gap {row['train/loss_gap']:.4f}"
        if "val/dice" in row and not math.isnan(row["val/dice"]):
            line += f"  val dice {row['val/dice']:.3f}"
        self.bar.console.print(f"{line}  {row['seconds']:.1f} s, {duration(left)} left", highlight=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the terminal as it was."""
        self.bar.stop()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave the terminal as it was."""
        self.bar.stop()


def epoch_table(trainer: pl.Trainer) -> EpochTable:
    """The table that a trainer writes; only that of the first process writes one."""
    return next(found for found in trainer.callbacks if isinstance(found, EpochTable))  # type: ignore[attr-defined]


def _data(trainer: pl.Trainer) -> SliceDataModule:
    module = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(module, SliceDataModule)
    return module
