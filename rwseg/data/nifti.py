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

from rwseg.data.case import Remark
from rwseg.data.grid import Volume
from rwseg.errors import MALFORMED, DataError
from rwseg.files import write_bytes

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
    that are not numbers (colours, complex), spacing that is not positive. What nibabel says of the header
    becomes a remark.
    """
    image, array, said = _read_image(path)
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise DataError(
            f"{path}: expected integer or floating voxels, got {array.dtype}; save one number per voxel, "
            "each channel in a file of its own"
        )
    spacing = _voxel_sizes(path, image.header)
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all():
        raise DataError(
            f"{path}: expected a finite affine, got {affine[:3].tolist()}; correct sform or qform"
        )
    remarks = tuple(Remark("headers that nibabel complains of", f"{path.name}: {text}") for text in said)
    return Volume(path, array[None], spacing, affine, remarks)


def read_thickness(path: Path) -> tuple[float, float, float]:
    """Spacing (x, y, z) in mm from the header alone, infinite along an axis of one voxel.

    Such an axis is the one across the slices, whatever its spacing. Raises `DataError` as `read_nifti`,
    voxels unseen.
    """
    _check_ending(path)
    with _naming(path), gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
        content = file.read(_HEADER_BYTES)
    header = _raw_header(path, content)
    lengths = _grid(path, header.get_data_shape())
    x, y, z = (
        size if length > 1 else np.inf
        for size, length in zip(_voxel_sizes(path, header), lengths, strict=True)
    )
    return x, y, z


def write_nifti_labels(path: Path, labels: NDArray[np.uint8], like: Path, same_shape: bool) -> None:
    """Write `labels` uint8 (x, y, z) with affine, qform and sform codes, spacing and units of `like`.

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
    header.set_data_dtype(np.uint8)
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


def _read_image(path: Path) -> tuple[Nifti, NDArray[Any], list[str]]:
    """The image, its values, scaled, with the file's axes (x, y, z), and what nibabel says of the header."""
    _check_ending(path)
    with _naming(path):
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content = gzip.decompress(content)
    _raw_header(path, content)
    try:
        with _collected() as said, np.errstate(all="ignore"):  # values that overflow are looked for later
            image = nib.Nifti1Image.from_bytes(content)
            shape = _grid(path, image.shape)
            held = image.dataobj
            if held.offset < 0 or held.offset + math.prod(shape) * held.dtype.itemsize > len(content):
                raise ValueError(
                    f"{len(content)} bytes, too few for shape {shape} from byte {held.offset} on"
                )
            array = np.asanyarray(held).reshape(shape)
    except _NOT_NIFTI as error:
        raise _not_nifti(path, error) from error
    return image, array, said


def _raw_header(path: Path, content: bytes) -> Any:
    """The header as it stands: nibabel mends a size of 0 to 1 and drops the sign of a negative one."""
    try:
        header = nib.Nifti1Header(content[:_HEADER_BYTES], check=False)
    except _NOT_NIFTI as error:
        raise _not_nifti(path, error) from error
    if header["magic"].item() not in _MAGIC:
        raise _not_nifti(path, f"magic {header['magic'].item()!r}, expected {_MAGIC[0]!r}")
    _voxel_sizes(path, header)
    return header


def _grid(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The shape (x, y, z) of a file of `shape`: a slice is a volume of one, trailing axes of 1 are none."""
    if len(shape) < 2 or min(shape) < 1 or math.prod(shape[3:]) != 1:
        raise DataError(
            f"{path}: expected a 3D volume or a 2D slice, got shape {shape}; "
            "write one file per frame or channel"
        )
    x, y, z = (*shape, 1)[:3]
    return int(x), int(y), int(z)


def _voxel_sizes(path: Path, header: Any) -> tuple[float, float, float]:
    """Sizes in mm of the axes that the file has, 1 of those that it has not."""
    axes = min(3, int(header["dim"][0]))
    x, y, z = (*header["pixdim"][1 : axes + 1].tolist(), 1.0, 1.0, 1.0)[:3]
    if not all(0 < size < np.inf for size in (x, y, z)):
        raise DataError(
            f"{path}: expected positive voxel sizes (pixdim) in mm, got {[x, y, z][:axes]}; "
            "correct the header"
        )
    return x, y, z


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
        raise DataError(f"{path}: this file is missing; restore it or remove its case") from error
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
