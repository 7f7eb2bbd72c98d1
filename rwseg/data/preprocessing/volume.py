"""One volume from its native grid to the prepared one: crop, pad, resample in plane, normalise.

Training data and new images take the same way, so that a network sees what it was trained on.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rwseg.core.errors import DataError
from rwseg.data.case import LoadedCase
from rwseg.data.preprocessing.center_crop import NO_PADDING, Number, Padding, center_span, inside, padded
from rwseg.data.preprocessing.config import FittedPreprocessing, Interpolation, Plane
from rwseg.data.preprocessing.normalisation import normalise
from rwseg.data.preprocessing.resample import MIN_SIDE, resample_image, resample_labels

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""`(start, stop)` per axis of the native grid (Z, H, W)."""


@dataclass(frozen=True)
class PreparedVolume:
    """A volume on the prepared grid; `crop` with `padding` around it is what was resampled to it.

    `image` is float32 `(C, Z, h, w)`, `label` uint8 `(Z, h, w)` with classes and `IGNORE`, `spacing` in mm.
    `crop` is a part of the native grid.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8] | None
    spacing: tuple[float, float, float]
    crop: Box
    padding: Padding


def prepare_volume(
    loaded: LoadedCase, preprocessing: FittedPreprocessing, num_classes: int
) -> PreparedVolume:
    """Prepare a case by `preprocessing`: to the nonzero box, to its centre, resample each slice, normalise.

    The spacing that results is exact: the field of view over the number of pixels. What the centre crop pads
    has no say in the normalisation, and becomes 0 in the image and background in the label. Raises
    `DataError` for an image that is 0 everywhere, or in all that is left of it, where the preprocessing needs
    nonzero voxels.
    """
    present = (loaded.image != 0).any(axis=0)  # (Z, H, W)
    if preprocessing.crop or preprocessing.normalisation == "zscore_nonzero":
        _check_some(present)
    crop = nonzero_box(present) if preprocessing.crop else _whole(present.shape)
    if (
        preprocessing.normalisation == "zscore_nonzero"
    ):  # holes are those of the whole box, whatever is cut from it
        present[_index(crop)] = ndimage.binary_fill_holes(present[_index(crop)])
    crop, padding = _center_crop(crop, preprocessing.center_crop)
    window = partial(_window, crop=crop, padding=padding)
    image = window(loaded.image)
    height, width = image.shape[-2:]
    z, y, x = loaded.spacing
    size = plane_size((height, width), (y, x), preprocessing)
    shown = inside(padding, (height, width), size)
    mask = None
    if preprocessing.normalisation == "zscore_nonzero":
        mask = (
            resample_labels(window(present.astype(np.uint8)), size, 2, preprocessing.interpolation)[shown] > 0
        )
        _check_some(mask, " in what is left of it", "widen dataset.center_crop, or move this case elsewhere")
    label = loaded.label
    if label is not None:
        label = resample_labels(window(label), size, num_classes, preprocessing.interpolation)[shown]
        label = _placed(label, shown, size)
    image = normalise(resample_image(image, size, preprocessing.interpolation)[shown], preprocessing, mask)
    image = _placed(image, shown, size)
    return PreparedVolume(image, label, (z, y * height / size[0], x * width / size[1]), crop, padding)


def prepare_pixels(
    values: NDArray[np.float32],
    crop: Box,
    padding: Padding,
    size: tuple[int, int],
    interpolation: Interpolation,
) -> NDArray[np.float32]:
    """Numbers for each voxel `(Z, H, W)` on the prepared grid of `size`, resampled as an image; 1 in padding.

    It is their difference from 1 that is resampled, so that ones stay ones to the last bit.
    """
    window = _window(values - 1, crop, padding)
    shown = inside(padding, window.shape[-2:], size)
    placed = _placed(resample_image(window[None], size, interpolation)[shown], shown, size)
    prepared: NDArray[np.float32] = placed[0] + 1
    return prepared


def plane_size(shape: tuple[int, int], spacing: Plane, preprocessing: FittedPreprocessing) -> tuple[int, int]:
    """Size `(h, w)` that a slice `(H, W)` of `spacing` (y, x) gets, rounded once, at least `MIN_SIDE`."""
    sides: tuple[float, float] = shape
    if preprocessing.size is not None:
        sides = preprocessing.size
    elif preprocessing.spacing is not None:
        sides = (
            shape[0] * spacing[0] / preprocessing.spacing[0],
            shape[1] * spacing[1] / preprocessing.spacing[1],
        )
    height, width = (max(MIN_SIDE, round(side * preprocessing.zoom)) for side in sides)
    return height, width


def nonzero_box(present: NDArray[np.bool_]) -> Box:
    """The smallest box around the true voxels of `present` `(Z, H, W)`, which holds at least one."""
    places = [np.flatnonzero(present.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    z, y, x = ((int(along[0]), int(along[-1]) + 1) for along in places)
    return z, y, x


def _center_crop(box: Box, size: tuple[int, int] | None) -> tuple[Box, Padding]:
    """The part of `box` in its middle `size` pixels (H, W), and the padding that these need."""
    if size is None:
        return box, NO_PADDING
    slices, *plane = box
    (rows, above), (columns, beside) = (center_span(*pair) for pair in zip(plane, size, strict=True))
    return (slices, rows, columns), (above, beside)


def _index(box: Box) -> tuple[Any, ...]:
    return ..., *(slice(start, stop) for start, stop in box)


def _window(array: NDArray[Number], crop: Box, padding: Padding) -> NDArray[Number]:
    """`crop` of `array` `(..., Z, H, W)`, padded."""
    return padded(array[_index(crop)], padding)


def _placed(values: NDArray[Number], shown: tuple[Any, ...], size: tuple[int, int]) -> NDArray[Number]:
    """`values` as the pixels `shown` of an array `(..., *size)` that is 0 elsewhere."""
    if values.shape[-2:] == size:
        return values
    placed = np.zeros((*values.shape[:-2], *size), values.dtype)
    placed[shown] = values
    return placed


def _check_some(
    present: NDArray[np.bool_], where: str = "", advice: str = "move this case elsewhere"
) -> None:
    if not present.any():
        raise DataError(f"expected voxels other than 0, got an image of 0 everywhere{where}; {advice}")


def _whole(shape: tuple[int, ...]) -> Box:
    depth, height, width = shape
    return (0, depth), (0, height), (0, width)
