"""One training run from a checked configuration to a finished run directory."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from rwseg.core.distributed import Peers, World, check_world, find_world, joined, naming_the_lost
from rwseg.core.errors import ConfigError, RunError
from rwseg.core.lease import Lease
from rwseg.data.case import Dataset
from rwseg.data.oddities import leaks, oddities
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.experiments.build import served_data, spec_of
from rwseg.experiments.config.schema import Choices, TrainConfig
from rwseg.experiments.config.targets import displayed
from rwseg.experiments.config.validation import plain
from rwseg.experiments.device import cpu_threads, device_name, precision, training_device
from rwseg.experiments.loggers import tracked
from rwseg.experiments.map_weights import check_map_weights, prepared_pixels, weighs_pixels
from rwseg.experiments.own_parts import check_own_code, check_own_network
from rwseg.experiments.prepared_run import PreparedRun, dataset_of, prepare_run, source_of
from rwseg.experiments.run_claim import claimed, clear, gone_unless_begun
from rwseg.experiments.run_directory import run_path, save_config
from rwseg.experiments.run_identity import Identity
from rwseg.experiments.run_status import left_alone, read_run, recorded, update_run
from rwseg.experiments.sources import own_sources
from rwseg.experiments.trainer import assemble, configured_callbacks
from rwseg.experiments.trial import try_loss
from rwseg.models.inference.inference_spec import save_inference_spec
from rwseg.training.callbacks.checkpoints import LAST, load_checkpoint
from rwseg.training.fit import fit
from rwseg.training.results import send_results, write_results

log = logging.getLogger(__name__)


def train_run(cfg: TrainConfig, choices: Choices) -> Path:
    """Train the run that `cfg` asks for and return its directory.

    A finished run is left alone, an interrupted or failed one goes on where it stopped. Where torchrun or
    srun started several processes, all of them call this; the first one decides and writes. Raises
    `RwsegError` for what the user can mend: faulty data, a directory of another configuration or one that is
    being written, a process that was lost.
    """
    root, prepared_root = Path(cfg.dataset.root).absolute(), Path(cfg.prepared_root).absolute()
    dataset = replace(cfg.dataset, root=str(root))
    cfg = replace(cfg, dataset=dataset, prepared_root=str(prepared_root))
    device, world = training_device(cfg.trainer.accelerator), find_world()
    torch.set_num_threads(cpu_threads(cfg.trainer.threads, world.local_size))
    identity = Identity(run_path(cfg, choices), displayed(cfg, choices), cfg.seed)
    check_world(world, cfg.trainer.devices, cfg.trainer.num_nodes)
    with joined(world, device) as peers:
        if world.rank == 0:
            with _leading(peers):
                _lead(cfg, identity, peers)
        else:
            _follow(cfg, identity.folder, peers)
    return identity.folder


def _lead(cfg: TrainConfig, identity: Identity, peers: Peers) -> None:
    """The way of a run."""
    folder, device = identity.folder, device_name(cfg.trainer.accelerator)
    if left_alone(folder, cfg):
        return
    callbacks = configured_callbacks(cfg.callbacks or {})
    dataset = dataset_of(cfg)
    try_loss(cfg, dataset)
    check_map_weights(cfg, dataset, callbacks)
    check_own_code(cfg, weighs_pixels(callbacks))
    # Before the run directory is touched: faulty data leave none, and clear none.
    run = prepare_run(cfg, dataset)
    _check_share(run.cfg, peers.world, device)
    check_own_network(run, peers.world.size)
    pixels = prepared_pixels(run.cfg, served_data(run), callbacks)
    with claimed(folder) as lease, gone_unless_begun(folder) as begun:
        if left_alone(folder, cfg):  # finished meanwhile, by another process
            return
        _begin(folder, run, dataset, pixels)
        sources = own_sources(plain(cfg))
        kind = precision(cfg.trainer.precision, device)
        how = peers.world.size, sources, kind, pixels
        with recorded(folder, device, identity.choices, run.data, lease, *how):
            save_inference_spec(folder, spec_of(run, source_of(cfg, dataset)))
            settings, order = identity.settings(run.cfg), _resumed(folder, run)
            with tracked(cfg.logger or {}, identity, settings, (order.epoch, order.step)) as loggers:
                peers.broadcast(order)
                parts = assemble(run, folder, peers.world, callbacks, loggers, lease)
                begun.set()
                with naming_the_lost(peers, partial(_end, folder, lease)):
                    fit(parts, order.resume)
                lease.check()
                write_results(folder, parts.learner, parts.data, cfg.dataset.name)
                facts, steps = read_run(folder), parts.trainer.global_step
                send_results(folder, facts, settings, steps, parts.learner, parts.data, loggers)


def _follow(cfg: TrainConfig, folder: Path, peers: Peers) -> None:
    """Train with rank 0 what it says, if anything; nothing is written and nothing said."""
    logging.disable(logging.WARNING)
    order = peers.broadcast()
    if order is None:
        return
    callbacks, run = configured_callbacks(cfg.callbacks or {}), prepare_run(cfg)
    fit(assemble(run, folder, peers.world, callbacks), order.resume)


@dataclass(frozen=True)
class _Order:
    """What rank 0 tells the others: the epoch and the step that training begins with."""

    epoch: int
    step: int

    @property
    def resume(self) -> bool:
        """Whether it goes on from the last checkpoint."""
        return self.epoch > 0


@contextmanager
def _leading(peers: Peers) -> Iterator[None]:
    """Let the other ranks go where the block ends or fails before it gave them an order."""
    try:
        yield
    finally:
        if not peers.are_told:
            peers.broadcast(None)


def _begin(folder: Path, run: PreparedRun, dataset: Dataset, pixels: str | None) -> None:
    """Make the claimed directory that of `run`."""
    if run.asked.force:
        clear(folder)
    _check_same_data(folder, run.data, pixels)
    _tell_oddities(run, dataset)
    save_config(folder, run.asked)


def _resumed(folder: Path, run: PreparedRun) -> _Order:
    """Where training goes on."""
    last = folder / "checkpoints" / LAST
    if not last.is_file():
        log.info("training %s", folder)
        return _Order(0, 0)
    content = load_checkpoint(last, run.digest)
    log.info("resuming %s at epoch %d of %d", folder, content["epoch"] + 2, run.cfg.schedule.epochs)
    return _Order(content["epoch"] + 1, content["global_step"])


def _end(folder: Path, lease: Lease, reason: str) -> None:
    """Leave this process, which does not notice that another one is gone, as in a kernel of NCCL."""
    if not lease.is_lost:
        update_run(folder, {"status": "failed", "reason": reason})
    print(reason, file=sys.stderr, flush=True)
    os._exit(2)


def _check_share(cfg: TrainConfig, world: World, device: str) -> None:
    """Raise `ConfigError` where a batch cannot be shared among the processes."""
    if cfg.dataset.batch_size is not None and cfg.dataset.batch_size % world.size:
        raise ConfigError(
            f"dataset.batch_size={cfg.dataset.batch_size}: expected a multiple of the {world.size} processes "
            "that train together; give another batch size, or start another number of processes"
        )
    has_batch_norm = not isinstance(cfg.model, dict) and cfg.model.norm == "batch"
    if world.size > 1 and has_batch_norm and device == "cpu":
        raise ConfigError(
            f"model.norm=batch: expected GPUs with {world.size} processes, for PyTorch synchronises its "
            "statistics there only, got the CPU; give model.norm=instance, or train in one process"
        )


def _tell_oddities(run: PreparedRun, dataset: Dataset) -> None:
    """Warn once of what the doctor would call odd: not everybody asks it first."""
    entries, notes = run.data.entries, source_of(run.asked, dataset).notes
    for line in (*leaks(entries), *oddities(entries, run.data.classes, dataset.subjects), *notes):
        log.warning("odd data: %s", line)


def _check_same_data(folder: Path, data: Prepared, pixels: str | None) -> None:
    saved = read_run(folder)
    for key, what, now in (("data_digest", "data", data.digest), ("pixel_files", "pixel files", pixels)):
        found = saved.get(key)
        if found not in (None, now):
            raise RunError(
                f"{folder} was begun on other {what} (hash {found}, now {now} in {data.root}); "
                "restore the data, or start over with force=true"
            )
