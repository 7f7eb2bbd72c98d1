"""One volume from its native grid to the prepared one: crop, resample in plane, normalise.

Training data and new images take the same way, so that a network sees what it was trained on.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rwseg.core.errors import DataError
from rwseg.data.case import LoadedCase
from rwseg.data.preprocessing.config import Plane, Recipe
from rwseg.data.preprocessing.normalisation import normalise
from rwseg.data.preprocessing.resample import MIN_SIDE, resample_image, resample_labels

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""`(start, stop)` per axis of the native grid (Z, H, W)."""


@dataclass(frozen=True)
class PreparedVolume:
    """A volume on the prepared grid; `crop` is the part of the native grid that was resampled to it.

    `image` is float32 `(C, Z, h, w)`, `label` uint8 `(Z, h, w)` with classes and `IGNORE`, `spacing` in mm.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8] | None
    spacing: tuple[float, float, float]
    crop: Box


def prepare_volume(loaded: LoadedCase, recipe: Recipe, num_classes: int) -> PreparedVolume:
    """Prepare a case by `recipe`: crop to the nonzero box, resample each slice, normalise, in this order.

    The spacing that results is exact: the field of view over the number of pixels. Raises `DataError` for an
    image that is 0 everywhere where the recipe needs nonzero voxels.
    """
    present = (loaded.image != 0).any(axis=0)  # (Z, H, W)
    if recipe.crop or recipe.normalisation == "zscore_nonzero":
        _check_some(present)
    crop = nonzero_box(present) if recipe.crop else _whole(present.shape)
    window = tuple(slice(start, stop) for start, stop in crop)
    image = loaded.image[:, *window]
    height, width = image.shape[-2:]
    z, y, x = loaded.spacing
    size = plane_size((height, width), (y, x), recipe)
    mask = None
    if recipe.normalisation == "zscore_nonzero":
        filled = ndimage.binary_fill_holes(present[window]).astype(np.uint8)
        mask = resample_labels(filled, size, 2, recipe.interpolation) > 0
        _check_some(mask)
    label = loaded.label
    if label is not None:
        label = resample_labels(label[window], size, num_classes, recipe.interpolation)
    image = normalise(resample_image(image, size, recipe.interpolation), recipe, mask)
    return PreparedVolume(image, label, (z, y * height / size[0], x * width / size[1]), crop)


def plane_size(shape: tuple[int, int], spacing: Plane, recipe: Recipe) -> tuple[int, int]:
    """Size `(h, w)` that a slice `(H, W)` of `spacing` (y, x) gets, rounded once, at least `MIN_SIDE`."""
    sides: tuple[float, float] = shape
    if recipe.size is not None:
        sides = recipe.size
    elif recipe.spacing is not None:
        sides = shape[0] * spacing[0] / recipe.spacing[0], shape[1] * spacing[1] / recipe.spacing[1]
    height, width = (max(MIN_SIDE, round(side * recipe.zoom)) for side in sides)
    return height, width


def nonzero_box(present: NDArray[np.bool_]) -> Box:
    """The smallest box around the true voxels of `present` `(Z, H, W)`, which holds at least one."""
    places = [np.flatnonzero(present.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    z, y, x = ((int(along[0]), int(along[-1]) + 1) for along in places)
    return z, y, x


def _check_some(present: NDArray[np.bool_]) -> None:
    if not present.any():
        raise DataError("expected voxels other than 0, got an image of 0 everywhere; remove this case")


def _whole(shape: tuple[int, ...]) -> Box:
    depth, height, width = shape
    return (0, depth), (0, height), (0, width)
