"""Rotated and scaled patches, sampled straight from the slices.

Image: cubic B-splines, as `scipy.ndimage.map_coordinates` with order 3 and mode constant. Labels: the class
that linear interpolation gives half of the weight or more; of two such the later one, of none background, as
in batchgenerators. Maps: linear. Beyond the first and last pixel centre of a slice there is nothing: image 0,
background, and the map as `rwseg.data.sampling.slice_cache.SliceCache.batch` continues it.

A patch is read from a window of its slice that holds all its pixels, in two steps, so that the reading needs
to know nothing of slices of differing size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rwseg.data.augmentation.draws import Warps
from rwseg.data.augmentation.intensity import cubic_weights
from rwseg.data.sampling.patches import Boxes, Floats, Ints, Size
from rwseg.data.sampling.to_device import to_device

STEEP = 1e9
"""Turns any excess over a slice, and be it the last bit of a coordinate, into 1."""

CACHED_PIXELS = 2**16
"""What a CPU interpolates at a time: all that it takes stays in its cache."""

NO_CLASS = -2
"""Below every label, and below the -1 of what is empty."""


@dataclass(frozen=True)
class AffineTransforms:
    """How n patches see their slices: the pixel `(i, j)` off the middle shows `centre + matrix (i, j)`."""

    slices: Ints  # (n,)
    centre: Floats  # (n, 2)
    matrix: Floats  # (n, 2, 2)


class Coordinates(NamedTuple):
    """Where the pixels of n patches lie in their windows, `(n, h, w)` each."""

    y: Tensor
    x: Tensor
    inside: Tensor  # 1 in the slice, 0 beyond


def transforms_of(boxes: Boxes, warps: Warps, patch: Size, loader: Size) -> AffineTransforms:
    """The transforms of the warped samples: turned and scaled about the middle of the loader's box, flipped.

    That is not the patch's where their sizes differ by an odd number, as in nnU-Net.
    """
    middle = np.array([(p - 1) / 2 + (outer - p) % 2 / 2 for p, outer in zip(patch, loader, strict=True)])
    corner = np.stack([boxes.top, boxes.left], axis=1)[warps.samples]
    cos, sin = np.cos(warps.angle), np.sin(warps.angle)
    turned = np.stack([np.stack([cos, sin], axis=1), np.stack([-sin, cos], axis=1)], axis=1)
    signs = np.where(boxes.flips[warps.samples], -1.0, 1.0)
    return AffineTransforms(
        boxes.slices[warps.samples],
        corner.astype(np.float64) + middle,
        turned * warps.factor[:, None, None] * signs[:, None, :],
    )


def windows_of(transforms: AffineTransforms, sizes: Ints, patch: Size) -> tuple[Boxes, Size]:
    """Boxes that hold all that the transforms read of slices of `sizes` (n, 2), and the boxes' size.

    Pixels beyond a slice are read on the pixel next to it, so a window never reaches far out. One pixel is
    added on each side for the splines.
    """
    reach = np.abs(transforms.matrix) @ ((np.array(patch) - 1) / 2)  # (n, 2)
    low = np.clip(np.floor(transforms.centre - reach), -1, sizes - 1).astype(np.int64)
    high = np.clip(np.ceil(transforms.centre + reach), low + 1, sizes).astype(np.int64)
    height, width = ((high - low).max(0) + 3).tolist()
    unflipped = np.zeros((len(low), 2), dtype=bool)
    return Boxes(transforms.slices, low[:, 0] - 1, low[:, 1] - 1, unflipped), (height, width)


def coordinates_of(
    transforms: AffineTransforms, windows: Boxes, sizes: Ints, patch: Size, device: torch.device
) -> Coordinates:
    """Where the pixels of the patches lie in the windows; those beyond the slice on the pixel next to it."""
    half = (sizes - 1) / 2
    middle = half - np.stack([windows.top, windows.left], axis=1)  # of the slice, in its window
    off = transforms.centre - half
    numbers = np.concatenate([off, half, middle, transforms.matrix.reshape(-1, 4)], axis=1).astype(np.float32)
    off_y, off_x, half_y, half_x, middle_y, middle_x, yi, yj, xi, xj = to_device(numbers.T.copy(), device)[
        ..., None, None
    ].unbind()
    i, j = (torch.arange(size, device=device) - (size - 1) / 2 for size in patch)
    i = i[:, None]
    y, beyond_y = _beyond((off_y + yi * i) + yj * j, half_y)  # (n, h, w)
    x, beyond_x = _beyond((off_x + xi * i) + xj * j, half_x)
    return Coordinates(y.add_(middle_y), x.add_(middle_x), (1 - beyond_y) * (1 - beyond_x))


def _beyond(off: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """Distances from the middle, those of more than `half` set to `half + 1`; and 1 for these, 0 for others.

    In arithmetic, because choosing by a mask takes several times as long.
    """
    excess = (off.abs() - half).clamp_(min=0)
    beyond = (excess * STEEP).clamp_(max=1)
    return off + off.sign() * (beyond - excess), beyond


class Neighbours(NamedTuple):
    """The four by four pixels around each place: the first one's flat number in all windows, and the way to
    the place from the second ones.
    """

    number: Tensor  # (n h w,)
    y: Tensor  # (n h w,) in [0, 1]
    x: Tensor


def neighbours_of(coordinates: Coordinates, window: Size) -> Neighbours:
    """The pixels around each position in windows `(n, *window)`."""
    first, rest = [], []
    for position, size in zip((coordinates.y, coordinates.x), window, strict=True):
        before = position.floor().clamp_(1, size - 3)
        rest.append((position - before).flatten())
        first.append(before.int() - 1)
    number = torch.arange(len(first[0]), device=first[0].device, dtype=torch.int32)[:, None, None]
    number = (number * window[0] + first[0]) * window[1] + first[1]
    return Neighbours(number.flatten().long(), *rest)


def linear(planes: Tensor, neighbours: Neighbours) -> Tensor:
    """Linear interpolation in windows `(M, n, H, W)`: `(M, n h w)`."""
    return _interpolated(_linear, planes, neighbours)


def cubic(coefficients: Tensor, neighbours: Neighbours) -> Tensor:
    """Cubic splines of windows of coefficients `(M, n, H, W)`: `(M, n h w)`."""
    return _interpolated(_cubic, coefficients, neighbours)


def _interpolated(
    method: Callable[[Tensor, int, Neighbours], Tensor], planes: Tensor, neighbours: Neighbours
) -> Tensor:
    on_cpu = planes.device.type == "cpu"
    parts = [torch.split(part, CACHED_PIXELS if on_cpu else len(part)) for part in neighbours]
    blocks = [Neighbours(*block) for block in zip(*parts, strict=True)]
    width = planes.shape[-1]
    return torch.stack([torch.cat([method(p, width, block) for block in blocks]) for p in planes.flatten(1)])


def _linear(flat: Tensor, width: int, neighbours: Neighbours) -> Tensor:
    above, below = (
        torch.lerp(_neighbour(flat, start, neighbours), _neighbour(flat, start + 1, neighbours), neighbours.x)
        for start in (width + 1, 2 * width + 1)
    )
    return torch.lerp(above, below, neighbours.y)


def _cubic(flat: Tensor, width: int, neighbours: Neighbours) -> Tensor:
    rows, columns = cubic_weights(neighbours.y), cubic_weights(neighbours.x)
    value = torch.zeros_like(neighbours.y)
    for p, row in enumerate(rows):
        line = torch.zeros_like(value)
        for q, column in enumerate(columns):
            line.addcmul_(_neighbour(flat, p * width + q, neighbours), column)
        value.addcmul_(line, row)
    return value


def _neighbour(flat: Tensor, shift: int, neighbours: Neighbours) -> Tensor:
    return flat[shift:].index_select(0, neighbours.number)


def interpolate_labels(labels: Tensor, neighbours: Neighbours) -> Tensor:
    """The label with half of the linear weight or more in windows `(n, H, W)`, else 0: `(n h w,)`.

    Of two labels with one half each it is the larger. Labels are integers down to -1.
    """
    width, flat = labels.shape[-1], labels.flatten()
    first, *others = (
        _neighbour(flat, row * width + column, neighbours) for row in (1, 2) for column in (1, 2)
    )
    differ = reduce(torch.bitwise_or, [torch.bitwise_xor(first, other) for other in others])
    # Few pixels differ; but finding them would make a GPU wait for all that it has to do.
    some = differ.nonzero()[:, 0] if labels.device.type == "cpu" else slice(None)
    y, x = neighbours.y[some], neighbours.x[some]
    near = [label[some] for label in (first, *others)]
    weights = [(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x]
    best = torch.full_like(near[0], NO_CLASS)
    for label in near:
        same = [weight * (other == label) for weight, other in zip(weights, near, strict=True)]
        share = same[0] + same[1] + same[2] + same[3]
        best = torch.where(share >= 0.5, torch.maximum(best, label), best)
    first[some] = torch.where(best == NO_CLASS, 0, best)
    return first
