"""NIfTI files in and out: volumes read whole and checked, label maps written in their source's grid.

Files are decompressed whole, which verifies gzip's checksum. nibabel's own lazy reader stops at the last
voxel, before the checksum, and so returns a file with flipped bits without a word.
"""

import gzip
import logging
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from rwseg.core.errors import MALFORMED, DataError
from rwseg.core.files import write_bytes
from rwseg.data.case import Remark
from rwseg.data.io.geometry import Geometry, geometry_of
from rwseg.data.io.image_grid import Volume

ENDINGS = (".nii", ".nii.gz")

nib: Any = nibabel  # typed only in part
Nifti: TypeAlias = Any  # nib.Nifti1Image

_HEADER_BYTES = 348
_MAGIC = (b"n+1", b"ni1")
_NOT_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)
_NOT_NIFTI = (ImageFileError, HeaderDataError, WrapStructError, *MALFORMED)


def read_nifti(path: Path) -> Volume:
    """Read a volume (x, y, z) or a slice (x, y), values scaled by its slope; axes of length 1 may follow.

    Raises `DataError` for a missing, unreadable or corrupt file, one of several frames or channels, voxels
    that are not numbers (colours, complex), and as `rwseg.data.io.geometry.geometry_of`. What nibabel says of
    the header becomes a remark.
    """
    _, array, geometry = _read_image(path)
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise DataError(
            f"{path}: expected integer or floating voxels, got {array.dtype}; save one number per voxel, "
            "each channel in a file of its own"
        )
    return Volume(path, array[None], geometry.spacing, geometry.affine, geometry.remarks)


def read_thickness(path: Path) -> tuple[float, float, float]:
    """Spacing (x, y, z) in mm from the header alone, infinite along an axis of one voxel.

    Such an axis is the one across the slices, whatever its spacing. Raises `DataError` as `read_nifti`,
    voxels unseen.
    """
    _check_ending(path)
    with _naming(path), gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
        content = file.read(_HEADER_BYTES)
    shape, spacing, *_ = _geometry(path, content)
    x, y, z = (size if length > 1 else np.inf for size, length in zip(spacing, shape, strict=True))
    return x, y, z


def write_nifti_labels(path: Path, labels: NDArray[Any], like: Path, same_shape: bool) -> None:
    """Write `labels` (x, y, z), uint8, uint16 or float32, with affine, qform, sform and units of `like`.

    `same_shape` says whether they must have the shape of `like`. Atomic: a crash leaves the old file or none.
    Raises `ValueError` for another shape, `DataError` where `like` cannot be read or `path` not be written.
    """
    _check_ending(path)
    source, array, _ = _read_image(like)
    if same_shape and labels.shape != array.shape:
        raise ValueError(
            f"labels: expected shape (x, y, z) {array.shape} (the grid of {like}), got {labels.shape}"
        )
    if labels.shape == array.shape:
        labels = labels.reshape(source.shape)  # without the slice axis of a 2D file, with its trailing axes
    # The fixed part only: extensions may carry what belongs to the image alone (names, DICOM tags).
    header = nib.Nifti1Header(source.header.binaryblock, endianness=source.header.endianness)
    header.set_data_dtype(labels.dtype)
    header["cal_min"] = header["cal_max"] = 0  # the display window of the image would hide the classes
    _write_image(path, nib.Nifti1Image(labels, source.affine, header))


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
    write_bytes(path, content)


def _read_image(path: Path) -> tuple[Nifti, NDArray[Any], Geometry]:
    """The image, its values, scaled, with the file's axes (x, y, z), and its geometry, with all remarks."""
    _check_ending(path)
    with _naming(path):
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content = gzip.decompress(content)
    geometry = _geometry(path, content)
    shape = geometry.shape
    try:
        with _collected() as said, np.errstate(all="ignore"):  # values that overflow are looked for later
            image = nib.Nifti1Image.from_bytes(content)
            held = image.dataobj
            if held.offset < 0 or held.offset + math.prod(shape) * held.dtype.itemsize > len(content):
                raise ValueError(
                    f"{len(content)} bytes, too few for shape {shape} from byte {held.offset} on"
                )
            array = np.asanyarray(held).reshape(shape)
    except _NOT_NIFTI as error:
        raise _not_nifti(path, error) from error
    remarks = (Remark("headers that nibabel complains of", f"{path.name}: {text}") for text in said)
    return image, array, geometry._replace(remarks=(*remarks, *geometry.remarks))


def _geometry(path: Path, content: bytes) -> Geometry:
    """What the header at the beginning of `content` says, before nibabel mends it."""
    try:
        with np.errstate(all="ignore"):
            header = nib.Nifti1Header(content[:_HEADER_BYTES], check=False)
            if header["magic"].item() not in _MAGIC:
                raise ValueError(f"magic {header['magic'].item()!r}, expected {_MAGIC[0]!r}")
            return geometry_of(path, header)
    except _NOT_NIFTI as error:
        raise _not_nifti(path, error) from error


@contextmanager
def _collected() -> Iterator[list[str]]:
    """What nibabel says of headers, kept from its log on standard error, where no file's name stands."""
    said: list[str] = []

    def collect(record: logging.LogRecord) -> bool:
        said.append(record.getMessage())
        return False

    logger = nib.imageglobals.logger
    logger.addFilter(collect)
    try:
        yield said
    finally:
        logger.removeFilter(collect)


def _check_ending(path: Path) -> None:
    if not path.name.endswith(ENDINGS):
        raise DataError(f"{path}: expected a file ending in {' or '.join(ENDINGS)}; convert it to NIfTI")


def _not_nifti(path: Path, error: object) -> DataError:
    reason = str(error).partition("\n")[0]
    return DataError(
        f"{path}: expected a complete NIfTI-1 file, got one with: {reason}; fetch this file again"
    )


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say as `DataError` what went wrong while the bytes of `path` were read."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path}: this file is missing; restore it, or move its case elsewhere") from error
    except _NOT_GZIP as error:
        raise DataError(
            f"{path}: expected a complete gzip file, got one that is truncated or corrupt ({error}); "
            "fetch this file again"
        ) from error
    except MemoryError as error:
        raise DataError(
            f"{path}: expected a file that fits into memory; cut it, or take a larger machine"
        ) from error
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror}; check its permissions and its disk"
        ) from error
