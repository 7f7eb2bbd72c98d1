"""Rotated and scaled patches, sampled straight from the slices.

Image: cubic B-splines, as `scipy.ndimage.map_coordinates` with order 3 and mode constant. Labels: the class
that linear interpolation gives half of the weight or more; of two such the later one, of none background, as
in batchgenerators. Maps: linear. Beyond the first and last pixel centre of a slice there is nothing: image 0,
background, and the map as `rwseg.data.bank.SliceBank.batch` continues it.

A patch is read from a window of its slice that holds all its pixels, in two steps, so that the reading needs
to know nothing of slices of differing size.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rwseg.data.augment_draws import Warps
from rwseg.data.augment_intensity import cubic_weights
from rwseg.data.sampling import Boxes, Floats, Ints, Size

NO_CLASS = -2
"""Below every label, and below the -1 of what is empty."""


@dataclass(frozen=True)
class Views:
    """How n patches see their slices: the pixel `(i, j)` off the middle shows `centre + matrix (i, j)`."""

    slices: Ints  # (n,)
    centre: Floats  # (n, 2)
    matrix: Floats  # (n, 2, 2)


class Places(NamedTuple):
    """Where the pixels of n patches lie in their windows, `(n, h, w)` each."""

    y: Tensor
    x: Tensor
    inside: Tensor
    """Whether there is a slice."""


def views_of(boxes: Boxes, warps: Warps, patch: Size, loader: Size) -> Views:
    """The views of the warped samples: turned and scaled about the middle of the loader's box, then flipped.

    That is not the patch's where their sizes differ by an odd number, as in nnU-Net.
    """
    middle = np.array([(p - 1) / 2 + (outer - p) % 2 / 2 for p, outer in zip(patch, loader, strict=True)])
    corner = np.stack([boxes.top, boxes.left], axis=1)[warps.samples]
    cos, sin = np.cos(warps.angle), np.sin(warps.angle)
    turned = np.stack([np.stack([cos, sin], axis=1), np.stack([-sin, cos], axis=1)], axis=1)
    signs = np.where(boxes.flips[warps.samples], -1.0, 1.0)
    return Views(
        boxes.slices[warps.samples],
        corner.astype(np.float64) + middle,
        turned * warps.factor[:, None, None] * signs[:, None, :],
    )


def windows_of(views: Views, sizes: Ints, patch: Size) -> tuple[Boxes, Size]:
    """Boxes that hold all that the views read of slices of `sizes` (n, 2), and the boxes' size.

    Pixels beyond a slice are read on the pixel next to it, so a window never reaches far out. One pixel is
    added on each side for the splines.
    """
    reach = np.abs(views.matrix) @ ((np.array(patch) - 1) / 2)  # (n, 2)
    low = np.clip(np.floor(views.centre - reach), -1, sizes - 1).astype(np.int64)
    high = np.clip(np.ceil(views.centre + reach), low + 1, sizes).astype(np.int64)
    height, width = ((high - low).max(0) + 3).tolist()
    unflipped = np.zeros((len(low), 2), dtype=bool)
    return Boxes(views.slices, low[:, 0] - 1, low[:, 1] - 1, unflipped), (height, width)


def places_of(views: Views, windows: Boxes, sizes: Ints, patch: Size, device: torch.device) -> Places:
    """Where the pixels of the patches lie in the windows; those beyond the slice on the pixel next to it."""
    corner = np.stack([windows.top, windows.left], axis=1)
    numbers = np.concatenate([views.centre - corner, -corner, sizes - 1 - corner], axis=1)  # (n, 6)
    numbers = np.concatenate([numbers, views.matrix.reshape(-1, 4)], axis=1)
    centre_y, centre_x, first_y, first_x, last_y, last_x, yi, yj, xi, xj = (
        torch.from_numpy(numbers.T.astype(np.float32)).to(device)[..., None, None].unbind()
    )
    i, j = (torch.arange(size, device=device) - (size - 1) / 2 for size in patch)
    i = i[:, None]
    y, x = (centre_y + yi * i) + yj * j, (centre_x + xi * i) + xj * j  # (n, h, w)
    inside = (y >= first_y) & (y <= last_y) & (x >= first_x) & (x <= last_x)
    return Places(_beyond(y, first_y, last_y), _beyond(x, first_x, last_x), inside)


def _beyond(position: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """What lies before the first or behind the last pixel centre moves to the pixel next to it."""
    position = torch.where(position < first, first - 1, position)
    return torch.where(position > last, last + 1, position)


class Taps(NamedTuple):
    """The four by four pixels around each place: the first one's flat number in all windows, and the way to
    the place from the second ones.
    """

    number: Tensor  # (n h w,)
    y: Tensor  # (n h w,) in [0, 1]
    x: Tensor


def taps_of(places: Places, window: Size) -> Taps:
    """The pixels around places in windows `(n, *window)`."""
    first, rest = [], []
    for position, size in zip((places.y, places.x), window, strict=True):
        before = position.floor().clamp_(1, size - 3)
        rest.append((position - before).flatten())
        first.append(before.int() - 1)
    number = torch.arange(len(first[0]), device=first[0].device, dtype=torch.int32)[:, None, None]
    number = (number * window[0] + first[0]) * window[1] + first[1]
    return Taps(number.flatten(), *rest)


def linear(planes: Tensor, taps: Taps) -> Tensor:
    """Linear interpolation in windows `(M, n, H, W)`: `(M, n h w)`."""
    width, flat = planes.shape[-1], planes.flatten(1)
    corner = [flat[:, row * width + 1 :].index_select(1, taps.number) for row in (1, 2)]
    beside = [flat[:, row * width + 2 :].index_select(1, taps.number) for row in (1, 2)]
    above, below = (torch.lerp(a, b, taps.x) for a, b in zip(corner, beside, strict=True))
    return torch.lerp(above, below, taps.y)


def cubic(coefficients: Tensor, taps: Taps) -> Tensor:
    """Cubic splines of windows of coefficients `(M, n, H, W)`: `(M, n h w)`."""
    width, flat = coefficients.shape[-1], coefficients.flatten(1)
    rows, columns = cubic_weights(taps.y), cubic_weights(taps.x)
    value = flat.new_zeros(len(flat), len(taps.number))
    for p, row in enumerate(rows):
        line = torch.zeros_like(value)
        for q, column in enumerate(columns):
            line.addcmul_(flat[:, p * width + q :].index_select(1, taps.number), column)
        value.addcmul_(line, row)
    return value


def vote(labels: Tensor, taps: Taps) -> Tensor:
    """The label with half of the linear weight or more in windows `(n, H, W)`, else 0: `(n h w,)`.

    Of two labels with one half each it is the larger. Labels may be negative, down to -1.
    """
    width, flat = labels.shape[-1], labels.flatten()
    corners = [(row, column) for row in (1, 2) for column in (1, 2)]
    near = [flat[row * width + column :].index_select(0, taps.number) for row, column in corners]
    up, left = 1 - taps.y, 1 - taps.x
    weights = [up * left, up * taps.x, taps.y * left, taps.y * taps.x]
    shares = [weight.clone() for weight in weights]  # of the label at each corner
    for one, other in combinations(range(4), 2):
        same = (near[one] == near[other]).to(weights[0])
        shares[one].addcmul_(same, weights[other])
        shares[other].addcmul_(same, weights[one])
    best = torch.full_like(near[0], NO_CLASS)
    for label, share in zip(near, shares, strict=True):
        best = torch.where(share >= 0.5, torch.maximum(best, label), best)
    return torch.where(best == NO_CLASS, 0, best)
