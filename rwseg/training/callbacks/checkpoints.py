"""Checkpoints: `last.ckpt` after every epoch and `best.ckpt` by validation Dice, safe from crashes."""

import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import ModelCheckpoint

from rwseg.core.errors import MALFORMED, RunError
from rwseg.core.files import replacing

LAST = "last.ckpt"
BEST = "best.ckpt"
MONITOR = "val/dice"


def checkpoint_callbacks(folder: Path, config_digest: str, every: int) -> list[pl.Callback]:
    """What keeps `last.ckpt` and `best.ckpt` in `folder`; `every` so many-th epoch is validated.

    The best one is written first: killed between the two, the epoch runs again and gives the same best one.
    """
    common: dict[str, Any] = {
        "dirpath": folder,
        "save_on_train_epoch_end": True,  # validation, if the epoch had one, is done by then
        "enable_version_counter": False,
    }
    best = ModelCheckpoint(filename="best", monitor=MONITOR, mode="max", every_n_epochs=every, **common)
    return [ConfigMark(folder, config_digest), best, ModelCheckpoint(filename="last", **common)]


class ConfigMark(pl.Callback):
    """Marks checkpoints with the digest of their configuration, and lets a run directory be moved."""

    def __init__(self, folder: Path, config_digest: str) -> None:
        self.folder = folder.resolve()  # as `ModelCheckpoint` has it
        self.config_digest = config_digest

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the mark."""
        checkpoint["rwseg"] = {"config_digest": self.config_digest}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Point `ModelCheckpoint` to where the run lies now: it forgets its best score in another folder."""
        for state in checkpoint["callbacks"].values():
            if isinstance(state, dict) and "best_k_models" in state:
                scores = {self._here(path): score for path, score in state["best_k_models"].items()}
                state.update(dirpath=str(self.folder), best_k_models=scores)
                for key in ("best_model_path", "kth_best_model_path"):
                    state[key] = self._here(state[key])

    def _here(self, path: str) -> str:
        return str(self.folder / Path(path).name) if path else path


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint under a temporary name beside its own; Lightning's lies in another folder."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`."""
        with replacing(Path(path)) as temporary:
            torch.save(checkpoint, temporary)


def validated(trainer: pl.Trainer) -> bool:
    """Whether the epoch that ends now was validated: Lightning keeps the metrics of earlier epochs."""
    return (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0


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
            f"another ({found}); start over with force=true, or use the run directory that it came "
            "from"
        )
    return dict(content)


def _read(path: Path) -> Any:
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()  # torch.load does not compare the checksums that torch.save writes
        if damaged is not None:
            raise BadZipFile(f"wrong checksum of {damaged}")
        with warnings.catch_warnings(
            action="ignore"
        ):  # of bytes that an error will name, or nothing will miss
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise RunError(
            f"{path}: expected a checkpoint of tensors and plain values, found other objects, which could "
            "run code when read; delete it, or start over with force=true"
        ) from error
    except (BadZipFile, *MALFORMED) as error:
        raise RunError(
            f"{path}: expected a checkpoint of rwseg, found a file that cannot be read ({error}); "
            "delete it, or start over with force=true"
        ) from error
