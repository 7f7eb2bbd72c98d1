"""KiTS 2019 (kidneys and their tumours in CT): the challenge's download, as it is and as in the paper.

    root/case_00000/imaging.nii.gz, segmentation.nii.gz     labels 1 kidney, 2 tumour
    ...
    root/case_00210/imaging.nii.gz                          to case_00299: optional, without labels

Cases 0, 2, ..., 208 train, 1, 3, ..., 209 validate (the authors' `datasplits/kits19.py`), later ones are for
testing. Slices lie along the files' first axis. `KITS19` is the data as downloaded; `KITS19_PAPER`
reproduces what that script wrote: use it for nothing else, see `as_the_paper`.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rwseg.core.errors import DataError
from rwseg.data.case import Case, Dataset, LoadedCase, Source, plain_labels
from rwseg.data.datasets.layout import Layout, missing_files, subfolders

HOMEPAGE = "https://kits19.grand-challenge.org"
CLASSES = ("background", "kidney", "tumor")
LABELLED = 210
"""Cases below this number come with labels."""

SIDE = 256
LAYOUT = Layout(
    tree="root/case_XXXXX/{imaging.nii.gz, segmentation.nii.gz}",
    unit="case",
    origin="KiTS19 is free: see https://github.com/neheller/kits19 (root is its folder data)",
)


def load(root: Path) -> Source:
    """List the cases below `root`, sorted by number.

    Raises `DataError` where `root` is not in the challenge's layout, and for faulty cases, all together.
    """
    folders = subfolders(root, "case_*")
    LAYOUT.check_found(root, folders)
    cases, faults = [], []
    for folder in folders:
        match = re.fullmatch(r"case_([0-9]{5})", folder.name)
        if match is None:
            faults.append(f"{folder}: expected a folder name such as case_00000")
            continue
        number, image, label = int(match[1]), folder / "imaging.nii.gz", folder / "segmentation.nii.gz"
        faults += missing_files(folder, [image, label] if number < LABELLED else [image])
        split = "test" if number >= LABELLED else "val" if number % 2 else "train"
        reference = label if label.is_file() else None
        cases.append(Case(folder.name, folder.name, "", split, (image,), reference))
    LAYOUT.check_sound(root, faults)
    return Source(tuple(cases), CLASSES, ("CT",), plain_labels(len(CLASSES)), slice_axis=0)


def load_paper(root: Path) -> Source:
    """`load`, with every case rewritten as the paper's script did."""
    return replace(load(root), convert=as_the_paper)


def as_the_paper(loaded: LoadedCase) -> LoadedCase:
    """Only the slices with foreground, each resized to 256x256, at a spacing that is no longer true.

    Three things are wrong with it, so that numbers on it compare with the paper's and with nothing else:
    which slices to evaluate is taken from the reference (a case without one keeps all slices), the in-plane
    spacing in the header stays that of the larger image (distances in mm come out at half their size for
    512x512), and labels are interpolated, so that kidney appears between tumour and background. Images and
    labels are resized by Pillow's anti-aliased bicubic filter, the default at the time, and labels rounded.
    That default refused 16-bit labels (Pillow 7.0 to 8.2; some of today's label files are), so the paper's
    copy cannot have had them.

    Raises `DataError` for a reference without foreground, of which nothing would be left.
    """
    image, label = loaded.image, loaded.label
    if label is None:
        return replace(loaded, image=np.stack([_resized(channel) for channel in image]))
    kept = label.any(axis=(1, 2))
    if not kept.any():
        raise DataError(
            "expected a reference with kidney or tumour, got background only: the paper's version of KiTS19 "
            "keeps the slices that show them; move the case elsewhere, or use dataset=kits19"
        )
    return replace(
        loaded, image=np.stack([_resized(channel[kept]) for channel in image]), label=_resized(label[kept])
    )


def _resized(slices: NDArray[Any]) -> NDArray[Any]:
    """`(Z, H, W)` to `(Z, 256, 256)` of the same type: float32, or uint8, which Pillow rounds and clips.

    Pillow resizes 8-bit images along one axis after the other and rounds in between; the script had the
    file's second axis as rows, which here is the last one.
    """
    size, cubic = (SIDE, SIDE), Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(each.T).resize(size, cubic)).T for each in slices])


_REFERENCE = "Heller et al., The KiTS19 Challenge Data, arXiv:1904.00445, 2019"

KITS19 = Dataset(
    name="kits19",
    licence="CC BY-NC-SA 4.0",
    reference=_REFERENCE,
    homepage=HOMEPAGE,
    load=load,
    subjects=LABELLED,
)
KITS19_PAPER = Dataset(
    name="kits19_paper",
    licence="CC BY-NC-SA 4.0",
    reference=f"{_REFERENCE}; rewritten as by datasplits/kits19.py of github.com/jmlipman/RegionWiseLoss",
    homepage=HOMEPAGE,
    load=load_paper,
    shares=(97.64, 1.89, 0.47),  # of the slices that the script keeps; less in whole volumes
    subjects=LABELLED,
)
