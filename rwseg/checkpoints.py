"""Checkpoints: `last.ckpt` after every epoch and `best.ckpt` by validation Dice, written so that a crash cannot hurt them."""

import shutil
from pathlib import Path
from typing import Any

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
        dice = trainer.callback_metrics.get("val/dice")
        improved = self.validated(trainer) and dice is not None and float(dice) > self.best
        if improved and dice is not None:
            self.best = float(dice)
        with replacing(self.folder / LAST) as temporary:
            trainer.save_checkpoint(temporary, weights_only=False)  # optimiser and loops too
            if (
                improved
            ):  # first: were we killed between the two, this epoch would run again and give the same best
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
        """Whether the epoch that ends now was validated: metrics of earlier epochs stay in Lightning's dictionary."""
        interval = trainer.check_val_every_n_epoch or 1
        return (trainer.current_epoch + 1) % interval == 0


def load_checkpoint(path: Path, config_digest: str) -> dict[str, Any]:
    """Read a checkpoint without unpickling code; `RunError` if it is damaged or another configuration made it."""
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise RunError(f"{path}: expected a checkpoint, found no file; train the run first") from error
    except Exception as error:  # torch raises half a dozen types for damaged files
        raise RunError(
            f"{path}: expected a checkpoint of rwseg, found a file that cannot be read ({error}); "
            "delete it, or start over with force=true"
        ) from error
    found = content.get("rwseg", {}).get("config_digest")
    if found != config_digest:
        raise RunError(
            f"{path}: expected a checkpoint of this run's configuration ({config_digest}), found one of another "
            f"({found}); start over with force=true, or use the run directory that it came from"
        )
    return content
