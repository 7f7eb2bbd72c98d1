"""The plan of a network for a dataset, by the rules of nnU-Net's 2D planner (Isensee et al., 2021).

Nothing is asked of the GPU: the rules estimate memory in feature-map values and compare it with a constant.
Shapes are the prepared ones: pixels rounded per volume, slices as they are (nnU-Net counts slices of the
median thickness, so its share of the dataset differs where thickness does).

nnU-Net's versions differ. By these rules all of ACDC, 237 x 208 pixels, is pooled 6 and 5 times, in batches
of 57. Where sizes are not rounded up when halved, as in nnU-Net's first versions, 237 pixels are pooled five
times; that gives the published 58.
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from rwseg.core.errors import ConfigError, DataError
from rwseg.data.preprocessing.config import Plane
from rwseg.data.preprocessing.prepared import Entry, Prepared

Size = tuple[int, int]

FEATURES, MAX_FEATURES = 32, 480  # of the network
MIN_BOTTLENECK = 4  # pixels
SHARE_OF_DATASET = 0.05  # the most that a batch may show of it

# The estimate is of a network of other widths, and of two convolutions and the way up or down per level.
REFERENCE_FEATURES, REFERENCE_MAX_FEATURES = 30, 512
BLOCKS, BLOCKS_BOTTLENECK = 5, 2
BUDGET = 50 * 19_739_648  # feature-map values
MIN_BATCH = 2


@dataclass(frozen=True)
class Plan:
    """What follows from the training volumes: their `median_shape` (Z, H, W) at `spacing` (y, x) in mm.

    `pools` are the factors (rows, columns) of each pooling, `patch_size` is (H, W) in pixels.
    """

    patch_size: Size
    pools: tuple[Size, ...]
    features: int
    max_features: int
    batch_size: int
    spacing: Plane
    median_shape: tuple[float, float, float]


def plan_of(prepared: Prepared) -> Plan:
    """Plan for the training volumes of `prepared`.

    Raises `ConfigError` for data that was not prepared at one spacing, `DataError` for slices that are too
    small to be pooled once.
    """
    preprocessing = prepared.preprocessing
    if preprocessing.spacing is None:
        raise ConfigError(
            f"plan of '{prepared.name}': expected data prepared at one spacing, got each volume at its own; "
            "set dataset.spacing to median or [y, x]"
        )
    training = prepared.split("train")
    return plan_for(
        _median_shape(training),
        (preprocessing.spacing[0] / preprocessing.zoom, preprocessing.spacing[1] / preprocessing.zoom),
        len(training),
        len(prepared.channels),
        len(prepared.classes),
    )


def plan_for(
    median_shape: tuple[float, float, float], spacing: Plane, cases: int, channels: int, classes: int
) -> Plan:
    """Plan for `cases` volumes of `median_shape` (Z, H, W) and in-plane `spacing` (y, x) in mm.

    The patch is the median slice, enlarged to what the pools divide; only where two of them exceed the budget
    it shrinks, along the axis that it covers most of. Raises `DataError` for a slice that cannot be pooled.
    """
    median = round(median_shape[1]), round(median_shape[2])
    pools = pooling(median, spacing)
    patch = _enlarged(median, pools)
    while MIN_BATCH * memory(patch, pools, channels, classes) > BUDGET:
        axis = int(np.argmax(np.divide(patch, median)))
        shorter = list(patch)
        shorter[axis] -= divisor(pools)[axis]
        patch = shorter[0], shorter[1]
        pools = pooling(patch, spacing)
    batch = BUDGET // memory(patch, pools, channels, classes)
    most = round(SHARE_OF_DATASET * prod(median_shape) * cases / prod(patch))
    return Plan(
        patch_size=patch,
        pools=pools,
        features=FEATURES,
        max_features=MAX_FEATURES,
        batch_size=max(MIN_BATCH, min(batch, most)),
        spacing=spacing,
        median_shape=median_shape,
    )


def pooling(size: Size, spacing: Plane) -> tuple[Size, ...]:
    """Factors of each pooling of an image of `size` (H, W) and `spacing`, from the full resolution down.

    An axis is halved while its spacing is below twice the smallest and at least `MIN_BOTTLENECK` pixels
    remain. Raises `DataError` where not even one pooling is possible.
    """
    sides, steps = list(size), list(spacing)
    pools: list[Size] = []
    while True:
        finest = min(steps)
        rows, columns = (
            2 if step < 2 * finest and side >= 2 * MIN_BOTTLENECK else 1
            for step, side in zip(steps, sides, strict=True)
        )
        if rows == columns == 1:
            break
        pools.append((rows, columns))
        sides = [-(-side // factor) for side, factor in zip(sides, pools[-1], strict=True)]
        steps = [step * factor for step, factor in zip(steps, pools[-1], strict=True)]
    if not pools:
        raise DataError(
            f"plan: expected slices of at least {2 * MIN_BOTTLENECK} pixels along an axis, got {size}; "
            "use a finer dataset.spacing"
        )
    return tuple(pools)


def divisor(pools: tuple[Size, ...]) -> Size:
    """What the sides of an image must be multiples of."""
    return prod(rows for rows, _ in pools), prod(columns for _, columns in pools)


def memory(patch: Size, pools: tuple[Size, ...], channels: int, classes: int) -> int:
    """Feature-map values that nnU-Net's reference network holds for one `patch`, whatever its precision."""
    pixels, features = prod(patch), REFERENCE_FEATURES
    values = pixels * (BLOCKS * features + channels + classes)
    for level, factors in enumerate(pools, start=1):
        pixels //= prod(factors)
        features = min(2 * features, REFERENCE_MAX_FEATURES)
        values += (BLOCKS if level < len(pools) else BLOCKS_BOTTLENECK) * pixels * features
    return values


def _enlarged(size: Size, pools: tuple[Size, ...]) -> Size:
    height, width = (-(-side // step) * step for side, step in zip(size, divisor(pools), strict=True))
    return height, width


def _median_shape(entries: list[Entry]) -> tuple[float, float, float]:
    z, y, x = np.median([entry.shape for entry in entries], axis=0)
    return float(z), float(y), float(x)
