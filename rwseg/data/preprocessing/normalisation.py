"""Normalisation of a volume's intensities, channel by channel, as nnU-Net does it (and min-max)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rwseg.data.preprocessing.config import FittedPreprocessing, Intensities

EPSILON = 1e-8
"""Added to the deviation: a constant channel becomes 0."""

EVERY = 10
"""Foreground voxels from one to the next that counts in the statistics for CT."""


def normalise(
    image: NDArray[np.float32], preprocessing: FittedPreprocessing, nonzero: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Return `image` `(C, Z, H, W)` normalised by the preprocessing's rule.

    `zscore`: `(x - mean) / (std + 1e-8)` of each channel. `zscore_nonzero`: the same over the voxels of
    `nonzero` `(Z, H, W)`, 0 elsewhere. `ct`: clipped to the preprocessing's percentiles, then by its mean and
    deviation. `minmax`: to [0, 1]. Raises `ValueError` where the rule lacks its mask or its intensities.
    """
    if preprocessing.normalisation == "ct":
        if len(preprocessing.intensities) != len(image):
            raise ValueError(
                f"intensities: expected one per channel ({len(image)}), got {len(preprocessing.intensities)}"
            )
        return np.stack([_ct(*pair) for pair in zip(image, preprocessing.intensities, strict=True)])
    if preprocessing.normalisation == "minmax":
        return np.stack([_minmax(channel) for channel in image])
    if preprocessing.normalisation == "zscore":
        return np.stack([_standard(channel, channel) for channel in image])
    if nonzero is None or not nonzero.any():
        got = "None" if nonzero is None else "an empty one"
        raise ValueError(f"nonzero: expected a mask (Z, H, W) with some voxel for zscore_nonzero, got {got}")
    masked = [_standard(channel, channel[nonzero]) for channel in image]
    return np.where(nonzero, np.stack(masked), np.float32(0))


def foreground_sample(
    image: NDArray[np.float32], label: NDArray[np.uint8], num_classes: int
) -> NDArray[np.float32]:
    """Every tenth voxel `(C, n)` of the classes above 0, in reading order."""
    return image[:, (label > 0) & (label < num_classes)][:, ::EVERY]


def intensities(samples: Sequence[NDArray[np.float32]]) -> tuple[Intensities, ...]:
    """Statistics per channel over the pooled foreground `(C, n)` of several cases, n > 0 in all."""
    return tuple(_intensities(channel) for channel in np.concatenate(samples, axis=1))


def _intensities(voxels: NDArray[np.float32]) -> Intensities:
    low, high = np.percentile(voxels.astype(np.float64), (0.5, 99.5))
    mean, std = voxels.mean(dtype=np.float64), voxels.std(dtype=np.float64)
    return Intensities(float(low), float(high), float(mean), float(std))


def _standard(channel: NDArray[np.float32], over: NDArray[np.float32]) -> NDArray[np.float32]:
    mean = float(over.mean(dtype=np.float64))
    return (channel - mean) / (float(over.std(dtype=np.float64)) + EPSILON)


def _ct(channel: NDArray[np.float32], known: Intensities) -> NDArray[np.float32]:
    return (np.clip(channel, known.low, known.high) - known.mean) / (known.std + EPSILON)


def _minmax(channel: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = float(channel.min()), float(channel.max())
    return (channel - low) / (high - low if high > low else 1.0)
