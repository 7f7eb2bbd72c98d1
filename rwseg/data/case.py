"""What a dataset is: a function from a folder to cases, with the facts a reader needs beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rwseg.core.validation import Unit

IGNORE = 255
"""Label of voxels that nobody labelled: they are neither trained on nor counted."""

LARGEST_LABEL = 2**16 - 1
"""The largest value of a label map that is written."""


@dataclass(frozen=True)
class Case:
    """One volume to train on or to evaluate: its files and where it belongs.

    `images` holds one file per channel (one for all of them where the file is RGB); `label` is None where no
    reference exists; `split` is `train`, `val` or `test`; `phase` is empty where a dataset has none; `group`
    is what folds are balanced over (a diagnosis, a scanner), empty where it is unknown.
    """

    name: str
    subject: str
    phase: str
    split: str
    images: tuple[Path, ...]
    label: Path | None
    group: str = ""


class Remark(NamedTuple):
    """Something odd about a file that was read all the same: its `kind`, in words that all such files share.

    `detail` names the file and says how it is there. The doctor and a training tell a line of each kind.
    """

    kind: str
    detail: str


@dataclass(frozen=True)
class LoadedCase:
    """A case in memory: `image` float32 (C, Z, H, W), `label` uint8 (Z, H, W), `spacing` (z, y, x) in `unit`.

    Z is the slice axis, whichever axis of the file it is; `label` holds classes and `IGNORE`; `remarks` say
    what is odd about the files.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8] | None
    spacing: tuple[float, float, float]
    remarks: tuple[Remark, ...] = ()
    unit: Unit = "mm"


@dataclass(frozen=True)
class Source:
    """What lies at a root: its cases, and how their files are to be read.

    `channels` names the image's channels; `label_values` gives for each class the values in the label files
    that mean it (`((0, 2), (1,))`: 2 counts as background); `ignore` is the value of voxels that nobody
    labelled. `slice_axis` is the file's axis across slices (NIfTI: 0, 1 or 2); None: the one with the largest
    median spacing over the cases, the last one where several are equal. `folds` are published folds, the
    names of the validation cases of each. `convert` is applied to each case right after it was read, and what
    it returns is the native grid from then on (data sets that a paper rewrote before using them).
    """

    cases: tuple[Case, ...]
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    label_values: tuple[tuple[int, ...], ...]
    ignore: int | None = None
    slice_axis: int | None = 2
    folds: tuple[frozenset[str], ...] = ()
    convert: Callable[[LoadedCase], LoadedCase] | None = None
    written: tuple[int, ...] = ()
    suffixes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A dataset: its provenance, and the function that lists what is there.

    `shares` are published voxel shares of the classes in percent and `subjects` the number of labelled
    subjects in a complete download, where they are known. `options` are the settings of `dataset` that `load`
    takes by name beside the root.

    `load(root)` raises `DataError` that names every faulty file and what was expected. It looks at names and
    small text files only: images are read, and checked, by `rwseg.data.io.cases.read_case`.
    """

    name: str
    licence: str
    reference: str
    homepage: str
    load: Callable[..., Source]
    shares: tuple[float, ...] = ()
    subjects: int | None = None
    options: tuple[str, ...] = ()


def plain_labels(num_classes: int) -> tuple[tuple[int, ...], ...]:
    """`label_values` of files whose values are the classes: `((0,), (1,), ...)`."""
    return tuple((k,) for k in range(num_classes))
