"""Small datasets in nnU-Net v2's raw format."""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image

LABELS = {"background": 0, "organ": 1, "tumour": 2}


def save(path: Path, array: np.ndarray) -> None:
    """Write `array` (rows, columns[, colours]) as the file type that the ending says; NIfTI gets 3 slices."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".nii.gz"):
        volume = np.stack([array.T] * 3, axis=1)  # slices across the file's axis 1
        nib.Nifti1Image(volume, np.diag([1.5, 4.0, 1.5, 1])).to_filename(path)
    else:
        Image.fromarray(array).save(path)


def describe(root: Path, **changes: Any) -> None:
    """Write dataset.json of the tree below; a change to None removes a key."""
    content: dict[str, Any] = {
        "channel_names": {"0": "T1", "1": "FLAIR"},
        "labels": LABELS,
        "numTraining": 5,
        "file_ending": ".nii.gz",
    }
    content = {key: value for key, value in (content | changes).items() if value is not None}
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(content))


def write_tree(root: Path, ending: str = ".nii.gz", channels: int = 2, **changes: Any) -> Path:
    """Cases a to e to train on and t, u to test; only t has a reference."""
    rng = np.random.default_rng(0)
    names = {str(number): f"channel {number}" for number in range(channels)}
    describe(root, file_ending=ending, channel_names=names, **changes)
    for part, cases in (("Tr", "abcde"), ("Ts", "tu")):
        for name in cases:
            for number in range(channels):
                values = rng.integers(0, 200, (8, 6)).astype(np.uint8)
                save(root / f"images{part}" / f"{name}_{number:04d}{ending}", values)
            if name != "u":
                save(root / f"labels{part}" / f"{name}{ending}", rng.integers(0, 3, (8, 6)).astype(np.uint8))
    return root


def folds(*val: str) -> list[dict[str, list[str]]]:
    """Content of splits_final.json: folds of the cases a to e that validate `val`."""
    return [{"train": sorted({*"abcde"} - {*names}), "val": [*names]} for names in val]
