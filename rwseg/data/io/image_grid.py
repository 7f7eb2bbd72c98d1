"""One image file in memory: its values, where its voxels lie, and how its axes become slices."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rwseg.core.errors import DataError
from rwseg.core.validation import Unit
from rwseg.data.case import Remark

GEOMETRY_TOLERANCE = 0.05
"""How far apart two files of a case may place the same voxel, as a fraction of the smallest voxel side
along an axis of several voxels."""

SAME_SPACING = 1e-3
"""Relative difference below which voxel sizes are the same: headers hold single precision, scanners round."""


@dataclass(frozen=True)
class Volume:
    """One file: `array` (C, x, y, z) in its own number type, C being 3 for RGB and 1 otherwise.

    `spacing` is per file axis (x, y, z), in `unit`: mm, or pixels where the file has no physical spacing;
    `affine` (4, 4) maps file indices to the same unit; `remarks` say what is odd about the file.
    """

    path: Path
    array: NDArray[Any]
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    remarks: tuple[Remark, ...] = ()
    unit: Unit = "mm"


def slice_order(slice_axis: int) -> tuple[int, int, int]:
    """File axes in the order (Z, H, W): the slice axis, then the two others from the last to the first.

    So 2 gives (2, 1, 0), the usual (z, y, x). Raises `ValueError` for an axis other than 0, 1 and 2.
    """
    if slice_axis not in (0, 1, 2):
        raise ValueError(f"slice_axis: expected 0, 1 or 2, got {slice_axis!r}")
    row, column = (axis for axis in (2, 1, 0) if axis != slice_axis)
    return slice_axis, row, column


def to_slices(array: NDArray[Any], slice_axis: int) -> NDArray[Any]:
    """View of `array` (C, x, y, z) as (C, Z, H, W)."""
    return array.transpose(0, *(axis + 1 for axis in slice_order(slice_axis)))


def from_slices(array: NDArray[Any], slice_axis: int) -> NDArray[Any]:
    """View of `array` (Z, H, W) with the file's axes (x, y, z)."""
    return array.transpose(np.argsort(slice_order(slice_axis)))


def corners(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Indices (8, 4) of the voxels at the corners of a volume of `shape` (x, y, z), each with a 1 behind."""
    ends = np.array([*np.ndindex(2, 2, 2)], dtype=np.float64) * (np.array(shape) - 1)
    return np.column_stack([ends, np.ones(8)])


def check_same_grid(first: Volume, other: Volume) -> list[Remark]:
    """Raise `DataError` unless both files have the same shape and place their voxels alike.

    What remains is returned as a remark: sizes that too few voxels lie along to move them apart.
    """
    shape, found = first.array.shape[1:], other.array.shape[1:]
    if shape != found and first.unit == other.unit == "px":
        (width, height, _), (x, y, _) = shape, found
        raise DataError(
            f"{other.path}: expected {width} x {height} pixels (width x height) as {first.path.name}, got "
            f"{x} x {y}; export both in one size (labels without smoothing)"
        )
    if shape != found:
        raise DataError(
            f"{other.path}: expected shape (x, y, z) {shape} as {first.path.name}, got {found}; "
            "resample one onto the other's grid"
        )
    if first.spacing == other.spacing and np.array_equal(first.affine, other.affine):  # as of all pictures
        return []
    with np.errstate(all="ignore"):  # of a damaged header; NaN is no place within the tolerance
        apart = np.linalg.norm(corners(shape) @ (first.affine - other.affine).T, axis=1).max()
    sides = [side for side, length in zip(first.spacing, shape, strict=True) if length > 1]
    allowed = GEOMETRY_TOLERANCE * min(sides or first.spacing)
    if not apart <= allowed:
        raise DataError(
            f"{other.path}: expected the affine of {first.path.name} (voxels within {allowed:.3g} mm), "
            f"got voxels up to {apart:.3g} mm away; correct the header, or resample one onto the other's grid"
        )
    if np.allclose(first.spacing, other.spacing, rtol=SAME_SPACING, atol=0):
        return []
    detail = f"{other.path.name}: {other.spacing} mm, {first.path.name}: {first.spacing} mm, which is taken"
    return [Remark("files of a case that differ in spacing", detail)]


def check_finite(path: Path, array: NDArray[Any]) -> None:
    """Raise `DataError` where `array` (C, x, y, z) of `path` holds NaN or infinity."""
    faulty = ~np.isfinite(array)
    if faulty.any():
        index = tuple(int(i) for i in np.argwhere(faulty)[0][1:])
        raise DataError(
            f"{path}: expected finite values, got {int(faulty.sum())} NaN or infinite, "
            f"the first at (x, y, z) = {index}; repair this volume, or move it elsewhere"
        )
