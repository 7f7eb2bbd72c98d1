"""Folders of results as nnU-Net v2 leaves them, of two small volumes with errors that are known by hand."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

SPACING = (1.5, 2.0, 8.0)
LABELS = {"background": 0, "RV": 1, "myocardium": 2}
PLAN = {
    "2d": {"batch_size": 4, "patch_size": [32, 24], "spacing": [1.5, 1.5]},
    "2d_large": {"inherits_from": "2d", "batch_size": 12},
}
DEBUG = {"num_epochs": "2", "initial_lr": "0.01", "batch_size": "4", "device": "cpu", "hostname": "station"}
LOG = """
2026-11-27 10:00:00.1: Epoch {epoch}
2026-11-27 10:00:00.1: Current learning rate: 0.01
2026-11-27 10:01:00.1: train_loss {loss}
2026-11-27 10:01:00.1: val_loss -0.1
2026-11-27 10:01:00.1: Pseudo dice [0.5, nan]
2026-11-27 10:01:00.1: Epoch time: {seconds} s
"""


def reference(number: int) -> NDArray[np.uint8]:
    """Two bodies in a volume of an odd shape: of class 1 in each case, of class 2 in even ones alone."""
    labels = np.zeros((16, 12, 3), np.uint8)
    labels[4:8, 2:8, :] = 1
    if number % 2 == 0:
        labels[10:13, 2:8, 1] = 2
    return labels


def moved(labels: NDArray[np.uint8], voxels: int) -> NDArray[np.uint8]:
    """Class 1 moved along the first axis, 1.5 mm a voxel; class 2 missed."""
    return np.roll(np.where(labels == 1, labels, 0), voxels, axis=0).astype(np.uint8)


def dice_of(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    total = int(first.sum() + second.sum())
    return 2 * int((first & second).sum()) / total if total else math.nan


def entry(reference_file: Path, prediction_file: Path) -> dict[str, Any]:
    truth, found = (np.asarray(nib.load(path).dataobj) for path in (reference_file, prediction_file))
    metrics = {
        str(label): {
            "Dice": dice_of(truth == label, found == label),
            "n_ref": int((truth == label).sum()),
            "n_pred": int((found == label).sum()),
        }
        for label in (1, 2)
    }
    return {
        "metrics": metrics,
        "reference_file": str(reference_file),
        "prediction_file": str(prediction_file),
    }


def save(path: Path, labels: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(labels, np.diag([*SPACING, 1.0])).to_filename(path)
    return path


def write_model(
    root: Path,
    trainer: str = "nnUNetTrainer",
    configuration: str = "2d",
    *,
    shift: int = 1,
    folds: Mapping[str, Sequence[int]] = {"fold_0": (0, 1, 2)},
    debug: Mapping[str, str] = {},
    labels: Mapping[str, Any] = LABELS,
) -> Path:
    """A model below `root` (nnUNet_results), its class 1 off by `shift` voxels; returns its folder."""
    model = root / "Dataset027_Heart" / f"{trainer}__nnUNetPlans__{configuration}"
    model.mkdir(parents=True)
    (model / "plans.json").write_text(json.dumps({"configurations": PLAN}))
    description = {
        "channel_names": {"0": "MRI"},
        "labels": labels,
        "numTraining": 5,
        "file_ending": ".nii.gz",
    }
    (model / "dataset.json").write_text(json.dumps(description))
    (model / "dataset_fingerprint.json").write_text("{}")
    for fold, numbers in folds.items():
        entries = []
        for number in numbers:
            truth = reference(number)
            name = f"case_{number}.nii.gz"
            path = save(root.parent / "preprocessed" / "Dataset027_Heart" / "gt_segmentations" / name, truth)
            entries.append(entry(path, save(model / fold / "validation" / name, moved(truth, shift))))
        summary = {"metric_per_case": entries, "foreground_mean": {"Dice": 0.5}, "mean": {}}
        (model / fold / "validation" / "summary.json").write_text(json.dumps(summary))
        (model / fold / "debug.json").write_text(json.dumps({**DEBUG, **debug}))
        (model / fold / "training_log_2026_11_27_10_00_00.txt").write_text(
            "".join(LOG.format(epoch=i, loss=0.5 - i, seconds=10.0 + i) for i in range(2))
        )
    return model
