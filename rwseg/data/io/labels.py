"""Values of label files to classes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rwseg.core.errors import DataError
from rwseg.data.case import IGNORE, Remark

WHOLE = 1e-3
"""How far from a whole number a label may lie: a slope of 1/255 or single precision rounds by less."""

_MOST_SHOWN = 10
_BLURRED = 3
"""So many unknown values between the known ones are no classes that were forgotten."""


def to_classes(
    path: Path, array: NDArray[Any], label_values: tuple[tuple[int, ...], ...], ignore: int | None
) -> tuple[NDArray[np.uint8], Remark | None]:
    """Classes of `array`, the values of the file `path`, by `label_values`; `ignore` becomes `IGNORE`.

    Values within `WHOLE` of one of those integers are taken as it, which the remark says. A label without any
    foreground is taken too: a healthy subject has none, and sampling and metrics know what to do with it.
    Raises `DataError` for any other value, NaN among them.
    """
    meanings = {value: number for number, values in enumerate(label_values) for value in values}
    if ignore is not None:
        meanings[ignore] = IGNORE
    whole, apart = _whole(array)
    classes = np.zeros(array.shape, np.uint8)
    known = np.zeros(array.shape, bool)
    for value, number in meanings.items():
        here = whole == value
        known |= here
        if number:
            classes[here] = number
    if not known.all():
        raise DataError(_unknown(path, array[~known], sorted(meanings)))
    if not apart:
        return classes, None
    return classes, Remark(
        "labels that are not whole numbers, read as the nearest", f"{path.name}: up to {apart:.2g} away"
    )


def _whole(array: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """`array` with what is nearly whole as whole numbers, and how far that was from them at most."""
    if not np.issubdtype(array.dtype, np.floating):
        return array, 0.0
    whole = np.rint(array)
    with np.errstate(invalid="ignore"):  # infinity from infinity
        apart = np.abs(array - whole)
    near = apart <= WHOLE
    return np.where(near, whole, array), float(apart[near].max(initial=0))


def _unknown(path: Path, values: NDArray[Any], expected: list[int]) -> str:
    found = np.unique(values)  # NaN once, at the end
    broken = found[np.isfinite(found) & (found % 1 != 0)]
    far = ""
    if broken.size:
        far = (
            f", up to {np.abs(broken - np.rint(broken)).max():.3g} from a whole number ({WHOLE:g} is allowed)"
        )
    between = (expected[0] < found) & (found < expected[-1])
    advice = "correct the labels or the dataset's classes (dataset=folder: dataset.labels)"
    if between.sum() >= _BLURRED:
        far += ": values between the labels are those of smoothed or resized edges, or of lossy files"
        advice = "export the labels again without smoothing, resized with nearest neighbours if at all"
    return (
        f"{path}: expected the labels {_listed(expected)}, got {_listed(found.tolist())} "
        f"in {values.size} voxels{far}; {advice}"
    )


def _listed(values: list[Any]) -> str:
    shown = ", ".join(f"{value:.7g}" for value in values[:_MOST_SHOWN])
    return shown if len(values) <= _MOST_SHOWN else f"{shown}, ... ({len(values)} values)"
