"""Pictures in and out: 2D PNG, JPEG, BMP and TIFF, grey or RGB, as volumes of one slice.

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

LOSSLESS = (".png", ".bmp", ".tif", ".tiff")
"""Endings of pictures whose values are those that were saved: labels need one of them."""

ENDINGS = (*LOSSLESS, ".jpg", ".jpeg")

_GREY = ("1", "L", "I", "I;16", "I;16L", "I;16B", "F")
_COLOUR = ("RGB", "P", "PA", "RGBA", "LA")
_FORMATS = {".png": "PNG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}
_ORIENTATION = 0x0112  # EXIF's
_LARGEST_OF_DEPTH = {"L;2": 3, "L;4": 15}
"""The largest value of grey of 2 and of 4 bits, which Pillow stretches to 255: by 85 and by 17."""


def is_picture(path: Path) -> bool:
    """Whether the ending of `path` is one of a picture."""
    return path.suffix.lower() in ENDINGS


def has_palette(path: Path) -> bool:
    """Whether the pixels of a picture that was read before are indices into a palette."""
    with Image.open(path) as image:
        return image.mode == "P"


def read_picture(path: Path, labels: bool = False) -> Volume:
    """Read a grey (8, 16 or 32 bit, float) or RGB (8 bit) picture as a volume (C, width, height, 1).

    An image with a palette is RGB, or grey where its colours are. An alpha channel of a single value is left
    out, with a remark. Of `labels` with a palette the values are the indices into it, of those in 2 or 4 bits
    what the file holds. Raises `DataError` for a missing, unreadable or corrupt file, several frames,
    transparency that differs between pixels, labels in colours or in JPEG, and colours of more than 8 bits,
    which Pillow would round to 8 without a word. What Pillow warns of becomes a remark.
    """
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with Image.open(path) as image:
                image.verify()  # checksums, which loading ignores; the file has to be opened again after it
            with Image.open(path) as image:
                _check_kind(path, image, labels)
                largest = _LARGEST_OF_DEPTH.get(_layout(image), 255) if labels else 255
                remarks = [*_resolution(path, image), *_orientation(path, image)]
                array = np.asarray(image if labels else _opaque(path, image, remarks))
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


def write_picture_labels(path: Path, labels: NDArray[Any], like: Path, same_shape: bool) -> None:
    """Write `labels` uint8 or uint16 (width, height, 1) as a grey picture, in the format of `path`'s ending.

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


def _orientation(path: Path, image: Image.Image) -> list[Remark]:
    """A remark where a camera asks for the picture to be turned, as Pillow turns a TIFF: its mask may be."""
    turned = image.format != "TIFF" and image.getexif().get(_ORIENTATION, 1) not in (0, 1)
    kind = "an EXIF orientation, which is not applied: image and mask are taken as they are stored"
    return [Remark(kind, path.name)] if turned else []


def _opaque(path: Path, image: Image.Image, remarks: list[Remark]) -> Image.Image:
    """A picture of grey or RGB; what was left out of it is added to `remarks`."""
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
        colours = np.asarray(image)
        if (colours[..., :1] == colours[..., 1:3]).all():
            image = image.convert("LA" if image.mode == "RGBA" else "L")
    if image.mode not in ("RGBA", "LA"):
        return image
    low, high = image.getchannel("A").getextrema()
    if low != high:
        raise DataError(
            f"{path}: expected an opaque picture, got an alpha channel of values from {low} to {high}, which "
            "nothing here would look at; save it without alpha, or alpha as a channel of its own"
        )
    remarks.append(Remark("an alpha channel of a single value, which is left out", f"{path.name}: {low}"))
    return image.convert("RGB" if image.mode == "RGBA" else "L")


def _check_kind(path: Path, image: Image.Image, labels: bool) -> None:
    frames = getattr(image, "n_frames", 1)  # PNG and BMP need not have the attribute
    if frames != 1:
        raise DataError(f"{path}: expected one 2D picture, got {frames} frames; save volumes as NIfTI")
    if labels:
        _check_labels(path, image)
    if image.mode not in (*_GREY, *_COLOUR):
        raise DataError(
            f"{path}: expected a grey or RGB picture, got mode {image.mode} (another colour space); convert "
            "it to grey or RGB"
        )
    # Pillow has no wider colours; only the layout of the file's tiles still tells of them, as in "RGB;16B".
    if image.mode in _COLOUR and any(";16" in str(tile.args) for tile in getattr(image, "tile", ())):
        raise DataError(
            f"{path}: expected at most 8 bits per colour, got 16; save each colour as a grey file of its own"
        )


def _check_labels(path: Path, image: Image.Image) -> None:
    if image.format not in _FORMATS.values() or "jpeg" in str(image.info.get("compression")):
        raise DataError(
            f"{path}: expected labels saved without loss, got JPEG, which mixes them at every edge; export "
            "them again from where they were drawn as PNG (what is lost does not come back by converting)"
        )
    if image.mode not in (*_GREY, "P"):
        colours = np.asarray(image)
        is_grey = image.mode == "RGB" and (colours == colours[..., :1]).all()
        raise DataError(
            f"{path}: expected one label per pixel, got mode {image.mode}; save "
            + (
                "one of the three channels, which are equal"
                if is_grey
                else "the classes' numbers as grey or with a palette (turning colours into grey makes other "
                "numbers of them)"
            )
        )


def _not_a_picture(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path}: expected a complete picture ({', '.join(ENDINGS)}), got one with: {error}; "
        "fetch this file again"
    )
