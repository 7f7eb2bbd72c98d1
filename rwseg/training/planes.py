"""What pictures show of a volume: one slice, the part of it that holds structures, levels of grey."""

import numpy as np
from numpy.typing import NDArray


def fullest_slice(labels: NDArray[np.uint8]) -> int:
    """Number of the slice of `(Z, H, W)` with most foreground, the first of several."""
    return int((labels > 0).sum(axis=(1, 2)).argmax())


def levels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A volume in values from 0 to 255.

    Of grey `(Z, H, W)` the 1st and the 99th percentile become black and white; colours `(Z, H, W, 3)`, as
    `rwseg.data.display` has them, stay as they are.
    """
    if image.ndim == 4:
        return image.round().clip(0, 255).astype(np.uint8)
    low, high = np.percentile(image, (1, 99))
    scaled = (image - low) / max(high - low, 1e-6)
    return np.asarray((scaled.clip(0, 1) * 255).round(), np.uint8)


def window_of(plane: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The part of `(H, W)` that holds what is true, with a margin: small organs fill the picture.

    All of it where nothing is true.
    """
    if not plane.any():
        return slice(None), slice(None)
    bounds = []
    for size, held in zip(plane.shape, (plane.any(axis=1), plane.any(axis=0)), strict=True):
        places = np.flatnonzero(held)
        margin = max(8, (places[-1] - places[0]) // 4)
        bounds.append(slice(int(max(0, places[0] - margin)), int(min(size, places[-1] + margin + 1))))
    return bounds[0], bounds[1]
