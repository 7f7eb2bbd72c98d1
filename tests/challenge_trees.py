"""Small data sets in the layouts in which the challenges are downloaded.

Images are noise, brighter in the foreground; labels are nested boxes. Other tests may train on them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

SHAPE = (24, 20, 5)
"""Of a file with its slices along the last axis."""


def save(path: Path, array: NDArray[np.generic], spacing: Sequence[float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.diag([*spacing, 1.0])), path)


def nested(shape: Sequence[int], values: Sequence[int]) -> NDArray[np.uint8]:
    """Boxes around the middle, each inside the one before it; the outermost slices stay background."""
    label = np.zeros(shape, np.uint8)
    for depth, value in enumerate(values, start=1):
        margin = [max(1, size * depth // (2 * len(values) + 2)) for size in shape]
        label[tuple(slice(edge, size - edge) for edge, size in zip(margin, shape, strict=True))] = value
    return label


def noise(label: NDArray[np.uint8], seed: int) -> NDArray[np.float32]:
    """Positive values, the brighter the higher the label."""
    image = np.random.default_rng(seed).uniform(50, 100, label.shape)
    return (image + 40.0 * label).astype(np.float32)


def write_brats18(
    root: Path, names: Iterable[str], modalities: Sequence[str] = ("flair", "t1", "t1ce", "t2")
) -> Path:
    """High-grade cases of these names, such as Brats18_2013_2_1, at 1 mm; a margin outside the brain is 0."""
    for number, name in enumerate(names):
        label = nested(SHAPE, (2, 1, 4))
        folder = root / "HGG" / name
        for seed, modality in enumerate(modalities):
            image = noise(label, 10 * number + seed)
            image[:2] = image[:, -3:] = 0
            save(folder / f"{name}_{modality}.nii.gz", image, (1, 1, 1))
        save(folder / f"{name}_seg.nii.gz", label, (1, 1, 1))
    return root


def write_kits19(root: Path, numbers: Iterable[int], shape: Sequence[int] = (6, 40, 36)) -> Path:
    """CT volumes with slices along the first axis; from number 210 on without labels."""
    for number in numbers:
        label, folder = nested(shape, (1, 2)), root / f"case_{number:05d}"
        image = noise(label, number) - 500
        save(folder / "imaging.nii.gz", image.astype(np.float64), (3.0, 0.8, 0.8))
        if number < 210:
            save(folder / "segmentation.nii.gz", label, (3.0, 0.8, 0.8))
    return root


def write_wmh(root: Path, scans: Iterable[str]) -> Path:
    """Scans of these paths, such as training/Utrecht/0; those below test have no labels."""
    for number, scan in enumerate(scans):
        label, spacing = nested(SHAPE, (2, 1)), (0.96, 0.95, 3.0)
        for seed, channel in enumerate(("FLAIR", "T1")):
            for stage in ("pre", "orig"):
                save(root / scan / stage / f"{channel}.nii.gz", noise(label, 10 * number + seed), spacing)
        save(root / scan / "orig" / "3DT1.nii.gz", noise(label, number), (1, 1, 1))
        if not scan.startswith("test/"):
            save(root / scan / "wmh.nii.gz", label.astype(np.float32), spacing)
    return root


def write_isles(root: Path, parts: Mapping[str, Iterable[int]]) -> Path:
    """Cases of these numbers, by part (TRAINING with labels, TESTING without), with perfusion series."""
    identity = 345000
    for part, numbers in parts.items():
        for number in numbers:
            label, spacing = nested(SHAPE, (1,)), (1.1, 1.1, 5.0)
            arrays = {
                kind: noise(label, 10 * number + seed)
                for seed, kind in enumerate(("CT", "CT_CBF", "CT_CBV", "CT_MTT", "CT_Tmax"))
            }
            arrays["CT_4DPWI"] = np.zeros((2, 2, 2, 3), np.float32)
            if part == "TRAINING":
                arrays["OT"] = label
            for kind, array in arrays.items():
                identity += 1
                name = f"SMIR.Brain.XX.O.{kind}.{identity}"
                save(root / part / f"case_{number}" / name / f"{name}.nii", array, spacing)
    return root


def small_brats18(root: Path) -> Path:
    return write_brats18(root, [f"Brats18_TCIA_{n}_1" for n in range(4)])


def small_kits19(root: Path) -> Path:
    return write_kits19(root, (0, 1, 2, 3), shape=(4, 40, 36))


def small_wmh(root: Path) -> Path:
    return write_wmh(root, ("Utrecht/0", "Utrecht/2", "Singapore/50", "Singapore/65"))


def small_isles(root: Path) -> Path:
    return write_isles(root, {"TRAINING": (1, 2, 4, 14)})


SMALL: Mapping[str, Callable[[Path], Path]] = {
    "brats18": small_brats18,
    "kits19": small_kits19,
    "kits19_paper": small_kits19,
    "wmh": small_wmh,
    "isles": small_isles,
}
"""By option of `conf/dataset`: writes four cases that its split divides into training and validation."""
