"""The settings of the training augmentation; nothing heavy is imported here: the schema holds them."""

from dataclasses import dataclass


@dataclass
class SpatialSettings:
    """Rotation and scaling in the plane: probabilities, largest angle in degrees, and range of the factor.

    A factor above 1 shows more of the slice (zooms out); half of the draws are below 1, half above.
    `loader_margin` is nnU-Net's: boxes are drawn for a square of `max(patch) / loader_margin` pixels, of
    which the patch is the middle.
    """

    rotate: float
    degrees: float
    scale: float
    factor: tuple[float, float]
    loader_margin: float


@dataclass
class IntensitySettings:
    """Probabilities (per sample, some also per channel) and ranges of what changes intensities, in order."""

    noise: float
    noise_std: tuple[float, float]
    blur: float
    blur_channel: float
    blur_sigma: tuple[float, float]
    brightness: float
    brightness_factor: tuple[float, float]
    contrast: float
    contrast_factor: tuple[float, float]
    low_resolution: float
    low_resolution_channel: float
    low_resolution_zoom: tuple[float, float]
    inverted_gamma: float
    gamma: float
    gamma_exponent: tuple[float, float]


@dataclass
class AugmentConfig:
    """Augmentation of training batches, in nnU-Net's order; a part that is None does nothing.

    `flips`: rows and columns are mirrored, each with probability 1/2.
    """

    flips: bool
    spatial: SpatialSettings | None
    intensity: IntensitySettings | None
