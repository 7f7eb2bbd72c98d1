"""How prepared images are stored: 16-bit codes where the source has whole numbers, half the size of float32.

Codes are at least as fine as the levels of a source of 8 to 16 bits, so nothing is lost that it had: a value
is off by half a code at most, and 0 stays 0. Other sources (float images) are stored as they are.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LARGEST = 2**15 - 1
LEVELS = 2**16 - 1
"""The largest span of a source that is stored as codes."""


class Scale(NamedTuple):
    """A value of one channel is `step * (code - zero)`."""

    step: float
    zero: int


def encode(
    image: NDArray[np.float32], native: NDArray[np.float32]
) -> tuple[NDArray[np.int16] | NDArray[np.float32], tuple[Scale, ...]]:
    """The prepared `image` `(C, Z, H, W)` as int16 codes, and the scale of each channel.

    The image itself and no scale where its `native` image `(C, Z, Y, X)` has values between whole numbers, or
    more than 16 bits of them.
    """
    if not all(_has_levels(channel) for channel in native):
        return image, ()
    scales = tuple(_scale(channel) for channel in image)
    codes = np.empty(image.shape, np.int16)
    for channel, (step, zero), out in zip(image, scales, codes, strict=True):
        out[:] = np.rint(channel / np.float32(step) + np.float32(zero))
    return codes, scales


def decode(stored: NDArray[Any], scales: tuple[Scale, ...]) -> NDArray[np.float32]:
    """What `encode` stored `(C, ...)`, in memory; a batch decodes its patches by the same two operations."""
    if not scales:
        return np.array(stored, np.float32)
    step, zero = np.array(scales, np.float32).T.reshape(2, len(scales), *[1] * (stored.ndim - 1))
    return (stored - zero) * step  # type: ignore[no-any-return]


def as_stored(image: NDArray[np.float32], native: NDArray[np.float32]) -> NDArray[np.float32]:
    """A prepared image as it would come back from a preparation: new images are seen as training data are."""
    return decode(*encode(image, native))


def _has_levels(channel: NDArray[np.float32]) -> bool:
    return bool(np.ptp(channel) <= LEVELS) and all((plane == np.rint(plane)).all() for plane in channel)


def _scale(channel: NDArray[np.float32]) -> Scale:
    """The finest codes that hold every value of `channel`, and 0."""
    low, high = min(float(channel.min()), 0.0), max(float(channel.max()), 0.0)
    step = float(np.float32((high - low) / (2 * LARGEST - 1))) or 1.0
    return Scale(step, round(-LARGEST - low / step))
