"""What the augmentation does to each sample of a batch: nnU-Net's probabilities and ranges.

Nothing is applied here. Each uniform number has its own place, so that what one step draws does not depend
on which others are switched on, and a sample's numbers do not depend on its batch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rwseg.data.augmentation.config import IntensitySettings, SpatialSettings
from rwseg.data.sampling.patches import Floats, Ints, Size

STREAM = 1
"""The stream of `sampling.patches.uniforms` that these numbers are drawn from; boxes have stream 0."""

OF_SAMPLE = (
    "rotate",
    "angle",
    "scale",
    "factor",
    "noise",
    "noise_std",
    "noise_key",
    "noise_second_key",
    "blur",
    "brightness",
    "contrast",
    "low_resolution",
    "inverted_gamma",
    "gamma",
)
OF_CHANNEL = (
    "blur",
    "blur_sigma",
    "brightness_factor",
    "contrast_factor",
    "low_resolution",
    "low_resolution_zoom",
    "inverted_gamma_exponent",
    "gamma_exponent",
)

ELONGATED, ELONGATED_DEGREES = 1.5, 15.0
"""nnU-Net turns patches that are longer than 1.5 times their width by 15 degrees at most."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Warps:
    """The n samples that are rotated or scaled: coordinates are turned by `angle`, then times `factor`."""

    samples: Ints  # (n,)
    angle: Floats  # (n,) radians
    factor: Floats  # (n,)


@dataclass(frozen=True)
class Chosen:
    """The n images (sample and channel) that a step changes, and the step's parameter for each."""

    samples: Ints  # (n,)
    channels: Ints  # (n,)
    value: Floats  # (n,)


@dataclass(frozen=True)
class Intensities:
    """What happens to the intensities of a batch, in this order."""

    noise: Chosen  # standard deviation
    noise_keys: Ints  # (n, 2), 32 bits each
    blur: Chosen  # sigma in pixels
    brightness: Chosen  # factor
    contrast: Chosen  # factor
    low_resolution: Chosen  # zoom
    inverted_gamma: Chosen  # exponent
    gamma: Chosen  # exponent


def draws_per_sample(channels: int) -> int:
    """How many uniform numbers a sample of so many channels takes, rounded up to a multiple of 4."""
    return -4 * (-(len(OF_SAMPLE) + channels * len(OF_CHANNEL)) // 4)


def draw_warps(settings: SpatialSettings, draws: Floats, patch: Size) -> Warps:
    """Rotations and scalings of the samples whose uniform numbers are `draws` (B, D)."""
    of = dict(zip(OF_SAMPLE, draws.T, strict=False))
    degrees = settings.degrees
    if max(patch) > ELONGATED * min(patch):
        degrees = min(degrees, ELONGATED_DEGREES)
    rotated, scaled = of["rotate"] < settings.rotate, of["scale"] < settings.scale
    angle = np.where(rotated, np.deg2rad(degrees) * (2 * of["angle"] - 1), 0.0)
    factor = np.where(scaled, _around_one(of["factor"], settings.factor), 1.0)
    samples = np.flatnonzero(rotated | scaled)
    return Warps(samples, angle[samples], factor[samples])


def draw_intensities(settings: IntensitySettings, draws: Floats, channels: int) -> Intensities:
    """Changes of intensities of the samples whose uniform numbers are `draws` (B, D)."""
    of = dict(zip(OF_SAMPLE, draws.T, strict=False))
    rest = draws[:, len(OF_SAMPLE) :][:, : channels * len(OF_CHANNEL)].reshape(len(draws), -1, channels)
    per = dict(zip(OF_CHANNEL, np.moveaxis(rest, 1, 0), strict=True))  # (B, C) each

    def chosen(name: str, value: Floats, some: NDArray[np.bool_] | bool = True) -> Chosen:
        happens = of[name] < getattr(settings, name)  # (B,)
        return _chosen(happens[:, None] & some, np.broadcast_to(value, per[OF_CHANNEL[0]].shape))

    noise = chosen("noise", _within(of["noise_std"], settings.noise_std)[:, None])
    keys = np.stack([of["noise_key"], of["noise_second_key"]], axis=1)[noise.samples]
    blurred = per["blur"] < settings.blur_channel
    coarse = per["low_resolution"] < settings.low_resolution_channel
    exponents = settings.gamma_exponent
    return Intensities(
        noise=noise,
        noise_keys=np.floor(keys * 2**32).astype(np.int64),
        blur=chosen("blur", _within(per["blur_sigma"], settings.blur_sigma), blurred),
        brightness=chosen("brightness", _within(per["brightness_factor"], settings.brightness_factor)),
        contrast=chosen("contrast", _around_one(per["contrast_factor"], settings.contrast_factor)),
        low_resolution=chosen(
            "low_resolution", _within(per["low_resolution_zoom"], settings.low_resolution_zoom), coarse
        ),
        inverted_gamma=chosen("inverted_gamma", _around_one(per["inverted_gamma_exponent"], exponents)),
        gamma=chosen("gamma", _around_one(per["gamma_exponent"], exponents)),
    )


def _chosen(mask: NDArray[np.bool_], value: Floats) -> Chosen:
    samples, channels = np.nonzero(np.broadcast_to(mask, value.shape))
    return Chosen(samples, channels, value[samples, channels])


def _within(uniform: Floats, limits: Range) -> Floats:
    low, high = limits
    return low + (high - low) * uniform


def _around_one(uniform: Floats, limits: Range) -> Floats:
    """Half of the numbers uniform below 1, half above, whatever the lengths of the two sides."""
    low, high = limits
    below, above = low + (1 - low) * 2 * uniform, 1 + (high - 1) * (2 * uniform - 1)
    return np.where(uniform < 0.5, below, above)
