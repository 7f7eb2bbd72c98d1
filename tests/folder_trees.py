"""Folders of images and masks as people have them: `TREES[name](root)` writes one and returns what it needs.

Each holds enough subjects for folds, pictures that differ in size, and a class that some of them lack.
"""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.integer]
SIZES = ((40, 52), (48, 44), (40, 52))


def mask_of(number: int, classes: int = 3, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """A block of class 1, in every second picture with one of class 2 in it; all between moves about."""
    rng = np.random.default_rng(number)
    height, width = size or SIZES[number % len(SIZES)]
    mask = np.zeros((height, width), np.uint8)
    row, column = rng.integers(4, height - 24), rng.integers(4, width - 24)
    mask[row : row + 18, column : column + 20] = 1
    if classes > 2 and number % 2 == 0:
        mask[row + 4 : row + 12, column + 5 : column + 14] = 2
    return mask


def picture_of(mask: Array, seed: int, channels: int = 1) -> NDArray[np.uint8]:
    """Brighter with the class, with noise; (H, W), or (H, W, C)."""
    shape = mask.shape if channels == 1 else (*mask.shape, channels)
    shown = mask if channels == 1 else mask[..., None]
    return (shown * 70 + np.random.default_rng(seed).integers(0, 60, shape)).astype(np.uint8)


def save(path: Path, array: NDArray[np.generic], palette: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette:
        image = image.convert("P")
        image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0] + [0] * (768 - 9))
    image.save(path)
    return path


def save_nifti(path: Path, array: Array, spacing: tuple[float, float, float]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.diag([*spacing, 1.0])), path)
    return path


def flat_rgb(root: Path) -> list[str]:
    """RGB photographs, JPEG and PNG, with masks that have a palette."""
    for number in range(10):
        mask = mask_of(number)
        save(root / f"images/skin{number:03}.{'jpg' if number % 2 else 'png'}", picture_of(mask, number, 3))
        save(root / f"masks/skin{number:03}.png", mask, palette=True)
    return []


def split_by_hand(root: Path) -> list[str]:
    """train/, val/ and test/ that number their pictures alike; the masks of test are kept elsewhere."""
    for start, (split, count) in enumerate({"train": 5, "val": 2, "test": 2}.items()):
        for number in range(count):
            mask = mask_of(10 * start + number, classes=2)
            save(root / split / f"images/{number}.png", picture_of(mask, number))
            if split != "test":
                save(root / split / f"masks/{number}.png", mask * np.uint8(255))
    return []


def sixteen_bit(root: Path) -> list[str]:
    """16-bit TIFF of a microscope, masks with 0, 128 and 255 in 16 bits too."""
    for number in range(8):
        mask = mask_of(number)
        save(root / f"images/well_{number}.tif", picture_of(mask, number).astype(np.uint16) * 257)
        save(root / f"masks/well_{number}.tif", np.array([0, 128, 255], np.uint16)[mask])
    return ["dataset.labels={background: 0, cytoplasm: 128, nucleus: 255}"]


def one_folder(root: Path) -> list[str]:
    """Image and mask side by side in folders of patients, as NAME.tif and NAME_mask.tif."""
    for number in range(8):
        mask, name = mask_of(number, classes=2), f"TCGA_{number % 6}/TCGA_{number % 6}_{number}"
        save(root / f"{name}.tif", picture_of(mask, number, 3))
        save(root / f"{name}_mask.tif", mask * np.uint8(255))
    return ["dataset.mask_suffix=_mask", 'dataset.subject="^(TCGA_[0-9]+)"']


def file_per_channel(root: Path) -> list[str]:
    """Fluorescence: a file per dye."""
    for number in range(8):
        mask = mask_of(number)
        for offset, dye in enumerate(("dapi", "gfp")):
            save(root / f"images/f{number:02}_{dye}.png", picture_of(mask, 100 * offset + number))
        save(root / f"masks/f{number:02}.png", mask)
    return ["dataset.channels=[dapi,gfp]"]


def volumes(root: Path) -> list[str]:
    """3D NIfTI, thick slices."""
    for number in range(6):
        mask = np.stack([mask_of(number, size=(40, 44)).T] * 3, axis=2)
        spacing = (0.8 + 0.02 * number, 0.8 + 0.02 * number, 5.0)
        save_nifti(root / f"images/scan{number}.nii.gz", picture_of(mask, number).astype(np.int16), spacing)
        save_nifti(root / f"masks/scan{number}.nii.gz", mask, spacing)
    return ["dataset.labels={background: 0, organ: 1, tumour: 2}"]


def bids(root: Path) -> list[str]:
    """BIDS with masks as derivatives, two sessions a subject, and one subject whose mask is not drawn yet."""
    for number in range(12):
        subject, session = f"sub-{number // 2:02}", f"ses-{number % 2 + 1}"
        mask = np.stack([mask_of(number, size=(40, 44)).T] * 3, axis=2)
        place = f"{subject}/{session}/anat/{subject}_{session}"
        save_nifti(root / f"{place}_T1w.nii.gz", picture_of(mask, number).astype(np.int16), (1, 1, 3))
        if number < 11:
            save_nifti(root / f"derivatives/manual/{place}_desc-manual_dseg.nii.gz", mask, (1, 1, 3))
    (root / "dataset_description.json").write_text("{}")
    return ['dataset.subject="(sub-[0-9]+)"', "dataset.labels={background: 0, grey: 1, white: 2}"]


def slices_of_patients(root: Path) -> list[str]:
    """Four slices a patient, some JPEG; half of the masks have a palette, half hold 0, 128 and 255."""
    for number in range(24):
        mask, name = mask_of(number), f"patient{number // 4:02}_slice{number % 4}"
        save(root / f"images/{name}.{'jpg' if number < 4 else 'png'}", picture_of(mask, number, 3))
        grey = np.array([0, 128, 255], np.uint8)[mask]
        palette = number // 4 % 2 == 1
        save(root / f"masks/{name}.png", mask if palette else grey, palette)
    return [
        "dataset.labels={background: 0, vessel: [1, 128], lesion: [2, 255]}",
        'dataset.subject="(.+?)_slice[0-9]+$"',
    ]


TREES: dict[str, Callable[[Path], list[str]]] = {
    tree.__name__: tree
    for tree in (
        flat_rgb,
        split_by_hand,
        sixteen_bit,
        one_folder,
        file_per_channel,
        volumes,
        bids,
        slices_of_patients,
    )
}
