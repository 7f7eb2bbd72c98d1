"""All slices of a split on the training device, cut into batches by one indexed read.

A 2D dataset fits on the device, so nothing is loaded, augmented or collated per sample.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rwseg.data.distances import KIND_OF_MAP
from rwseg.data.sampling import Boxes, Ints, Sampler
from rwseg.data.store import Entry, Prepared
from rwseg.maps import RECTIFIED_MAP_NAMES, RectifiedMap, compact, rrw_weights


class Batch(NamedTuple):
    """What a training step sees: images, labels, and the map if it is cached."""

    image: Tensor  # (B, C, H, W) float32
    labels: Tensor  # (B, H, W) int64
    region_map: Tensor | RectifiedMap | None  # (B, K, H, W), or two (B, H, W)


class SliceBank:
    """Slices of differing size in flat arrays: pixel `(s, y, x)` lies at `offset[s] + y * width[s] + x`.

    `map_name` and `rectified` say which map to serve (see `rwseg.losses`); a map that has no cached distances
    is left to the loss. Raises `DataError` for a prepared array that cannot be read.
    """

    def __init__(
        self,
        prepared: Prepared,
        entries: list[Entry],
        map_name: str | None,
        rectified: bool,
        device: torch.device,
    ) -> None:
        labels = [np.asarray(prepared.label(entry)) for entry in entries]
        self.sampler = Sampler.from_labels(labels, len(prepared.classes))
        sizes = self.sampler.heights * self.sampler.widths
        self.geometry = torch.from_numpy(  # (3, S): offset, height, width
            np.stack([np.cumsum(sizes) - sizes, self.sampler.heights, self.sampler.widths])
        ).to(device)
        images = [image.reshape(len(image), -1) for image in map(prepared.image, entries)]
        self.image = torch.from_numpy(np.concatenate(images, axis=1)).to(device)  # (C, P)
        flat = np.concatenate([volume.ravel() for volume in labels])
        self.labels = torch.from_numpy(flat).to(device)  # (P,)
        self.map_channels: Tensor | None = None
        self.rectified = rectified or map_name in RECTIFIED_MAP_NAMES
        if map_name in KIND_OF_MAP:
            volumes = [_map_channels(prepared, entry, map_name, rectified) for entry in entries]
            self.map_channels = torch.cat(volumes, dim=1).to(device)  # (2 or K, P)

    def batch(self, boxes: Boxes, patch: tuple[int, int]) -> Batch:
        """Cut `boxes`. Outside a slice: image 0 (the mean), background, the map of the nearest edge pixel.

        An edge pixel of a foreground class says nothing about the background beyond it: there the map is 0.
        """
        offset, height, width = self.geometry[:, torch.from_numpy(boxes.slices).to(self.labels.device)]
        rows, inside_rows = self._axis(boxes.top, height, boxes.flips[:, 0], patch[0])  # (B, h)
        columns, inside_columns = self._axis(boxes.left, width, boxes.flips[:, 1], patch[1])  # (B, w)
        pixels = (offset[:, None] + rows * width[:, None])[:, :, None] + columns[:, None, :]  # (B, h, w)
        inside = inside_rows[:, :, None] & inside_columns[:, None, :]
        image = (self.image[:, pixels] * inside).movedim(0, 1).contiguous()
        edge_labels = self.labels[pixels]
        labels = edge_labels.long() * inside
        if self.map_channels is None:
            return Batch(image, labels, None)
        known = inside | (edge_labels == 0)
        region_map = self.map_channels[:, pixels] * known  # (2 or K, B, h, w)
        if self.rectified:
            return Batch(image, labels, RectifiedMap(*region_map))
        return Batch(image, labels, region_map.movedim(0, 1).contiguous())

    def _axis(self, start: Ints, size: Tensor, flip: NDArray[np.bool_], patch: int) -> tuple[Tensor, Tensor]:
        """Coordinates along one axis, clamped to the slice, and whether they lay in it: both `(B, patch)`."""
        device = size.device
        steps = torch.arange(patch, device=device)
        steps = torch.where(torch.from_numpy(flip).to(device)[:, None], steps.flip(0), steps)
        position = torch.from_numpy(start).to(device)[:, None] + steps
        clamped = torch.minimum(position.clamp(min=0), size[:, None] - 1)
        return clamped, clamped == position


def _map_channels(prepared: Prepared, entry: Entry, map_name: str, rectified: bool) -> Tensor:
    """The cached map of a volume, flat: `(2, P)` (inside, outside) when rectified, else `(K, P)`."""
    labels = torch.from_numpy(np.array(prepared.label(entry)))[None]
    distance = torch.from_numpy(np.array(prepared.distance(KIND_OF_MAP[map_name], entry)))[None]
    if map_name == "rrw":
        weights = rrw_weights(distance, labels, len(prepared.classes))
        return torch.stack([weights.flatten(), torch.ones(weights.numel())])
    if rectified:
        return torch.stack([part.flatten() for part in compact(distance, labels)])
    return distance[0].flatten(start_dim=1)
