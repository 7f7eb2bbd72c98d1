"""Slices in flat arrays, cut into batches by one indexed read, on the device where the arrays lie.

The arrays hold all slices of a split, or the parts of slices that one batch is cut from: a batch is the same.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rwseg.data.case import IGNORE
from rwseg.data.sampling.patches import Boxes, Ints, Size
from rwseg.data.sampling.to_device import to_device
from rwseg.maps import RectifiedMap

SPLINE_GAIN = 9
"""A coefficient of a cubic spline in two axes is at most so many times the largest value: 3 times by axis."""


class Batch(NamedTuple):
    """What a training step sees: images, labels (classes and `IGNORE`), and the map if it is cached.

    `pixels` are the numbers of the cases' own files that moved with the image, if there are some, and `cases`
    the numbers of the samples' cases among those of the split: both for weights of the map.
    """

    image: Tensor  # (B, C, H, W) float32
    labels: Tensor  # (B, H, W) int64
    region_map: Tensor | RectifiedMap | None  # (B, K, H, W), or two (B, H, W)
    pixels: Tensor | None = None  # (B, H, W) float32
    cases: Ints | None = None  # (B,)


class Pixels(NamedTuple):
    """The pixels of boxes by their flat numbers in the cache: those beyond a slice as the nearest in it."""

    slices: Tensor  # (B,)
    number: Tensor  # (B, h, w)
    inside: Tensor  # (B, h, w) uint8: 1 in the slice, 0 beyond


class Flat(NamedTuple):
    """Slices of differing size in flat arrays: pixel `(s, y, x)` lies at `offset[s] + y * stride[s] + x`.

    A slice may be there in part: then only pixels of that part may be read. `coefficients` are those of the
    cubic splines through the image, and may end before the other arrays do. With `scales` the image is there
    as codes (`image_codes`), and the coefficients as `SPLINE_GAIN`-th parts of the codes' coefficients.
    """

    geometry: Tensor  # (4, S) int64: offset, height, width, stride
    image: Tensor  # (C, P) float32, or int16 with scales
    labels: Tensor  # (P,) uint8
    map_channels: Tensor | None  # (M, P), see `region_maps.map_channels`; the last may be those of files
    coefficients: Tensor | None  # (C, <= P), as the image
    scales: Tensor | None = None  # (2, C, S): step and zero

    def each(self, change: Callable[[Tensor], Tensor]) -> "Flat":
        """`change` of each tensor."""
        rest = (None if part is None else change(part) for part in self[3:])
        return Flat(change(self.geometry), change(self.image), change(self.labels), *rest)

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to other processes as arrays, through a pipe.

        PyTorch would put each tensor into shared memory, of which a container has 64 MB, and into a socket.
        """
        return _from_arrays, tuple(None if part is None else part.numpy() for part in self)


def _from_arrays(*arrays: NDArray[Any] | None) -> Flat:
    return Flat(*(None if one is None else torch.from_numpy(one) for one in arrays))  # type: ignore[arg-type]


class SliceCache:
    """Batches of `flat` slices of `sizes` (S, 2), which the host knows without asking a device.

    `rectified` says how the loss takes the map, `has_ignored` whether some pixel of the split is `IGNORE`,
    `with_pixels` whether the last channel beside the map is that of the cases' own files (`Batch.pixels`).
    """

    def __init__(
        self, flat: Flat, sizes: Ints, rectified: bool, has_ignored: bool, with_pixels: bool = False
    ) -> None:
        self.flat = flat
        self.sizes = sizes
        self.rectified = rectified
        self.has_ignored = has_ignored
        self.with_pixels = with_pixels

    def batch(self, boxes: Boxes, patch: Size) -> Batch:
        """Cut `boxes`. Outside a slice: image 0 (the mean), background, the map of `labels_at`."""
        pixels = self.pixels(boxes, patch)
        labels, planes = self.labels_at(pixels)
        image = self.image_at(pixels).movedim(0, 1).contiguous()
        return Batch(image, labels.long(), *self.as_map(planes))

    def pixels(self, boxes: Boxes, patch: Size) -> Pixels:
        """The pixels of `boxes`, flipped as they say."""
        offset, height, width, stride = self._geometry(boxes)
        rows, inside_rows = _along(boxes.top, height, boxes.flips[:, 0], patch[0])  # (B, h)
        columns, inside_columns = _along(boxes.left, width, boxes.flips[:, 1], patch[1])  # (B, w)
        number = (offset[:, None] + rows * stride[:, None])[:, :, None] + columns[:, None, :]
        return Pixels(
            to_device(boxes.slices, number.device),
            number,
            inside_rows[:, :, None] * inside_columns[:, None, :],
        )

    def image_at(self, pixels: Pixels) -> Tensor:
        """Image `(C, B, h, w)`, 0 outside."""
        image = self._decoded(_read(self.flat.image, pixels.number), pixels.slices)
        return image.mul_(pixels.inside.float())

    def labels_at(self, pixels: Pixels) -> tuple[Tensor, Tensor | None]:
        """Labels `(B, h, w)`, uint8, background outside; and the cached map, if there is one.

        That is `(2, B, h, w)` (inside, outside) when rectified, else `(K, B, h, w)`. Outside a slice it is
        the map of the nearest edge pixel. An edge pixel of a foreground class says nothing about the
        background beyond it: there the map is 0, as it is where nobody labelled. `with_pixels` another
        channel follows, of the nearest edge pixel everywhere.
        """
        nearest = _read(self.flat.labels[None], pixels.number)[0]
        labels = nearest * pixels.inside
        if self.flat.map_channels is None:
            return labels, None
        known = torch.maximum(pixels.inside, 1 - nearest.clamp(max=1))
        if self.has_ignored:
            known *= nearest != IGNORE
        weight = known.float()
        planes = _read(self.flat.map_channels, pixels.number)
        own = self.of_map(planes).mul_(weight)
        if len(own) != 1:
            return labels, planes
        return labels, torch.cat([own, weight[None], planes[1:]])

    def of_map(self, planes: Tensor) -> Tensor:
        """The channels of `planes` that are the map's."""
        return planes[: len(planes) - self.with_pixels]

    def as_map(self, planes: Tensor | None) -> tuple[Tensor | RectifiedMap | None, Tensor | None]:
        """The map that `labels_at` returns, as the loss takes it, and `Batch.pixels`."""
        if planes is None:
            return None, None
        own, pixels = self.of_map(planes), planes[-1] if self.with_pixels else None
        if not len(own):
            return None, pixels
        return RectifiedMap(*own) if self.rectified else own.movedim(0, 1).contiguous(), pixels

    def coefficients_at(self, boxes: Boxes, size: Size) -> Tensor:
        """Coefficients of cubic splines `(C, B, h, w)`, mirrored about the edge pixels outside."""
        assert self.flat.coefficients is not None
        offset, height, width, stride = self._geometry(boxes)
        rows = mirrored(to_device(boxes.top, height.device), height, size[0])
        columns = mirrored(to_device(boxes.left, width.device), width, size[1])
        number = (offset[:, None] + rows * stride[:, None])[:, :, None] + columns[:, None, :]
        values = _read(self.flat.coefficients, number)
        return self._decoded(values, to_device(boxes.slices, number.device), SPLINE_GAIN)

    def _decoded(self, stored: Tensor, slices: Tensor, unit: int = 1) -> Tensor:
        """Values of what is stored of `slices`, `(C, B, h, w)`: the operations of `image_codes.decode`."""
        if self.flat.scales is None:
            return stored
        step, zero = self.flat.scales[:, :, slices, None, None]
        return stored.float().mul_(unit).sub_(zero).mul_(step)

    def _geometry(self, boxes: Boxes) -> Tensor:
        """Offset, height, width and stride `(4, B)` of the boxes' slices."""
        return self.flat.geometry[:, to_device(boxes.slices, self.flat.geometry.device)]


def _read(flat: Tensor, number: Tensor) -> Tensor:
    """`flat[:, number]`, several times faster."""
    values = flat.new_empty(len(flat), *number.shape)
    for channel, place in zip(flat, values, strict=True):
        torch.index_select(channel, 0, number.flatten(), out=place.view(-1))
    return values


def _along(start: Ints, size: Tensor, flip: NDArray[np.bool_], patch: int) -> tuple[Tensor, Tensor]:
    """Coordinates along an axis, clamped to the slice, and 1 where they lay in it: `(B, patch)` each."""
    device = size.device
    steps = torch.arange(patch, device=device)
    steps = torch.where(to_device(flip, device)[:, None], steps.flip(0), steps)
    position = to_device(start, device)[:, None] + steps
    clamped = torch.minimum(position.clamp(min=0), size[:, None] - 1)
    return clamped, (clamped == position).to(torch.uint8)


def mirrored(start: Tensor, size: Tensor, count: int) -> Tensor:
    """Coordinates from `start` on, mirrored about the first and the last pixel: `(B, count)`."""
    period = (2 * (size - 1)).clamp(min=1)[:, None]
    position = start[:, None] + torch.arange(count, device=size.device)
    place = position % period
    return torch.minimum(torch.minimum(place, period - place), size[:, None] - 1)
