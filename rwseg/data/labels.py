"""Values of label files to classes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rwseg.data.case import IGNORE
from rwseg.errors import DataError

_MOST_SHOWN = 10


def to_classes(
    path: Path, array: NDArray[Any], label_values: tuple[tuple[int, ...], ...], ignore: int | None
) -> NDArray[np.uint8]:
    """Classes of `array`, the values of the file `path`, by `label_values`; `ignore` becomes `IGNORE`.

    Floating files are taken as long as every value is one of those integers. A label without any foreground
    is taken too: a healthy subject has none, and sampling and metrics know what to do with it. Raises
    `DataError` for any other value, NaN among them.
    """
    meanings = {value: number for number, values in enumerate(label_values) for value in values}
    if ignore is not None:
        meanings[ignore] = IGNORE
    classes = np.zeros(array.shape, np.uint8)
    known = np.zeros(array.shape, bool)
    for value, number in meanings.items():
        here = array == value
        known |= here
        if number:
            classes[here] = number
    if not known.all():
        raise DataError(_unknown(path, array[~known], sorted(meanings)))
    return classes


def _unknown(path: Path, values: NDArray[Any], expected: list[int]) -> str:
    found = np.unique(values)  # NaN once, at the end
    return (
        f"{path}: expected the labels {_listed(expected)}, got {_listed(found.tolist())} "
        f"in {values.size} voxels; correct the labels or the dataset's classes"
    )


def _listed(values: list[Any]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:_MOST_SHOWN])
    return shown if len(values) <= _MOST_SHOWN else f"{shown}, ... ({len(values)} values)"
