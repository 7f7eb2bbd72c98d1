"""evaluate.py: a trained run, or an ensemble, on a split of a dataset or on new images (contract C4)."""

import hashlib
import logging
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from joblib import cpu_count
from numpy.typing import NDArray

from rwseg.core.errors import ConfigError, DataError
from rwseg.core.files import write_json, write_text
from rwseg.core.progress import track
from rwseg.data.case import IGNORE, Case, LoadedCase, Source
from rwseg.data.display import is_coloured
from rwseg.data.io.cases import label_ending, native_image, read_case, write_labels
from rwseg.data.oddities import remark_lines
from rwseg.experiments.config.schema import EvaluateConfig, PredictConfig
from rwseg.experiments.device import cpu_threads, device_name, metrics_processes, precision
from rwseg.experiments.evaluation_cases import cases_to_evaluate
from rwseg.experiments.load_run import load_ensemble
from rwseg.metrics import MissedPolicy
from rwseg.metrics.terminal_table import print_cases
from rwseg.models.inference.folder import predict_folder, raise_faults
from rwseg.models.inference.metrics_pool import MetricsPool
from rwseg.models.inference.predictor import Predictor, predict_case
from rwseg.models.inference.whole_volumes import CaseIdentity, Row, case_table
from rwseg.training.figures import case_picture

log = logging.getLogger(__name__)


def evaluate_run(cfg: EvaluateConfig) -> Path:
    """Predict a split, or the images in `cfg.input`, with the run or runs in `cfg.run_dir`.

    Model, preparation and classes are those of the runs themselves. Returns the folder of the results.
    Raises `RwsegError` for a folder that is no run, a checkpoint of another configuration, runs that do not
    go together, faulty data and an empty split.
    """
    with loaded(cfg) as members:
        if cfg.input is not None and cfg.output is not None:
            return predict_folder(members, Path(cfg.input), Path(cfg.output), cfg.checkpoint, cfg.force)
        return evaluate_split(cfg, members)


@contextmanager
def loaded(cfg: EvaluateConfig | PredictConfig) -> Iterator[list[Predictor]]:
    """The run or runs in `cfg.run_dir` on the device of `cfg.trainer`, in whose precision the block computes.

    Raises as `evaluate_run`.
    """
    torch.set_num_threads(cpu_threads(cfg.trainer.threads))
    name = device_name(cfg.trainer.accelerator)
    device = torch.device("cpu" if name == "cpu" else "cuda")
    several = isinstance(cfg.run_dir, list)
    run_dirs = [Path(folder) for folder in cfg.run_dir] if several else [Path(cfg.run_dir)]
    members = load_ensemble(run_dirs, cfg.checkpoint, device)
    kind = precision(cfg.trainer.precision, name)
    half = torch.bfloat16 if kind == "bf16-mixed" else torch.float16
    with torch.autocast(device.type, dtype=half, enabled=kind != "32-true"):
        yield members


def evaluate_split(cfg: EvaluateConfig, members: Sequence[Predictor]) -> Path:
    """Predict every case of `cfg.split`; returns the folder of the results.

    Writes `predictions/<case>.nii.gz` (or the ending of the dataset's pictures) with the source's geometry,
    and, where references exist, `cases.csv` (contract C6) and the pictures of the `cfg.overlays` worst cases.
    Nothing of it appears before everything is there. `cfg.dataset.root` may name other data of the same
    layout. Raises as `evaluate_run`; faulty cases are listed together.
    """
    root = Path(members[0].config.dataset.root if cfg.dataset.root is None else cfg.dataset.root)
    source, cases = cases_to_evaluate(members, root, cfg.split)
    missed: MissedPolicy = cfg.missed or members[0].config.evaluation.missed
    folder = _folder(cfg, members)
    building = folder.with_name(f".building-{folder.name}-{secrets.token_hex(4)}")
    try:
        with closing(_metrics_pool(cfg)) as pool:
            rows, digest = _predict(members, source, cases, building / "predictions", missed, cfg.split, pool)
        facts = {
            "split": cfg.split,
            "checkpoint": cfg.checkpoint,
            "missed": missed,
            "root": str(root.absolute()),
            "data_digest": digest,
            "cases": len(cases),
            "runs": [str(member.folder) for member in members],
        }
        write_json(building / "evaluation.json", facts)
        if rows:
            table = case_table(rows)
            write_text(building / "cases.csv", table.to_csv(index=False))
            print_cases(table, missed, title=f"{cfg.split}, {len(cases)} cases, {cfg.checkpoint} checkpoint")
            _draw_worst(building, members[0], source, cases, table, cfg.overlays)
        else:
            log.info("no references in split '%s': predictions only", cfg.split)
        shutil.rmtree(folder, ignore_errors=True)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    log.info("wrote %s", folder)
    return folder


def _predict(
    members: Sequence[Predictor],
    source: Source,
    cases: Sequence[Case],
    folder: Path,
    missed: MissedPolicy,
    split: str,
    pool: MetricsPool,
) -> tuple[list[Row], str]:
    """Write the label maps; the rows of `cases.csv`, and a hash of the images and references."""
    data = members[0].data
    digest = hashlib.blake2b(digest_size=16)
    faults: list[str] = []
    remarks = []
    for case in track(cases, f"evaluating {split}"):
        try:
            loaded = read_case(case, source, data.slice_axis)
            remarks.append((case.name, loaded.remarks))
            if faults:
                continue  # nothing will be written: read on only to list all faults
            labels = predict_case(members, loaded)
        except DataError as fault:
            faults.append(f"{case.name}: {fault}")
            continue
        _add(digest, case, loaded)
        path = folder / f"{case.name}{label_ending(case.images[0], data.written)}"
        write_labels(
            path, labels, case.images[0], data.slice_axis, values=data.written, converted=data.converted
        )
        if loaded.label is not None:
            measured = CaseIdentity(case.name, case.subject, case.phase, loaded.spacing, loaded.unit)
            pool.add(labels, loaded.label, measured, data.classes, missed)
    raise_faults(f"nothing was written for split '{split}'", faults)
    for line in remark_lines(remarks):
        log.warning("odd data: %s", line)
    return pool.rows(), digest.hexdigest()


def _metrics_pool(cfg: EvaluateConfig) -> MetricsPool:
    """What measures the cases, beside the network where that leaves it cores."""
    name = device_name(cfg.trainer.accelerator)
    threads = cpu_threads(cfg.trainer.threads)
    return MetricsPool(metrics_processes(name, threads, cpu_count(), cpu_count()))


def _add(digest: "hashlib.blake2b", case: Case, loaded: LoadedCase) -> None:
    digest.update(case.name.encode())
    digest.update(np.ascontiguousarray(loaded.image).data)
    if loaded.label is not None:
        digest.update(np.ascontiguousarray(loaded.label).data)


def _draw_worst(
    folder: Path, member: Predictor, source: Source, cases: Sequence[Case], table: pd.DataFrame, overlays: int
) -> None:
    """Pictures of the `overlays` cases with the lowest mean Dice, read again: their images were let go."""
    worst = set(table.groupby("case")["dice"].mean().sort_values().index[:overlays])
    axis, written = member.data.slice_axis, member.data.written
    for case in track([case for case in cases if case.name in worst], "drawing overlays"):
        loaded = read_case(case, source, axis)
        assert loaded.label is not None
        path = folder / "predictions" / f"{case.name}{label_ending(case.images[0], written)}"
        dice = table[table["case"] == case.name].set_index("class_name")["dice"]
        values = ", ".join(f"{name} {value:.2f}" for name, value in dice.items())
        coloured = is_coloured(len(loaded.image), len(case.images), loaded.unit)
        case_picture(
            loaded.image.transpose(1, 2, 3, 0) if coloured else loaded.image[0],
            np.where(loaded.label == IGNORE, np.uint8(0), loaded.label),
            _classes(native_image(path, axis)[0], written),
            member.data.classes,
            loaded.spacing[1] / loaded.spacing[2],
            f"{case.name} {case.phase}   Dice {values}",
            folder / "overlays" / f"{case.name}.png",
        )


def _classes(predicted: NDArray[np.float32], written: Sequence[int]) -> NDArray[np.uint8]:
    """The classes of a label map as it was written."""
    if not written:
        return predicted.astype(np.uint8)
    return np.select([predicted == value for value in written], np.arange(len(written))).astype(np.uint8)


def _folder(cfg: EvaluateConfig, members: Sequence[Predictor]) -> Path:
    """Where the results go; a folder that may be replaced, because it is empty or an evaluation."""
    if cfg.output is None:
        if not members[0].folder.is_dir():
            raise ConfigError(f"output: expected a folder for the results, for {members[0].folder} is a file")
        return members[0].folder / "evaluation" / _name(cfg, len(members))
    folder = Path(cfg.output)
    older = not folder.exists() or (folder / "evaluation.json").is_file()
    if not older and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"output={folder}: expected a new folder, or an older evaluation to replace, found other files; "
            "give another output"
        )
    return folder


def _name(cfg: EvaluateConfig, members: int) -> str:
    if cfg.name is not None:
        return str(cfg.name)
    parts = [cfg.split]
    if cfg.checkpoint != "last":
        parts.append(cfg.checkpoint)
    if members > 1:
        parts.append(f"ensemble-{members}")
    if cfg.dataset.root is not None:
        parts.append(Path(cfg.dataset.root).resolve().name)
    return "-".join(parts)
