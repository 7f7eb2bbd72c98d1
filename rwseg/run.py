"""One training run from a checked configuration to a finished run directory."""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from omegaconf import DictConfig
from pytorch_lightning.utilities.exceptions import SIGTERMException

from rwseg.assembly import (
    build_data,
    build_learner,
    device_name,
    facts_of,
    has_bf16,
    planned,
    precision,
    prepared_data,
    training_device,
)
from rwseg.checkpoints import LAST, Checkpoints, load_checkpoint
from rwseg.config import Choices
from rwseg.data.module import SliceDataModule
from rwseg.data.store import Entry, Prepared
from rwseg.epochs import EpochTable, OnlyWriter, TrainingProgress
from rwseg.errors import RunError
from rwseg.figures import case_sheet, learning_curves
from rwseg.files import write_text
from rwseg.inference import most_probable, predict_slices
from rwseg.learner import Learner
from rwseg.lease import Lease
from rwseg.ranks import Ranks, joined, together
from rwseg.record import left_alone, read_run, recorded
from rwseg.rundata import save_data
from rwseg.rundir import claimed, clear, config_digest, load_config, run_path, save_config
from rwseg.signals import Terminated
from rwseg.tables import print_cases
from rwseg.tracking.identity import Identity
from rwseg.tracking.mirror import EpochMirror, Tracker
from rwseg.tracking.results import Overlay, results
from rwseg.tracking.run import tracked
from rwseg.volumes import WINDOW_BATCH

log = logging.getLogger(__name__)


def train_run(cfg: DictConfig, choices: Choices) -> Path:
    """Train the run that `cfg` (checked) asks for and return its directory.

    A finished run is left alone, an interrupted or failed one goes on where it stopped. Raises
    `RwsegError` for what the user can mend: faulty data, a directory of another configuration
    or one that is being written.
    """
    cfg.dataset.root, cfg.prepared_root = (
        str(Path(p).absolute()) for p in (cfg.dataset.root, cfg.prepared_root)
    )
    torch.set_num_threads(cfg.trainer.threads)
    device = device_name(cfg.trainer.accelerator)
    training_device(cfg)  # fewer GPUs than asked for: said before anything is written
    folder = run_path(cfg, choices)
    if left_alone(folder, cfg):
        return folder
    data = prepared_data(cfg)  # before the run directory is touched: faulty data leave none, and clear none
    full = planned(cfg, data)
    with claimed(folder) as lease:
        if cfg.force:
            clear(folder)
        elif left_alone(folder, cfg):  # meanwhile, by another process
            return folder
        _check_same_data(folder, data)
        save_config(folder, cfg)
        with recorded(folder, device, choices, data, lease):
            save_data(folder, facts_of(full, data))
            _train(full, choices, folder, data, config_digest(cfg), lease)
    return folder


@dataclass(frozen=True)
class _Parts:
    learner: Learner
    data: SliceDataModule
    trainer: pl.Trainer


def _train(
    cfg: DictConfig, choices: Choices, folder: Path, prepared: Prepared, digest: str, lease: Lease
) -> None:
    last = folder / "checkpoints" / LAST
    resume = last.is_file()
    if resume:
        epoch = load_checkpoint(last, digest)["epoch"] + 1
        log.info("resuming %s at epoch %d of %d", folder, epoch + 1, cfg.schedule.epochs)
    else:
        log.info("training %s", folder)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its advertisements and device lists
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    with tracked(cfg, Identity(folder, choices)) as tracker:
        device = training_device(cfg)
        if cfg.trainer.precision == "bf16-mixed" and not has_bf16(device):
            log.warning("trainer.precision=bf16-mixed: emulated here, many times slower than 32-true")
        ranks = Ranks(0, cfg.trainer.devices)
        with warnings.catch_warnings():
            _expect_warnings()
            parts = _assemble(cfg, folder, prepared, digest, tracker, lease, ranks)
            with together(ranks, folder, device, resume):
                _fit(parts, last if resume else None)
        lease.check()
        _finish(cfg, folder, parts)
        if tracker is not None:
            _track(tracker, folder, parts)


def _fit(parts: _Parts, resume: Path | None) -> None:
    """Train, and validate the last weights.

    `KeyboardInterrupt` after Ctrl-C, which Lightning answers by leaving with status 1.
    Lightning notes SIGTERM too and leaves after the next batch: that is for a `Terminated` that got lost, as
    any exception does that rises while an object is deleted.
    """
    try:
        parts.trainer.fit(parts.learner, datamodule=parts.data, ckpt_path=resume, weights_only=True)
    except SIGTERMException as left:
        raise Terminated from left
    except SystemExit as left:
        raise KeyboardInterrupt from left
    if parts.learner.cases_epoch != parts.learner.epochs - 1:
        parts.trainer.validate(parts.learner, datamodule=parts.data, verbose=False)


def _assemble(
    cfg: DictConfig,
    folder: Path,
    prepared: Prepared,
    digest: str,
    tracker: Tracker | None,
    lease: Lease,
    ranks: Ranks,
) -> _Parts:
    learner, data = build_learner(cfg, prepared, ranks), build_data(cfg, prepared, ranks)
    table = EpochTable(folder / "metrics" / "epochs.csv")
    # the first one: where the claim is lost, none of the others writes
    callbacks = [
        OnlyWriter(lease),
        table,
        TrainingProgress(table),
        Checkpoints(folder / "checkpoints", digest),
    ]
    mirrors = [] if tracker is None else [EpochMirror(table, tracker)]
    return _Parts(learner, data, _trainer(cfg, [*callbacks, *mirrors], ranks))


def train_rank(folder: Path, ranks: Ranks, store: Path, resume: bool) -> None:
    """Be one of the processes that help to train the run in `folder`; nothing is written."""
    cfg = load_config(folder)
    torch.set_num_threads(cfg.trainer.threads)
    prepared = prepared_data(cfg)
    full = planned(cfg, prepared)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    with joined(ranks, store, training_device(cfg)):
        learner, data = build_learner(full, prepared, ranks), build_data(full, prepared, ranks)
        parts = _Parts(learner, data, _trainer(full, [], ranks))
        _fit(parts, folder / "checkpoints" / LAST if resume else None)


def _trainer(cfg: DictConfig, callbacks: list[pl.Callback], ranks: Ranks) -> pl.Trainer:
    device = device_name(cfg.trainer.accelerator)
    return pl.Trainer(
        accelerator="cpu" if device == "cpu" else "gpu",
        devices=1 if device == "cpu" else [ranks.rank],
        precision=precision(cfg.trainer.precision, device),  # type: ignore[arg-type]
        max_epochs=cfg.schedule.epochs,
        gradient_clip_val=cfg.schedule.clip_norm,
        check_val_every_n_epoch=cfg.evaluation.every,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        benchmark=device != "cpu",
        # One process per run, whoever started it: on a cluster Lightning would take SLURM's variables.
        plugins=LightningEnvironment(),
    )


def _finish(cfg: DictConfig, folder: Path, parts: _Parts) -> None:
    """Tables and figures of the last weights; everything here can be written again from the checkpoint."""
    cases = parts.learner.cases
    assert cases is not None
    write_text(folder / "metrics" / "cases.csv", cases.to_csv(index=False))
    figures = [
        learning_curves(folder / "metrics" / "epochs.csv", folder / "figures" / "curves.png"),
        _draw_cases(parts, cases, folder / "figures" / "cases.png"),
    ]
    count = len(cases["case"].unique())
    print_cases(
        cases, cfg.evaluation.missed, title=f"{cfg.dataset.name}, {count} validation cases, last epoch"
    )
    for path in [folder / "metrics" / "cases.csv", *figures]:
        log.info("wrote %s", path)


def _draw_cases(parts: _Parts, cases: pd.DataFrame, path: Path) -> Path:
    """The worst, the median and the best validation case, on the prepared grid."""
    data = parts.data
    ranked = cases.groupby("case")["dice"].mean().sort_values()
    places = sorted({0, len(ranked) // 2, len(ranked) - 1})
    chosen = []
    for place in places:
        entry = next(entry for entry in data.val_entries if entry.name == ranked.index[place])
        _, image, reference, labels = _predicted(parts, entry)
        name = f"{entry.name} {entry.phase}, Dice {ranked.iloc[place]:.2f}"
        chosen.append((image, reference, labels, name))
    aspect = data.val_entries[0].spacing[1] / data.val_entries[0].spacing[2]
    title = "Worst, median and best validation case by mean Dice"
    return case_sheet(chosen, data.prepared.classes, aspect, title, path)


def _track(tracker: Tracker, folder: Path, parts: _Parts) -> None:
    """Results, and overlays of the same cases in every run: first, middle and last one of the validation."""
    entries, cases = parts.data.val_entries, parts.learner.cases
    assert cases is not None
    places = sorted({0, len(entries) // 2, len(entries) - 1})
    overlays = [_predicted(parts, entries[place]) for place in places]
    tracker.log_results(results(folder, cases, parts.data.prepared.classes, overlays))


def _predicted(parts: _Parts, entry: Entry) -> Overlay:
    """A validation case on the prepared grid with its prediction."""
    learner, data = parts.learner.eval(), parts.data
    image = data.volume(entry, learner.device).image
    slices = predict_slices(learner.network, image, learner.patch_size, learner.flips, WINDOW_BATCH)
    labels = most_probable([slices])
    return Overlay(entry.name, image[0].cpu().numpy(), np.asarray(data.prepared.label(entry)), labels)


def _check_same_data(folder: Path, data: Prepared) -> None:
    found = read_run(folder).get("data_digest")
    if found not in (None, data.digest):
        raise RunError(
            f"{folder} was begun on other data (hash {found}, now {data.digest} in {data.root}); "
            "restore the data, or start over with force=true"
        )


def _expect_warnings() -> None:
    """Lightning's use of a PyTorch name that is on its way out, and its advice where others train along."""
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.* is deprecated.*")
    warnings.filterwarnings("ignore", message="The `srun` command is available.*")
    warnings.filterwarnings("ignore", message="It is recommended to use .*sync_dist=True.*")  # `Ranks` did
