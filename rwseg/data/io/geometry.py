"""The geometry of a NIfTI file, decided here alone: shape, spacing, affine, and what contradicts them.

A header says up to three times how large a voxel is: sform, qform and pixdim. The affine in use decides, by
nibabel's rule: sform where it has a code, else qform, else pixdim alone.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rwseg.core.errors import DataError
from rwseg.data.case import Remark
from rwseg.data.io.image_grid import SAME_SPACING, corners

_UNITS = {0: ("mm", 1.0), 1: ("meter", 1000.0), 2: ("mm", 1.0), 3: ("micron", 0.001)}
"""Units by code, and their size in mm; 0 is "unknown", which most tools write for mm."""

_PERPENDICULAR = 1e-2  # largest cosine between two axes: half a degree
_SILENT = logging.Logger("nibabel, whose remarks are kept when the file is read whole", logging.CRITICAL + 1)


class Geometry(NamedTuple):
    """`shape` and `spacing` in mm along (x, y, z), `affine` (4, 4) from indices to mm, `remarks` on both.

    An axis that the file has not is 1 long, with a spacing of 1.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    remarks: tuple[Remark, ...]


def geometry_of(path: Path, raw: Any) -> Geometry:
    """Geometry by `raw`, the header of the file `path` as it stands (nibabel mends pixdim without a word).

    Raises `DataError` for several frames, sizes that are not positive and an affine that is not finite, and
    nibabel's own errors for a header that it cannot read.
    """
    shape = _grid(path, raw.get_data_shape())
    axes = min(3, int(raw["dim"][0]))
    header = raw.copy()
    header.check_fix(logger=_SILENT)
    pixdim = raw["pixdim"][1 : axes + 1].astype(np.float64)
    by_sform = int(header["sform_code"]) != 0
    if not by_sform:
        _check_positive(path, pixdim, "pixdim")
    affine = np.array(header.get_best_affine(), dtype=np.float64)
    if not np.isfinite(affine).all():
        raise DataError(
            f"{path}: expected a finite affine, got {affine[:3].tolist()}; correct sform or qform"
        )
    sizes = np.linalg.norm(affine[:3, :axes], axis=0)
    _check_positive(path, sizes, "columns of sform" if by_sform else "pixdim")
    code = int(raw["xyzt_units"]) & 7
    unit, factor = _UNITS.get(code, ("mm", 1.0))
    remarks = [*_contradictions(header, pixdim, affine, shape)] if by_sform else []
    remarks += _shear(affine[:3, :axes] / sizes)
    if code not in _UNITS:
        remarks.append(Remark("units that NIfTI does not know", f"code {code}, taken for mm"))
    elif factor != 1:
        read = f"{_sizes(sizes)} {unit} read as {_sizes(sizes * factor)} mm"
        remarks.append(Remark("units other than mm", read))
    affine[:3] *= factor
    x, y, z = (*(sizes * factor).tolist(), 1.0, 1.0)[:3]
    named = tuple(Remark(kind, f"{path.name}: {detail}") for kind, detail in remarks)
    return Geometry(shape, (x, y, z), affine, named)


def _grid(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The shape (x, y, z) of a file of `shape`: a slice is a volume of one, trailing axes of 1 are none."""
    if len(shape) < 2 or min(shape) < 1 or math.prod(shape[3:]) != 1:
        raise DataError(
            f"{path}: expected a 3D volume or a 2D slice, got shape {shape}; "
            "write one file per frame or channel"
        )
    x, y, z = (*shape, 1)[:3]
    return int(x), int(y), int(z)


def _check_positive(path: Path, sizes: NDArray[np.float64], origin: str) -> None:
    if not ((sizes > 0) & (sizes < np.inf)).all():
        raise DataError(
            f"{path}: expected positive voxel sizes ({origin}), got {sizes.tolist()}; correct the header"
        )


def _contradictions(
    header: Any, pixdim: NDArray[np.float64], affine: NDArray[np.float64], shape: tuple[int, int, int]
) -> Iterator[Remark]:
    """What pixdim and qform say against the sform `affine`, in the file's own unit.

    Forms of different codes are meant for different spaces, so that only their voxel sizes are compared.
    """
    sizes = np.linalg.norm(affine[:3, : len(pixdim)], axis=0)
    coded = int(header["qform_code"]) != 0
    if not np.allclose(pixdim, sizes, rtol=SAME_SPACING, atol=0):
        kind = "qform and sform that disagree" if coded else "a pixdim that disagrees with the affine"
        named = "qform and pixdim" if coded else "pixdim"
        yield Remark(
            kind, f"voxels of {_sizes(pixdim)} by {named}, of {_sizes(sizes)} by sform, which is taken"
        )
    elif coded and header["qform_code"] == header["sform_code"]:
        try:
            other = np.asarray(header.get_qform())
        except ValueError as error:  # a quaternion that is none
            yield Remark("qform and sform that disagree", f"qform: {error}; sform is taken")
            return
        places = corners(shape)
        apart = np.linalg.norm(places @ (affine - other).T, axis=1).max()
        extent = np.linalg.norm(sizes * np.array(shape[: len(sizes)]))
        if not apart <= SAME_SPACING * extent + sizes.min() / 2:  # a quaternion has few digits
            yield Remark("qform and sform that disagree", f"voxels up to {apart:.3g} apart; sform is taken")


def _shear(directions: NDArray[np.float64]) -> list[Remark]:
    """A remark on axes, unit vectors in columns, that are not perpendicular: distances take them to be."""
    cosine = np.abs(np.triu(directions.T @ directions, 1)).max()
    if cosine <= _PERPENDICULAR:
        return []
    angle = math.degrees(math.acos(min(1.0, cosine)))
    return [
        Remark("axes that are not perpendicular", f"{angle:.3g} degrees; distances in mm take them to be")
    ]


def _sizes(values: Sequence[float] | NDArray[np.float64]) -> str:
    return " x ".join(f"{value:.4g}" for value in values)
