"""Evaluation of a trained run: predictions as NIfTI, metrics in mm, and pictures (contract C4)."""

import logging
import shutil
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig

from rwseg.checkpoints import load_checkpoint
from rwseg.data.nifti import read_array, write_labels
from rwseg.data.store import Entry, Prepared
from rwseg.figures import case_picture
from rwseg.files import write_json, write_text
from rwseg.metrics import MissedPolicy
from rwseg.progress import track
from rwseg.run import build_network, device_name, precision, prepared_data
from rwseg.rundir import config_digest, load_config
from rwseg.tables import print_cases
from rwseg.unet import UNet
from rwseg.volumes import Row, case_rows, case_table, predict_labels

log = logging.getLogger(__name__)


def evaluate_run(cfg: DictConfig) -> Path:
    """Predict every case of `cfg.split` with the run in `cfg.run_dir`; returns the folder of the results.

    Model, preparation and classes come from the run's own `config.yaml`; `cfg.dataset.root` may name other
    data of the same layout. Writes `predictions/<case>.nii.gz` with the source's geometry, and, where
    references exist, `cases.csv` (contract C6) and the pictures of the `cfg.overlays` worst cases. Raises
    `RwsegError` for a folder that is no run, a checkpoint of another configuration, faulty data and an
    empty split.
    """
    torch.set_num_threads(cfg.trainer.threads)
    run_dir = Path(cfg.run_dir)
    run = load_config(run_dir)
    run.prepared_root = str(Path(cfg.prepared_root).absolute())
    checkpoint = load_checkpoint(run_dir / "checkpoints" / f"{cfg.checkpoint}.ckpt", config_digest(run))
    if cfg.dataset.root is not None:
        run.dataset.root = str(Path(cfg.dataset.root).absolute())
    data = prepared_data(run)
    entries = data.split(cfg.split)
    device = device_name(cfg.trainer.accelerator)
    network = _network(run, data, checkpoint["state_dict"], device)
    missed: MissedPolicy = cfg.missed or run.evaluation.missed

    folder = run_dir / "evaluation" / _name(cfg)
    building = folder.with_name(f".building-{folder.name}")
    shutil.rmtree(building, ignore_errors=True)
    (building / "predictions").mkdir(parents=True)
    rows: list[Row] = []
    autocast = precision(cfg.trainer.precision, device) != "32-true"
    for entry in track(entries, f"evaluating {cfg.split}"):
        image = torch.from_numpy(np.array(data.image(entry))).to(next(network.parameters()).device)
        with torch.autocast(image.device.type, enabled=autocast):
            labels = predict_labels(
                network, image, entry, tuple(run.dataset.patch_size), run.evaluation.flips
            )
        write_labels(building / "predictions" / f"{entry.name}.nii.gz", labels, like=data.source(entry))
        if entry.has_label:
            rows += case_rows(labels, data.reference(entry), entry, data.classes, missed)
    _write(cfg, building, data, entries, rows, missed)
    shutil.rmtree(folder, ignore_errors=True)
    building.rename(folder)
    log.info("wrote %s", folder)
    return folder


def _network(run: DictConfig, data: Prepared, state: dict[str, torch.Tensor], device: str) -> UNet:
    network = build_network(run, data)
    prefix = "network."
    network.load_state_dict({k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)})
    network.eval().to("cpu" if device == "cpu" else "cuda")
    return network


def _write(
    cfg: DictConfig, folder: Path, data: Prepared, entries: list[Entry], rows: list[Row], missed: MissedPolicy
) -> None:
    write_json(
        folder / "evaluation.json",
        {
            "split": cfg.split,
            "checkpoint": cfg.checkpoint,
            "missed": missed,
            "root": str(data.root),
            "data_digest": data.digest,
            "cases": len(entries),
        },
    )
    if not rows:
        log.info("no references in split '%s': predictions only", cfg.split)
        return
    table = case_table(rows)
    write_text(folder / "cases.csv", table.to_csv(index=False))
    print_cases(table, missed, title=f"{cfg.split}, {len(entries)} cases, {cfg.checkpoint} checkpoint")
    worst = table.groupby("case")["dice"].mean().sort_values().index[: cfg.overlays]
    for entry in track([entry for entry in entries if entry.name in set(worst)], "drawing overlays"):
        prediction = read_array(folder / "predictions" / f"{entry.name}.nii.gz").astype(np.uint8)
        dice = table[table["case"] == entry.name].set_index("class_name")["dice"]
        title = f"{entry.name} {entry.phase}   Dice " + ", ".join(
            f"{name} {value:.2f}" for name, value in dice.items()
        )
        case_picture(
            native_image(data, entry),
            data.reference(entry),
            prediction,
            data.classes,
            entry.native_spacing[1] / entry.native_spacing[2],
            title,
            folder / "overlays" / f"{entry.name}.png",
        )


def native_image(data: Prepared, entry: Entry) -> NDArray[np.float32]:
    """First channel of the case's image file, `(Z, H, W)`, as it is on disk."""
    return read_array(data.source(entry)).astype(np.float32)


def _name(cfg: DictConfig) -> str:
    if cfg.name is not None:
        return str(cfg.name)
    name = cfg.split if cfg.checkpoint == "last" else f"{cfg.split}-{cfg.checkpoint}"
    return name if cfg.dataset.root is None else f"{name}-{Path(cfg.dataset.root).resolve().name}"
