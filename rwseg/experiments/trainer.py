"""From a prepared run to Lightning's Trainer and all that it trains with."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.utils import instantiate
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler
from pytorch_lightning.strategies import DDPStrategy

from rwseg.core.distributed import World, cluster_environment
from rwseg.core.errors import ConfigError
from rwseg.core.lease import Lease
from rwseg.experiments.build import build_data, build_learner
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.device import device_name, has_bf16, precision, training_device
from rwseg.experiments.prepared_run import PreparedRun
from rwseg.training.callbacks.checkpoints import AtomicCheckpointIO, checkpoint_callbacks
from rwseg.training.callbacks.epoch_table import EpochTable, OnlyWriter, OwnSignals
from rwseg.training.fit import Parts, expect_warnings
from rwseg.training.loggers.callbacks import LogEpochs, Tracked

log = logging.getLogger(__name__)

PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}


def configured_callbacks(nodes: Mapping[str, Any]) -> list[pl.Callback]:
    """The callbacks of the group `callbacks`; `ConfigError` for anything else."""
    found = []
    for name, node in nodes.items():
        callback = None if node is None else instantiate(node)
        if isinstance(callback, pl.Callback):
            found.append(callback)
        elif callback is not None:
            raise ConfigError(
                f"callbacks.{name}: expected a callback of Lightning by its _target_, got {node}"
            )
    return found


def assemble(
    run: PreparedRun,
    folder: Path,
    world: World,
    callbacks: Sequence[pl.Callback],
    tracked: Sequence[Tracked] = (),
    lease: Lease | None = None,
) -> Parts:
    """Build the parts of a training; only its first process has a `lease`, and writes."""
    cfg = run.cfg
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its advertisements and device lists
    if cfg.trainer.precision == "bf16-mixed" and not has_bf16(training_device(cfg.trainer.accelerator)):
        log.warning("trainer.precision=bf16-mixed: emulated here, many times slower than 32-true")
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    learner, data = build_learner(run, world), build_data(run, world, callbacks)
    if cfg.evaluation.cases is not None:
        few, every = len(data.measured_entries), len(data.val_entries)
        log.info("validation each epoch on %d of %d cases, after the last one on all", few, every)
    table = EpochTable(folder / "metrics" / "epochs.csv")
    own = [
        *([] if lease is None else [OnlyWriter(lease)]),  # first: where the lease is lost, none writes
        OwnSignals(),
        table,
        *callbacks,
        LogEpochs(table, tracked),
        *checkpoint_callbacks(folder / "checkpoints", run.digest, cfg.evaluation.every),
    ]
    loggers = [table.logger, *(one.logger for one in tracked)]
    with warnings.catch_warnings():
        expect_warnings()
        try:
            trainer = pl.Trainer(
                callbacks=own,
                logger=loggers,
                default_root_dir=folder,
                enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in own),
                **_arguments(cfg, folder, world),
            )
        except (MisconfigurationException, ValueError, TypeError) as error:
            raise ConfigError(f"trainer: expected arguments of Lightning's Trainer, got: {error}") from error
    return Parts(folder, learner, data, trainer)


def _arguments(cfg: TrainConfig, folder: Path, world: World) -> dict[str, Any]:
    """Lightning's arguments: those of `cfg.trainer` as they are, those of other groups by their names."""
    asked: dict[str, Any] = instantiate(asdict(cfg.trainer), _convert_="all")
    del asked["threads"]
    device = device_name(cfg.trainer.accelerator)
    if asked["strategy"] == "auto" and world.size > 1:
        asked["strategy"] = DDPStrategy(find_unused_parameters=True)  # heads of weight 0 get no gradient
    if asked["profiler"] in PROFILERS:
        asked["profiler"] = PROFILERS[asked["profiler"]](dirpath=folder, filename="profile")
    return asked | {
        "accelerator": "cpu" if device == "cpu" else "gpu",
        "devices": world.local_size,
        "num_nodes": world.num_nodes,
        "precision": precision(asked["precision"], device),
        "benchmark": device != "cpu" if asked["benchmark"] is None else asked["benchmark"],
        "plugins": [cluster_environment(), AtomicCheckpointIO(), *(asked["plugins"] or [])],
        "max_epochs": cfg.schedule.epochs,
        "gradient_clip_val": cfg.schedule.clip_norm,
        "check_val_every_n_epoch": cfg.evaluation.every,
        "use_distributed_sampler": False,  # the data module shares each batch and the volumes
    }
