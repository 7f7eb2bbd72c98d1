"""How volumes are prepared: the rules that a user chooses, and the numbers fitted to the training cases."""

from dataclasses import dataclass
from typing import Literal

Interpolation = Literal["spline", "area"]
Normalisation = Literal["zscore", "zscore_nonzero", "ct", "minmax"]
Plane = tuple[float, float]


@dataclass(frozen=True)
class PreprocessingConfig:
    """The rules of a preparation, in their order.

    `crop`: to the bounding box of what is nonzero in any channel. `center_crop`: every slice of that box is
    cut to this (H, W) of native pixels around its centre, or padded. `spacing`: in-plane target (y, x) in
    mm, `median` of the training cases' (per axis), or None for each volume's own. `size`: every slice
    becomes this (H, W) instead. `zoom`: factor on the in-plane size, after spacing or size.
    `interpolation`: `spline` is nnU-Net's (cubic for images, order 1 per class for labels, no
    anti-aliasing), `area` anti-aliases.
    `normalisation`: `zscore` of each volume and channel, `zscore_nonzero` of its nonzero voxels (the others
    become 0), `ct` by statistics of the training cases' foreground, `minmax` to [0, 1].
    """

    crop: bool
    spacing: Plane | Literal["median"] | None
    size: tuple[int, int] | None
    zoom: float
    interpolation: Interpolation
    normalisation: Normalisation
    center_crop: tuple[int, int] | None = None


@dataclass(frozen=True)
class Intensities:
    """Statistics of one channel over training foreground: 0.5 and 99.5 percentile, mean and deviation."""

    low: float
    high: float
    mean: float
    std: float


@dataclass(frozen=True)
class FittedPreprocessing:
    """A preparation with numbers in the place of rules: all that a new image needs to be prepared alike.

    `spacing` is None or in mm; `intensities` has one entry per channel for `ct` and none otherwise.
    """

    crop: bool
    spacing: Plane | None
    size: tuple[int, int] | None
    zoom: float
    interpolation: Interpolation
    normalisation: Normalisation
    intensities: tuple[Intensities, ...] = ()
    center_crop: tuple[int, int] | None = None  # runs of before have none in their data.json
