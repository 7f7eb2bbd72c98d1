"""One slice of a label file, whatever values it has: to look at, not to train on."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rwseg.core.errors import DataError
from rwseg.data.io.cases import read_volume, thickness
from rwseg.data.io.image_grid import slice_order, to_slices
from rwseg.data.io.labels import to_classes

MOST = 20
"""More different values than that are an image, or numbered instances, and no classes."""


class LabelSlice(NamedTuple):
    """Labels `(H, W)` from 0 on, the value in the file of each class, and where it was cut."""

    labels: NDArray[np.uint8]
    values: list[int]
    spacing: tuple[float, float]  # of rows and columns, mm or 1 where the file has none
    number: int  # counted from 0


def read_label_slice(path: Path) -> LabelSlice:
    """Read the slice with most foreground, across the axis of the largest spacing.

    Classes are the file's values in their order, 0 the background whether it is there or not. Raises
    `DataError` for a file that cannot be read, with values that are not whole or negative, with more than
    `MOST` of them, or without foreground.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected a label file, found none")
    axis = int(np.flatnonzero(np.array(sizes := thickness(path)) == max(sizes))[-1])
    volume = read_volume(path, axis, labels=True)
    found = np.unique(np.rint(volume.array)) if volume.array.size else np.empty(0)
    values = sorted({0, *(int(value) for value in found[np.isfinite(found)])})
    if values[0] < 0 or len(values) > MOST:
        raise DataError(
            f"{path}: expected labels, at most {MOST} whole numbers from 0 on, got {len(values)} values from "
            f"{values[0]} to {values[-1]}; give the label map, not the image"
        )
    classes, _ = to_classes(path, volume.array, tuple((value,) for value in values), None)
    slices = to_slices(classes, axis)[0]  # (Z, H, W)
    number = int((slices > 0).sum((1, 2)).argmax())
    if not slices[number].any():
        raise DataError(f"{path}: expected labels with foreground, got 0 throughout; give another case")
    _, row, column = slice_order(axis)
    return LabelSlice(slices[number], values, (volume.spacing[row], volume.spacing[column]), number)
