"""Pictures in and out: 2D PNG, BMP and TIFF, grey or RGB, as volumes of one slice.

A picture has no physical scale that could be trusted: its spacing is 1, so what is given in mm for volumes is
in pixels here. nnU-Net reads such files likewise, except that it calls the distance between slices 999. What
a file says of its resolution is not used, and a remark says so where that matters (`_resolution`).
"""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rwseg.core.errors import MALFORMED, DataError
from rwseg.core.files import write_bytes
from rwseg.data.case import Remark
from rwseg.data.io.image_grid import SAME_SPACING, Volume

ENDINGS = (".png", ".bmp", ".tif", ".tiff")

_GREY = ("1", "L", "I", "I;16", "I;16L", "I;16B", "F")
_FORMATS = {".png": "PNG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}
_LARGEST_OF_DEPTH = {"L;2": 3, "L;4": 15}
"""The largest value of grey of 2 and of 4 bits, which Pillow stretches to 255: by 85 and by 17."""


def is_picture(path: Path) -> bool:
    """Whether the ending of `path` is one of a picture."""
    return path.suffix.lower() in ENDINGS


def read_picture(path: Path, labels: bool = False) -> Volume:
    """Read a grey (8, 16 or 32 bit, float) or RGB (8 bit) picture as a volume (C, width, height, 1).

    Of `labels` with a palette the values are the indices into it, of those in 2 or 4 bits what the file
    holds. Raises `DataError` for a missing, unreadable or corrupt file, several frames, transparency, the
    palette of an image, and colours of more than 8 bits, which Pillow would round to 8 without a word. What
    Pillow warns of becomes a remark.
    """
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with Image.open(path) as image:
                image.verify()  # checksums, which loading ignores; the file has to be opened again after it
            with Image.open(path) as image:
                _check_kind(path, image, labels)
                largest = _LARGEST_OF_DEPTH.get(_layout(image), 255) if labels else 255
                array = np.asarray(image)
                remarks = _resolution(path, image)
    except FileNotFoundError as error:
        raise DataError(f"{path}: this file is missing; restore it, or move its case elsewhere") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: expected a smaller picture, got: {error}; cut it into tiles") from error
    except MALFORMED as error:
        if not isinstance(error, OSError) or error.errno is None:  # Pillow's own complaint, not the system's
            raise _not_a_picture(path, error) from error
        raise DataError(
            f"{path}: cannot be read: {error.strerror}; check its permissions and its disk"
        ) from error
    if largest != 255:
        array = array // np.uint8(255 // largest)
    planes = np.atleast_3d(array.astype(np.uint8) if array.dtype == bool else array)  # (H, W, C)
    texts = dict.fromkeys(str(warning.message) for warning in said)
    remarks += [Remark("pictures that Pillow complains of", f"{path.name}: {text}") for text in texts]
    array = planes.transpose(2, 1, 0)[..., None]
    return Volume(path, array, (1.0, 1.0, 1.0), np.eye(4), tuple(remarks), unit="px")


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


def _layout(image: Image.Image) -> Any:
    """How the file holds its pixels, in Pillow's words, such as "L;4": the mode alone does not tell."""
    tiles = getattr(image, "tile", None)
    args = tiles[0].args if tiles else None
    return args[0] if isinstance(args, tuple) else args


def _resolution(path: Path, image: Image.Image) -> list[Remark]:
    """Remarks on what the file says of its pixels: that they are not square, or (TIFF alone) their size.

    PNG and BMP state the size of a print or a screen, TIFF that of a microscope or scanner.
    """
    info = image.info
    per_inch = "dpi" in info
    x, y = (float(step) for step in info.get("dpi", info.get("resolution", info.get("aspect", (1, 1)))))
    if not (0 < x < np.inf and 0 < y < np.inf):  # what no writer meant; Pillow reads it all the same
        return []
    if abs(x / y - 1) > SAME_SPACING:
        return [
            Remark(
                "pixels that are not square, taken for square ones",
                f"{path.name}: {x:.4g} x {y:.4g} pixels per unit (x, y); resample them, or convert to NIfTI",
            )
        ]
    if image.format != "TIFF" or x == y == 1:
        return []
    size = f"{25.4 / x:.4g} mm" if per_inch else f"1/{x:g} of a unit"
    return [
        Remark("a stated size of pixels, which is not used: distances are in pixels", f"{path.name}: {size}")
    ]


def _check_kind(path: Path, image: Image.Image, labels: bool) -> None:
    frames = getattr(image, "n_frames", 1)  # PNG and BMP need not have the attribute
    if frames != 1:
        raise DataError(f"{path}: expected one 2D picture, got {frames} frames; save volumes as NIfTI")
    if labels and image.mode not in (*_GREY, "P"):
        raise DataError(
            f"{path}: expected one label per pixel, got mode {image.mode}; save the classes' numbers "
            "as grey or with a palette (turning colours into grey makes other numbers of them)"
        )
    if image.mode not in (*_GREY, "RGB", "P") or (image.mode == "P" and not labels):
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
