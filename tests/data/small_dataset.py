"""Small datasets on disk for the tests of preparation and of batches."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rwseg.data.case import Case, Dataset, Source, plain_labels
from rwseg.data.io.nifti import write_volume
from rwseg.data.preprocessing.config import PreprocessingConfig

CLASSES = ("background", "one", "two", "three")
UNLABELLED = 9  # in the files: what nobody labelled

PLAIN = PreprocessingConfig(
    crop=False, spacing=None, size=None, zoom=1.0, interpolation="spline", normalisation="zscore"
)
"""Every volume on its own grid, standardised."""


class Scan(NamedTuple):
    """What the files of a case hold; 9 in the label is what nobody labelled."""

    split: str
    image: NDArray[np.float32]  # (C, Z, H, W)
    label: NDArray[np.uint8] | None  # (Z, H, W)
    spacing: tuple[float, float, float]


def dataset_of(scans: Sequence[Scan]) -> Dataset:
    """The dataset of `scans`; its cases are case0, case1, ... of subjects 0, 1, ..."""

    def load(root: Path) -> Source:
        cases = tuple(
            Case(
                name=f"case{number}",
                subject=str(number),
                phase="",
                split=scan.split,
                images=tuple(root / f"case{number}_{c}.nii.gz" for c in range(len(scan.image))),
                label=None if scan.label is None else root / f"case{number}_gt.nii.gz",
            )
            for number, scan in enumerate(scans)
        )
        channels = tuple(f"channel {c}" for c in range(len(scans[0].image)))
        return Source(cases, CLASSES, channels, plain_labels(len(CLASSES)), ignore=UNLABELLED)

    return Dataset("small", licence="", reference="", homepage="", load=load)


def write_dataset(root: Path, scans: Sequence[Scan]) -> Dataset:
    """Write `scans` as NIfTI below `root` and return their dataset."""
    dataset = dataset_of(scans)
    for case, scan in zip(dataset.load(root).cases, scans, strict=True):
        for path, channel in zip(case.images, scan.image, strict=True):
            write_volume(path, channel, scan.spacing)
        if case.label is not None and scan.label is not None:
            write_volume(case.label, scan.label, scan.spacing)
    return dataset


def blobs(rng: np.random.Generator, shape: tuple[int, int, int], classes: Sequence[int]) -> NDArray[np.uint8]:
    """Labels of `classes` in patches of 3x2 pixels, up to the border."""
    coarse = rng.choice(np.array(classes, np.uint8), (shape[0], shape[1] // 3 + 1, shape[2] // 2 + 1))
    return coarse.repeat(3, axis=1).repeat(2, axis=2)[:, : shape[1], : shape[2]].copy()


def small_scans() -> list[Scan]:
    """Two channels of whole numbers; sizes, spacings and classes differ.

    One case lacks class 2, one slice any foreground.
    """
    rng = np.random.default_rng(7)
    shapes = [(3, 17, 12), (2, 9, 21), (4, 13, 13), (2, 11, 15)]
    classes = [(0, 1, 2, 3), (0, 1, 3), (0, 1, 2, 3), (0, 1, 3)]
    labels = [blobs(rng, shape, present) for shape, present in zip(shapes, classes, strict=True)]
    labels[0][1] = 0
    spacings = [(10.0, 1.5, 1.25), (5.0, 1.0, 2.0), (8.0, 0.8, 0.8), (9.0, 1.2, 1.4)]
    return [
        Scan(split, rng.normal(100, 30, (2, *label.shape)).round().astype(np.float32), label, spacing)
        for split, label, spacing in zip(["train", "train", "train", "val"], labels, spacings, strict=True)
    ]
