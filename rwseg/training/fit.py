"""The training of a run: from Lightning's Trainer and its parts to the last validation."""

import shutil
import warnings
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities.exceptions import SIGTERMException

from rwseg.core.files import replacing
from rwseg.core.signals import Terminated
from rwseg.data.datamodule import SliceDataModule
from rwseg.training.callbacks.checkpoints import BEST, LAST, MONITOR
from rwseg.training.lightning_module import Learner


@dataclass(frozen=True)
class Parts:
    """What trains a run in `folder`."""

    folder: Path
    learner: Learner
    data: SliceDataModule
    trainer: pl.Trainer


def fit(parts: Parts, resume: bool) -> None:
    """Train, and validate the last weights, on all cases.

    The best weights are those of the cases of the curve over epochs.
    `KeyboardInterrupt` after Ctrl-C, which Lightning answers by leaving with status 1.
    Lightning notes SIGTERM too and leaves after the next batch: that is for a `Terminated` that got lost, as
    any exception does that rises while an object is deleted.
    """
    with warnings.catch_warnings(), closing(parts.learner.metrics_pool):
        expect_warnings()
        _fit(parts, resume)


def _fit(parts: Parts, resume: bool) -> None:
    trainer, last = parts.trainer, parts.folder / "checkpoints" / LAST
    try:
        trainer.fit(
            parts.learner, datamodule=parts.data, ckpt_path=last if resume else None, weights_only=True
        )
    except SIGTERMException as left:
        raise Terminated from left
    except SystemExit as left:
        raise KeyboardInterrupt from left
    finally:  # Lightning does so only after a training that ended well
        parts.data.teardown("fit")
    if parts.learner.cases_epoch != trainer.current_epoch - 1:
        trainer.validate(parts.learner, datamodule=parts.data, verbose=False)
        if trainer.is_global_zero and last.is_file():
            _keep_best(parts)
    if not parts.data.measures_all:
        parts.data.measure_all()
        trainer.validate(parts.learner, datamodule=parts.data, verbose=False)


def _keep_best(parts: Parts) -> None:
    """Take the last weights, validated after training, as the best ones where they are."""
    best = next(
        found
        for found in parts.trainer.checkpoint_callbacks
        if isinstance(found, ModelCheckpoint) and found.monitor == MONITOR
    )
    score = float(parts.trainer.callback_metrics[MONITOR])
    if best.best_model_score is None or score > float(best.best_model_score):
        with replacing(parts.folder / "checkpoints" / BEST) as temporary:
            shutil.copyfile(parts.folder / "checkpoints" / LAST, temporary)


def expect_warnings() -> None:
    """What is meant to be so: an old name of PyTorch, advice where others train along, a resumed run."""
    for message in (
        ".*isinstance.treespec, LeafSpec.* is deprecated.*",
        "The `srun` command is available.*",
        "The number of training batches .* is smaller than the logging interval",
        "Checkpoint directory .* exists and is not empty",
        "Experiment logs directory .* exists and is not empty",
    ):
        warnings.filterwarnings("ignore", message=message)
