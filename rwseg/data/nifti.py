"""NIfTI files in and out: cases read as checked arrays (Z, Y, X), labels written in their source's grid.

Files are decompressed whole, which verifies gzip's checksum. nibabel's own lazy reader stops at the last
voxel, before the checksum, and so returns a file with flipped bits without a word.
"""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from rwseg.data.case import Case
from rwseg.errors import DataError
from rwseg.files import replacing

GEOMETRY_TOLERANCE = 0.05
"""How far apart two files of a case may place the same voxel, as a fraction of the smallest voxel side."""

nib: Any = nibabel  # typed only in part
Nifti: TypeAlias = Any  # nib.Nifti1Image

_HEADER_BYTES = 348
_NOT_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)
_NOT_NIFTI = (ImageFileError, HeaderDataError, WrapStructError, ValueError, OSError)


@dataclass(frozen=True)
class LoadedCase:
    """A case in memory: `image` float32 (C, Z, H, W), `label` uint8 (Z, H, W), `spacing` (z, y, x) in mm.

    `affine` (4, 4) is the file's: it maps file indices (x, y, z) to mm.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8] | None
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]


@dataclass(frozen=True)
class _Volume:
    """One file: `array` (Z, H, W) in its own number type, and where its voxels lie."""

    path: Path
    array: NDArray[Any]
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]


def read_case(case: Case, num_classes: int) -> LoadedCase:
    """Read and check every file of a case.

    Raises `DataError` naming the file for: a missing, unreadable or corrupt file, a volume that is not 3D,
    spacing that is not positive, values that are not finite, files of differing shape or affine
    (`GEOMETRY_TOLERANCE`), label values that are not integers in [0, num_classes), no foreground at all.
    """
    if not case.images:
        raise DataError(f"{case.name}: expected at least one image file, got none; name one per channel")
    first, *others = [_read_volume(path) for path in case.images]
    for other in others:
        _check_same_grid(first, other)
    image = np.stack([_intensities(channel) for channel in (first, *others)])  # (C, Z, H, W)
    if case.label is None:
        return LoadedCase(image, None, first.spacing, first.affine)
    reference = _read_volume(case.label)
    _check_same_grid(first, reference)
    return LoadedCase(image, _classes(reference, num_classes), first.spacing, first.affine)


def read_array(path: Path) -> NDArray[Any]:
    """Voxels `(Z, H, W)` of one file; `DataError` where it cannot be read."""
    return _read_volume(path).array


def write_labels(path: Path, labels: NDArray[np.uint8], like: Path) -> None:
    """Write `labels` uint8 (Z, H, W) with affine, qform and sform codes, spacing and units of `like`.

    Atomic: a crash leaves the old file or none. Raises `ValueError` for another type or shape, `DataError`
    where `like` cannot be read or `path` cannot be written.
    """
    source, _ = _read_image(like)
    if labels.dtype != np.uint8 or labels.shape != source.shape[::-1]:
        raise ValueError(
            f"labels: expected uint8 of shape {source.shape[::-1]} (the grid of {like}), "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    # The fixed part only: extensions may carry what belongs to the image alone (names, DICOM tags).
    header = nib.Nifti1Header(source.header.binaryblock, endianness=source.header.endianness)
    header.set_data_dtype(np.uint8)
    header["cal_min"] = header["cal_max"] = 0  # the display window of the image would hide the classes
    _write_image(path, nib.Nifti1Image(labels.transpose(), source.affine, header))


def write_volume(path: Path, array: NDArray[Any], spacing: tuple[float, float, float]) -> None:
    """Write `array` (Z, H, W) with `spacing` (z, y, x) in mm and ACDC's orientation (x and y axes reversed).

    Atomic; the same array gives the same bytes. Raises `DataError` where `path` cannot be written.
    """
    z, y, x = spacing
    image = nib.Nifti1Image(array.transpose(), np.diag([-x, -y, z, 1.0]))
    image.set_qform(image.affine, code=1)
    image.set_sform(image.affine, code=1)
    image.header.set_xyzt_units("mm")
    _write_image(path, image)


def _write_image(path: Path, image: Nifti) -> None:
    content = image.to_bytes()
    if path.name.endswith(".gz"):
        content = gzip.compress(content, compresslevel=6, mtime=0)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written: {error.strerror}; free space or choose another folder"
        ) from error


def _read_image(path: Path) -> tuple[Nifti, NDArray[Any]]:
    """The image and its values, scaled, with the file's axes (x, y, z)."""
    content = _read_bytes(path)
    try:
        # nibabel mends a voxel size of 0 to 1 and drops the sign of a negative one, so ask before it does.
        voxel_sizes = nib.Nifti1Header(content[:_HEADER_BYTES], check=False)["pixdim"][1:4].tolist()
        image = nib.Nifti1Image.from_bytes(content)
        array = np.asanyarray(image.dataobj)
    except _NOT_NIFTI as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{path}: expected a complete NIfTI-1 file, got one with: {reason}; fetch this file again"
        ) from error
    if len(image.shape) != 3 or 0 in image.shape:
        raise DataError(
            f"{path}: expected a 3D volume, got shape {image.shape}; write one file per frame or channel"
        )
    if not all(0 < size < np.inf for size in voxel_sizes):
        raise DataError(
            f"{path}: expected positive voxel sizes (pixdim) in mm, got {voxel_sizes}; correct the header"
        )
    return image, array


def _read_bytes(path: Path) -> bytes:
    if not path.name.endswith((".nii", ".nii.gz")):
        raise DataError(f"{path}: expected a file ending in .nii or .nii.gz; convert it to NIfTI")
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: this file is missing; restore it or remove its case") from error
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror}; check its permissions and its disk"
        ) from error
    if not path.name.endswith(".gz"):
        return content
    try:
        return gzip.decompress(content)
    except _NOT_GZIP as error:
        raise DataError(
            f"{path}: expected a complete gzip file, got {len(content)} bytes that are truncated or corrupt "
            f"({error}); fetch this file again"
        ) from error


def _read_volume(path: Path) -> _Volume:
    image, array = _read_image(path)
    x, y, z = (float(size) for size in image.header.get_zooms())
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise DataError(f"{path}: expected integer or floating voxels, got {array.dtype}; convert it to grey")
    return _Volume(path, array.transpose(), (z, y, x), np.asarray(image.affine, dtype=np.float64))


def _check_same_grid(first: _Volume, other: _Volume) -> None:
    if first.array.shape != other.array.shape:
        raise DataError(
            f"{other.path}: expected shape (Z, Y, X) {first.array.shape} as {first.path.name}, "
            f"got {other.array.shape}; resample one onto the other's grid"
        )
    corners = np.array([*np.ndindex(2, 2, 2)]) * (np.array(first.array.shape[::-1]) - 1)
    homogeneous = np.c_[corners, np.ones(8)]  # (8, 4)
    apart = np.linalg.norm(homogeneous @ (first.affine - other.affine).T, axis=1).max()
    allowed = GEOMETRY_TOLERANCE * min(first.spacing)
    if not apart <= allowed:
        raise DataError(
            f"{other.path}: expected the affine of {first.path.name} (voxels within {allowed:.3g} mm), "
            f"got voxels up to {apart:.3g} mm away; correct the header, or resample one onto the other's grid"
        )


def _intensities(volume: _Volume) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is reported just below
        array = np.ascontiguousarray(volume.array, dtype=np.float32)
    _check_finite(volume.path, array)
    return array


def _check_finite(path: Path, array: NDArray[Any]) -> None:
    faulty = ~np.isfinite(array)
    if faulty.any():
        index = tuple(int(i) for i in np.argwhere(faulty)[0])
        raise DataError(
            f"{path}: expected finite values, got {int(faulty.sum())} NaN or infinite, "
            f"the first at (z, y, x) = {index}; repair or remove this volume"
        )


def _classes(volume: _Volume, num_classes: int) -> NDArray[np.uint8]:
    array = volume.array
    _check_finite(volume.path, array)
    found = np.unique(array)
    wrong = found[(found != np.floor(found)) | (found < 0) | (found >= num_classes)]
    if wrong.size:
        shown = ", ".join(f"{value:g}" for value in wrong[:5].tolist()) + (", ..." if wrong.size > 5 else "")
        raise DataError(
            f"{volume.path}: expected integer labels in [0, {num_classes}), got {shown} "
            f"in {int(np.isin(array, wrong).sum())} voxels; correct the labels or the dataset's classes"
        )
    if not found.any():
        raise DataError(f"{volume.path}: expected some foreground, got only background (0); remove this case")
    return np.ascontiguousarray(array, dtype=np.uint8)
