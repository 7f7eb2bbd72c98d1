"""Lightning's Trainer for a run: its parts, and their training to the last validation."""

import logging
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.utils import instantiate
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig
from pytorch_lightning.callbacks import ModelCheckpoint, ProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import SIGTERMException

from rwseg.assembly import build_data, build_learner, device_name, has_bf16, precision, training_device
from rwseg.checkpoints import BEST, LAST, MONITOR, AtomicCheckpointIO, checkpoint_callbacks
from rwseg.data.module import SliceDataModule
from rwseg.data.store import Prepared
from rwseg.epochs import EpochTable, OnlyWriter, OwnSignals
from rwseg.errors import ConfigError
from rwseg.files import replacing
from rwseg.learner import Learner
from rwseg.lease import Lease
from rwseg.signals import Terminated
from rwseg.tracking.callbacks import LogEpochs
from rwseg.tracking.loggers import Tracked
from rwseg.world import World, cluster_environment

log = logging.getLogger(__name__)

PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}


@dataclass(frozen=True)
class Parts:
    """What trains a run in `folder`."""

    folder: Path
    learner: Learner
    data: SliceDataModule
    trainer: pl.Trainer


def configured_callbacks(cfg: DictConfig) -> list[pl.Callback]:
    """The callbacks of the group `callbacks`; `ConfigError` for anything else."""
    found = []
    for name, node in (cfg.callbacks or {}).items():
        callback = None if node is None else instantiate(node)
        if isinstance(callback, pl.Callback):
            found.append(callback)
        elif callback is not None:
            raise ConfigError(
                f"callbacks.{name}: expected a callback of Lightning by its _target_, got {node}"
            )
    return found


def assemble(
    cfg: DictConfig,
    folder: Path,
    prepared: Prepared,
    digest: str,
    world: World,
    callbacks: Sequence[pl.Callback],
    tracked: Sequence[Tracked] = (),
    lease: Lease | None = None,
) -> Parts:
    """Build the parts of a (planned) run; only its first process has a `lease`, and writes."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its advertisements and device lists
    if cfg.trainer.precision == "bf16-mixed" and not has_bf16(training_device(cfg)):
        log.warning("trainer.precision=bf16-mixed: emulated here, many times slower than 32-true")
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    learner, data = build_learner(cfg, prepared), build_data(cfg, prepared, world)
    table = EpochTable(folder / "metrics" / "epochs.csv")
    own = [
        *([] if lease is None else [OnlyWriter(lease)]),  # first: where the lease is lost, none writes
        OwnSignals(),
        table,
        *callbacks,
        LogEpochs(table, tracked),
        *checkpoint_callbacks(folder / "checkpoints", digest, cfg.evaluation.every),
    ]
    with warnings.catch_warnings():
        _expect_warnings()
        loggers = [table.logger, *(one.logger for one in tracked)]
        return Parts(folder, learner, data, _trainer(cfg, folder, own, loggers, world))


def fit(parts: Parts, resume: bool) -> None:
    """Train, and validate the last weights.

    `KeyboardInterrupt` after Ctrl-C, which Lightning answers by leaving with status 1.
    Lightning notes SIGTERM too and leaves after the next batch: that is for a `Terminated` that got lost, as
    any exception does that rises while an object is deleted.
    """
    trainer, last = parts.trainer, parts.folder / "checkpoints" / LAST
    with warnings.catch_warnings():
        _expect_warnings()
        try:
            trainer.fit(
                parts.learner, datamodule=parts.data, ckpt_path=last if resume else None, weights_only=True
            )
        except SIGTERMException as left:
            raise Terminated from left
        except SystemExit as left:
            raise KeyboardInterrupt from left
        if parts.learner.cases_epoch != trainer.current_epoch - 1:
            trainer.validate(parts.learner, datamodule=parts.data, verbose=False)
            if trainer.is_global_zero and last.is_file():
                _keep_best(parts)


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


def _trainer(
    cfg: DictConfig, folder: Path, callbacks: list[pl.Callback], loggers: list[Logger], world: World
) -> pl.Trainer:
    """The Trainer of a run: arguments of `cfg.trainer` as they are, those of other groups by their names.

    `ConfigError` with Lightning's words for what it refuses.
    """
    asked: dict[str, Any] = instantiate(cfg.trainer, _convert_="all")
    del asked["threads"]
    device = device_name(cfg.trainer.accelerator)
    if asked["strategy"] == "auto" and world.size > 1:
        asked["strategy"] = DDPStrategy(find_unused_parameters=True)  # heads of weight 0 get no gradient
    if asked["profiler"] in PROFILERS:
        asked["profiler"] = PROFILERS[asked["profiler"]](dirpath=folder, filename="profile")
    asked.update(
        accelerator="cpu" if device == "cpu" else "gpu",
        devices=world.local_size,
        num_nodes=world.num_nodes,
        precision=precision(asked["precision"], device),
        benchmark=device != "cpu" if asked["benchmark"] is None else asked["benchmark"],
        plugins=[cluster_environment(), AtomicCheckpointIO(), *(asked["plugins"] or [])],
    )
    try:
        return pl.Trainer(
            max_epochs=cfg.schedule.epochs,
            gradient_clip_val=cfg.schedule.clip_norm,
            check_val_every_n_epoch=cfg.evaluation.every,
            callbacks=callbacks,
            logger=loggers,
            default_root_dir=folder,
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
            use_distributed_sampler=False,  # the data module shares each batch and the volumes
            **asked,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise ConfigError(f"trainer: expected arguments of Lightning's Trainer, got: {error}") from error


def _expect_warnings() -> None:
    """What is meant to be so: an old name of PyTorch, advice where others train along, a resumed run."""
    for message in (
        ".*isinstance.treespec, LeafSpec.* is deprecated.*",
        "The `srun` command is available.*",
        "The number of training batches .* is smaller than the logging interval",
        "Checkpoint directory .* exists and is not empty",
        "Experiment logs directory .* exists and is not empty",
    ):
        warnings.filterwarnings("ignore", message=message)
