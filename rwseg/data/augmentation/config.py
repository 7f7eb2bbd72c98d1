"""The settings of the training augmentation and their ranges, which the schema of a configuration checks."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from rwseg.core.constraints import Probability, interval

Pair = tuple[float, float]
Range = Annotated[Pair, interval()]
PositiveRange = Annotated[Pair, interval(above=True)]
AroundOne = Annotated[Pair, interval(above=True, around=1)]
Zoom = Annotated[Pair, interval(high=1, above=True)]


@dataclass
class SpatialSettings:
    """Rotation and scaling in the plane: probabilities, largest angle in degrees, and range of the factor.

    A factor above 1 shows more of the slice (zooms out); half of the draws are below 1, half above.
    `loader_margin` is nnU-Net's: boxes are drawn for a square of `max(patch) / loader_margin` pixels, of
    which the patch is the middle.
    """

    rotate: Probability
    degrees: Annotated[float, Field(ge=0, le=180)]
    scale: Probability
    factor: AroundOne
    loader_margin: Annotated[float, Field(gt=0, le=1)]


@dataclass
class IntensitySettings:
    """Probabilities (per sample, some also per channel) and ranges of what changes intensities, in order."""

    noise: Probability
    noise_std: Range
    blur: Probability
    blur_channel: Probability
    blur_sigma: PositiveRange
    brightness: Probability
    brightness_factor: Range
    contrast: Probability
    contrast_factor: AroundOne
    low_resolution: Probability
    low_resolution_channel: Probability
    low_resolution_zoom: Zoom
    inverted_gamma: Probability
    gamma: Probability
    gamma_exponent: AroundOne


@dataclass
class AugmentConfig:
    """Augmentation of training batches, in nnU-Net's order; a part that is None does nothing.

    `flips`: rows and columns are mirrored, each with probability 1/2.
    """

    flips: bool
    spatial: SpatialSettings | None
    intensity: IntensitySettings | None
