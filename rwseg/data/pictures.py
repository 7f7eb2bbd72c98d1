"""Pictures in and out: 2D PNG, BMP and TIFF, grey or RGB, as volumes of one slice.

A picture has no physical scale that could be trusted: its spacing is 1, so what is given in mm for volumes is
in pixels here. nnU-Net reads such files likewise, except that it calls the distance between slices 999.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from rwseg.data.grid import Volume
from rwseg.errors import DataError
from rwseg.files import write_bytes

ENDINGS = (".png", ".bmp", ".tif", ".tiff")

_GREY = ("1", "L", "I", "I;16", "I;16L", "I;16B", "F")
_FORMATS = {".png": "PNG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}
_NOT_A_PICTURE = (SyntaxError, ValueError, TypeError, LookupError, EOFError, struct.error, zlib.error)


def is_picture(path: Path) -> bool:
    """Whether the ending of `path` is one of a picture."""
    return path.suffix.lower() in ENDINGS


def read_picture(path: Path) -> Volume:
    """Read a grey (8, 16 or 32 bit, float) or RGB (8 bit) picture as a volume (C, width, height, 1).

    Raises `DataError` for a missing, unreadable or corrupt file, several frames, transparency, a palette, and
    colours of more than 8 bits, which Pillow would round to 8 without a word.
    """
    try:
        with Image.open(path) as image:
            image.verify()  # checksums, which loading ignores; the file has to be opened again after it
        with Image.open(path) as image:
            _check_kind(path, image)
            array = np.asarray(image)
    except FileNotFoundError as error:
        raise DataError(f"{path}: this file is missing; restore it or remove its case") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: expected a smaller picture, got: {error}; cut it into tiles") from error
    except (UnidentifiedImageError, *_NOT_A_PICTURE) as error:
        raise _not_a_picture(path, error) from error
    except OSError as error:
        if error.errno is None:  # Pillow's own complaint, not the system's
            raise _not_a_picture(path, error) from error
        raise DataError(
            f"{path}: cannot be read: {error.strerror}; check its permissions and its disk"
        ) from error
    planes = np.atleast_3d(array.astype(np.uint8) if array.dtype == bool else array)  # (H, W, C)
    return Volume(path, planes.transpose(2, 1, 0)[..., None], (1.0, 1.0, 1.0), np.eye(4))


def write_picture_labels(path: Path, labels: NDArray[np.uint8], like: Path, same_shape: bool) -> None:
    """Write `labels` uint8 (width, height, 1) as a grey picture, in the format of the ending of `path`.

    `same_shape` says whether they must have the size of `like`. Atomic. Raises `ValueError` for another
    shape, `DataError` where `like` cannot be read or `path` cannot be written.
    """
    shape = read_picture(like).array.shape[1:]
    if labels.shape[2] != 1 or (same_shape and labels.shape != shape):
        raise ValueError(f"labels: expected shape (x, y, z) {shape} (the grid of {like}), got {labels.shape}")
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(labels[..., 0].T)).save(buffer, _FORMATS[path.suffix.lower()])
    write_bytes(path, buffer.getvalue())


def _check_kind(path: Path, image: Image.Image) -> None:
    frames = getattr(image, "n_frames", 1)  # PNG and BMP need not have the attribute
    if frames != 1:
        raise DataError(f"{path}: expected one 2D picture, got {frames} frames; save volumes as NIfTI")
    if image.mode not in (*_GREY, "RGB"):
        raise DataError(
            f"{path}: expected a grey or RGB picture, got mode {image.mode} (with a palette, transparency or "
            "another colour space); convert it to grey or RGB"
        )
    # Pillow has no wider colours; only the layout of the file's tiles still tells of them, as in "RGB;16B".
    if image.mode == "RGB" and any(";16" in str(tile.args) for tile in getattr(image, "tile", ())):
        raise DataError(
            f"{path}: expected at most 8 bits per colour, got 16; save each colour as a grey file of its own"
        )


def _not_a_picture(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path}: expected a complete picture ({', '.join(ENDINGS)}), got one with: {error}; "
        "fetch this file again"
    )
