"""NIfTI files in and out: volumes read whole and checked, label maps written in their source's grid.

Files are decompressed whole, which verifies gzip's checksum. nibabel's own lazy reader stops at the last
voxel, before the checksum, and so returns a file with flipped bits without a word.
"""

import gzip
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

from rwseg.data.grid import Volume
from rwseg.errors import DataError
from rwseg.files import write_bytes

ENDINGS = (".nii", ".nii.gz")

nib: Any = nibabel  # typed only in part
Nifti: TypeAlias = Any  # nib.Nifti1Image

_HEADER_BYTES = 348
_MAGIC = (b"n+1", b"ni1")
_NOT_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)
_NOT_NIFTI = (ImageFileError, HeaderDataError, WrapStructError, ValueError, OSError)


def read_nifti(path: Path) -> Volume:
    """Read a 3D file, values scaled by its slope.

    Raises `DataError` for a missing, unreadable or corrupt file, a volume that is not 3D, voxels that are
    not numbers (colours, complex), spacing that is not positive.
    """
    image, array = _read_image(path)
    x, y, z = (float(size) for size in image.header.get_zooms())
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise DataError(f"{path}: expected integer or floating voxels, got {array.dtype}; convert it to grey")
    return Volume(path, array[None], (x, y, z), np.asarray(image.affine, dtype=np.float64))


def read_spacing(path: Path) -> tuple[float, float, float]:
    """Spacing (x, y, z) in mm from the header alone; raises `DataError` as `read_nifti`, voxels unseen."""
    _check_ending(path)
    with _naming(path), gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
        content = file.read(_HEADER_BYTES)
    x, y, z = _voxel_sizes(path, content)
    _check_sizes(path, (x, y, z))
    return x, y, z


def write_nifti_labels(path: Path, labels: NDArray[np.uint8], like: Path, same_shape: bool) -> None:
    """Write `labels` uint8 (x, y, z) with affine, qform and sform codes, spacing and units of `like`.

    `same_shape` says whether they must have the shape of `like`. Atomic: a crash leaves the old file or none.
    Raises `ValueError` for another shape, `DataError` where `like` cannot be read or `path` not be written.
    """
    _check_ending(path)
    source, _ = _read_image(like)
    if same_shape and labels.shape != source.shape:
        raise ValueError(
            f"labels: expected shape (x, y, z) {source.shape} (the grid of {like}), got {labels.shape}"
        )
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


def _read_image(path: Path) -> tuple[Nifti, NDArray[Any]]:
    """The image and its values, scaled, with the file's axes (x, y, z)."""
    _check_ending(path)
    with _naming(path):
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content = gzip.decompress(content)
    sizes = _voxel_sizes(path, content)
    try:
        image = nib.Nifti1Image.from_bytes(content)
        array = np.asanyarray(image.dataobj)
    except _NOT_NIFTI as error:
        raise _not_nifti(path, error) from error
    if len(image.shape) != 3 or 0 in image.shape:
        raise DataError(
            f"{path}: expected a 3D volume, got shape {image.shape}; write one file per frame or channel"
        )
    _check_sizes(path, sizes)
    return image, array


def _voxel_sizes(path: Path, content: bytes) -> tuple[float, float, float]:
    """The header's own sizes: nibabel mends a size of 0 to 1 and drops the sign of a negative one."""
    try:
        header = nib.Nifti1Header(content[:_HEADER_BYTES], check=False)
    except _NOT_NIFTI as error:
        raise _not_nifti(path, error) from error
    if header["magic"].item() not in _MAGIC:
        raise _not_nifti(path, f"magic {header['magic'].item()!r}, expected {_MAGIC[0]!r}")
    x, y, z = header["pixdim"][1:4].tolist()
    return x, y, z


def _check_sizes(path: Path, sizes: tuple[float, float, float]) -> None:
    if not all(0 < size < np.inf for size in sizes):
        raise DataError(
            f"{path}: expected positive voxel sizes (pixdim) in mm, got {list(sizes)}; correct the header"
        )


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
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror}; check its permissions and its disk"
        ) from error
