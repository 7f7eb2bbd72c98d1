"""The cached region map of labels, made of the distances that lie beside them: pixel by pixel.

So the map of a part of a volume is that part of the volume's map, bit for bit; what the whole volume has a
say in, the largest distance of each class, is given.
"""

from functools import reduce

import numpy as np
import torch
from torch import Tensor

from rwseg.data.case import IGNORE
from rwseg.data.preprocessing.distances import KIND_OF_MAP
from rwseg.data.preprocessing.prepared import Entry, Prepared
from rwseg.data.preprocessing.tables import largest_by_class
from rwseg.maps import RECTIFIED_MAP_NAMES, RectifiedMap


def num_channels(map_name: str | None, rectified: bool, num_classes: int) -> int:
    """Channels of the cached map; 0 for a map that is left to the loss."""
    if map_name not in KIND_OF_MAP:
        return 0
    if map_name == "rrw":
        return 1
    return 2 if rectified else num_classes


def is_rectified_map(map_name: str | None, rectified: bool) -> bool:
    """Whether the loss takes the map as inside and outside weights."""
    return rectified or map_name in RECTIFIED_MAP_NAMES


def map_channels(
    distance: Tensor, labels: Tensor, map_name: str, rectified: bool, largest: Tensor | None
) -> Tensor:
    """The cached map of pixels, 0 where nobody labelled.

    `labels` is uint8 `(*S)`; `distance` is `(*S)` for RRW, whose `largest` is the volume's for each class
    `(K,)`, else `(K, *S)`. Returns `(1, *S)` where the wrong classes weigh 1 (RRW), `(2, *S)` (inside,
    outside) when rectified, else `(K, *S)`.
    """
    ignored = labels == IGNORE
    if map_name == "rrw":
        assert largest is not None
        tiny = torch.finfo(largest.dtype).tiny
        scale = torch.cat([largest.clamp(min=tiny).neg(), largest.new_ones(1)])  # the last: of the ignored
        index = labels.masked_fill(ignored, len(largest)).long()
        channels = (distance / scale[index])[None]
    elif rectified:
        index = labels.masked_fill(ignored, 0).long()[None]
        wrong = distance.scatter(0, index, 0.0)
        others = reduce(
            torch.add, wrong.unbind()
        )  # `sum` may add in another order where a pixel lies elsewhere
        channels = torch.stack([distance.gather(0, index)[0], others / (len(distance) - 1)])
    else:
        channels = distance
    return channels.masked_fill(ignored, 0.0)


def volume_channels(prepared: Prepared, entry: Entry, map_name: str, rectified: bool) -> Tensor:
    """`map_channels` of a whole volume: `(M, Z, H, W)`."""
    labels = np.array(prepared.label(entry))
    distance = np.array(prepared.distance(KIND_OF_MAP[map_name], entry))
    largest = None
    if map_name == "rrw":
        largest = torch.from_numpy(largest_by_class(distance, labels, len(prepared.classes)))
    return map_channels(torch.from_numpy(distance), torch.from_numpy(labels), map_name, rectified, largest)


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
    planes = volume_channels(prepared, entry, map_name, rectified)[:, slices].to(device)
    if len(planes) == 1:
        known = torch.from_numpy(np.asarray(prepared.label(entry))[slices] != IGNORE).to(planes)
        planes = torch.cat([planes, known[None]])
    if is_rectified_map(map_name, rectified):
        return RectifiedMap(*planes)
    return planes.movedim(0, 1).contiguous()
