"""Checkpoints: `last.ckpt` after every epoch and `best.ckpt` by validation Dice, safe from crashes."""

import shutil
import zlib
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import pytorch_lightning as pl
import torch

from rwseg.errors import RunError
from rwseg.files import replacing

LAST = "last.ckpt"
BEST = "best.ckpt"


class Checkpoints(pl.Callback):
    """Saves the whole training state after each epoch, under the digest of the configuration that made it."""

    def __init__(self, folder: Path, config_digest: str) -> None:
        self.folder = folder
        self.config_digest = config_digest
        self.best = -1.0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save; validation, if this epoch had one, is done by now."""
        dice = float(trainer.callback_metrics.get("val/dice", -1.0))
        improved = dice > self.best  # without validation in this epoch it is an earlier one's: no improvement
        if improved:
            self.best = dice
        with replacing(self.folder / LAST) as temporary:
            trainer.save_checkpoint(temporary, weights_only=False)  # optimiser and loops too
            if improved:  # first: killed between the two, this epoch would run again and give the same best
                with replacing(self.folder / BEST) as best:
                    shutil.copyfile(temporary, best)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Mark the checkpoint with its configuration."""
        checkpoint["rwseg"] = {"config_digest": self.config_digest, "best": self.best}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take the best Dice so far from the checkpoint."""
        self.best = float(checkpoint["rwseg"]["best"])

    @staticmethod
    def validated(trainer: pl.Trainer) -> bool:
        """Whether the epoch that ends now was validated: Lightning keeps the metrics of earlier epochs."""
        interval = trainer.check_val_every_n_epoch or 1
        return (trainer.current_epoch + 1) % interval == 0


def load_checkpoint(path: Path, config_digest: str) -> dict[str, Any]:
    """Read a checkpoint without unpickling code; `RunError` if damaged or of another configuration."""
    if not path.is_file():
        raise RunError(f"{path}: expected a checkpoint, found no file; train the run first")
    content = _read(path)
    mark = content.get("rwseg") if isinstance(content, dict) else None
    if not isinstance(mark, dict):
        raise RunError(f"{path}: expected a checkpoint of rwseg, found a file of another program")
    found = mark.get("config_digest")
    if found != config_digest:
        raise RunError(
            f"{path}: expected a checkpoint of this run's configuration ({config_digest}), found one of "
            f"another ({found}); start over with force=true, or use the run directory that it came from"
        )
    return dict(content)


def _read(path: Path) -> Any:
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()  # torch.load does not compare the checksums that torch.save writes
        if damaged is not None:
            raise BadZipFile(f"wrong checksum of {damaged}")
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise RunError(
            f"{path}: expected a checkpoint of tensors and plain values, found other objects, which could "
            "run code when read; delete it, or start over with force=true"
        ) from error
    except (BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
        raise RunError(
            f"{path}: expected a checkpoint of rwseg, found a file that cannot be read ({error}); "
            "delete it, or start over with force=true"
        ) from error
