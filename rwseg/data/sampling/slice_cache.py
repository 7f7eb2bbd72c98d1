"""All slices of a split on the training device, cut into batches by one indexed read.

A 2D dataset fits on the device, so nothing is loaded, augmented or collated per sample.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import spline_filter1d
from torch import Tensor

from rwseg.data.case import IGNORE
from rwseg.data.preprocessing.distances import KIND_OF_MAP
from rwseg.data.preprocessing.prepared import Entry, Prepared
from rwseg.data.sampling.patches import Boxes, Ints, Sampler, Size
from rwseg.data.sampling.to_device import to_device
from rwseg.maps import RECTIFIED_MAP_NAMES, RectifiedMap, compact, rrw_weights


class Batch(NamedTuple):
    """What a training step sees: images, labels (classes and `IGNORE`), and the map if it is cached."""

    image: Tensor  # (B, C, H, W) float32
    labels: Tensor  # (B, H, W) int64
    region_map: Tensor | RectifiedMap | None  # (B, K, H, W), or two (B, H, W)


class Pixels(NamedTuple):
    """The pixels of boxes by their flat numbers in the cache: those beyond a slice as the nearest in it."""

    number: Tensor  # (B, h, w)
    inside: Tensor  # (B, h, w) uint8: 1 in the slice, 0 beyond


class SliceCache:
    """Slices of differing size in flat arrays: pixel `(s, y, x)` lies at `offset[s] + y * width[s] + x`.

    `map_name` and `rectified` say which map to precompute (see `rwseg.losses`); a map without cached
    distances is left to the loss. `splines` asks for the coefficients that cubic interpolation needs. Raises
    `DataError` for a prepared array that cannot be read.
    """

    def __init__(
        self,
        prepared: Prepared,
        entries: list[Entry],
        map_name: str | None,
        rectified: bool,
        device: torch.device,
        splines: bool = False,
    ) -> None:
        labels = [np.asarray(prepared.label(entry)) for entry in entries]
        self.sampler = Sampler.from_labels(labels, len(prepared.classes))
        sizes = self.sampler.heights * self.sampler.widths
        self.geometry = torch.from_numpy(  # (3, S): offset, height, width
            np.stack([np.cumsum(sizes) - sizes, self.sampler.heights, self.sampler.widths])
        ).to(device)
        self.image = _flat([prepared.image(entry) for entry in entries]).to(device)  # (C, P)
        self.labels = _flat([volume[None] for volume in labels])[0].to(device)  # (P,)
        self.coefficients: Tensor | None = None
        if splines:
            self.coefficients = _flat([_spline(prepared.image(entry)) for entry in entries]).to(
                device
            )  # (C, P)
        self.has_ignored = bool((self.labels == IGNORE).any())
        self.map_channels: Tensor | None = None
        self.rectified = rectified or map_name in RECTIFIED_MAP_NAMES
        if map_name in KIND_OF_MAP:
            volumes = [_map_channels(prepared, entry, map_name, rectified) for entry in entries]
            self.map_channels = torch.cat(volumes, dim=1).to(device)  # (M, P), see `_map_channels`

    def batch(self, boxes: Boxes, patch: Size) -> Batch:
        """Cut `boxes`. Outside a slice: image 0 (the mean), background, the map of `labels_at`."""
        pixels = self.pixels(boxes, patch)
        labels, planes = self.labels_at(pixels)
        image = self.image_at(pixels).movedim(0, 1).contiguous()
        return Batch(image, labels.long(), self.as_map(planes))

    def pixels(self, boxes: Boxes, patch: Size) -> Pixels:
        """The pixels of `boxes`, flipped as they say."""
        offset, height, width = self._geometry(boxes)
        rows, inside_rows = _along(boxes.top, height, boxes.flips[:, 0], patch[0])  # (B, h)
        columns, inside_columns = _along(boxes.left, width, boxes.flips[:, 1], patch[1])  # (B, w)
        number = (offset[:, None] + rows * width[:, None])[:, :, None] + columns[:, None, :]
        return Pixels(number, inside_rows[:, :, None] * inside_columns[:, None, :])

    def image_at(self, pixels: Pixels) -> Tensor:
        """Image `(C, B, h, w)`, 0 outside."""
        return _read(self.image, pixels.number).mul_(pixels.inside.float())

    def labels_at(self, pixels: Pixels) -> tuple[Tensor, Tensor | None]:
        """Labels `(B, h, w)`, uint8, background outside; and the cached map, if there is one.

        That is `(2, B, h, w)` (inside, outside) when rectified, else `(K, B, h, w)`. Outside a slice it is
        the map of the nearest edge pixel. An edge pixel of a foreground class says nothing about the
        background beyond it: there the map is 0, as it is where nobody labelled.
        """
        nearest = _read(self.labels[None], pixels.number)[0]
        labels = nearest * pixels.inside
        if self.map_channels is None:
            return labels, None
        known = torch.maximum(pixels.inside, 1 - nearest.clamp(max=1))
        if self.has_ignored:
            known *= nearest != IGNORE
        weight = known.float()
        planes = _read(self.map_channels, pixels.number).mul_(weight)
        return labels, torch.cat([planes, weight[None]]) if len(planes) == 1 else planes

    def as_map(self, planes: Tensor | None) -> Tensor | RectifiedMap | None:
        """The map that `labels_at` returns, as the loss takes it."""
        if planes is None:
            return None
        return RectifiedMap(*planes) if self.rectified else planes.movedim(0, 1).contiguous()

    def coefficients_at(self, boxes: Boxes, size: Size) -> Tensor:
        """Coefficients of cubic splines `(C, B, h, w)`, mirrored about the edge pixels outside."""
        assert self.coefficients is not None
        offset, height, width = self._geometry(boxes)
        rows = _mirrored(boxes.top, height, size[0])
        columns = _mirrored(boxes.left, width, size[1])
        number = (offset[:, None] + rows * width[:, None])[:, :, None] + columns[:, None, :]
        return _read(self.coefficients, number)

    def _geometry(self, boxes: Boxes) -> Tensor:
        """Offset, height and width `(3, B)` of the boxes' slices."""
        return self.geometry[:, to_device(boxes.slices, self.geometry.device)]


def _flat(volumes: list[NDArray[np.generic]]) -> Tensor:
    """Volumes `(C, Z, H, W)` one after the other: `(C, P)`."""
    return torch.from_numpy(np.concatenate([volume.reshape(len(volume), -1) for volume in volumes], axis=1))


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


def _mirrored(start: Ints, size: Tensor, count: int) -> Tensor:
    """Coordinates from `start` on, mirrored about the first and the last pixel: `(B, count)`."""
    period = (2 * (size - 1)).clamp(min=1)[:, None]
    position = to_device(start, size.device)[:, None] + torch.arange(count, device=size.device)
    place = position % period
    return torch.minimum(torch.minimum(place, period - place), size[:, None] - 1)


def _spline(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Coefficients of the cubic spline of each slice of `(C, Z, H, W)`."""
    rows = spline_filter1d(image, order=3, axis=-2, mode="mirror")
    return spline_filter1d(rows, order=3, axis=-1, mode="mirror").astype(np.float32)  # type: ignore[no-any-return]


def region_map_of(
    prepared: Prepared,
    entry: Entry,
    map_name: str | None,
    rectified: bool,
    slices: list[int],
    device: torch.device,
) -> Tensor | RectifiedMap | None:
    """The cached map of some slices of a volume, as a batch; None for a map that is left to the loss."""
    if map_name not in KIND_OF_MAP:
        return None
    shape = prepared.label(entry).shape
    planes = _map_channels(prepared, entry, map_name, rectified).reshape(-1, *shape)[:, slices].to(device)
    if len(planes) == 1:
        known = torch.from_numpy(np.asarray(prepared.label(entry))[slices] != IGNORE).to(planes)
        planes = torch.cat([planes, known[None]])
    if rectified or map_name in RECTIFIED_MAP_NAMES:
        return RectifiedMap(*planes)
    return planes.movedim(0, 1).contiguous()


def _map_channels(prepared: Prepared, entry: Entry, map_name: str, rectified: bool) -> Tensor:
    """The cached map of a volume, flat, 0 where nobody labelled.

    `(1, P)` where the wrong classes weigh 1 (RRW), `(2, P)` (inside, outside) when rectified, else `(K, P)`.
    """
    labels = torch.from_numpy(np.array(prepared.label(entry)))[None]
    distance = torch.from_numpy(np.array(prepared.distance(KIND_OF_MAP[map_name], entry)))[None]
    ignored = labels == IGNORE
    if map_name == "rrw":
        apart = len(prepared.classes)  # a class of its own: it has no say in the others' largest distance
        weights = rrw_weights(distance, labels.masked_fill(ignored, apart), apart + 1)
        channels = weights
    elif rectified:
        channels = torch.cat(compact(distance, labels.masked_fill(ignored, 0)))
    else:
        channels = distance[0]
    return channels.masked_fill(ignored, 0.0).flatten(start_dim=1)
