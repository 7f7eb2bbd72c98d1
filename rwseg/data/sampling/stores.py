"""Where the slices of a split live: on a device or in host memory as flat arrays, or on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import spline_filter1d
from torch import Tensor

from rwseg.data.preprocessing.distances import KIND_OF_MAP
from rwseg.data.preprocessing.image_codes import Scale, decode
from rwseg.data.preprocessing.prepared import Entry, Prepared, all_coded, prepared_array
from rwseg.data.preprocessing.tables import largest_distances, slice_counts
from rwseg.data.sampling.patches import Ints, Sampler
from rwseg.data.sampling.region_maps import is_rectified_map, map_channels, num_channels, volume_channels
from rwseg.data.sampling.slice_cache import SPLINE_GAIN, Flat, SliceCache


class SliceTable(NamedTuple):
    """The S slices of the volumes of a split, in their order: what is known of them without reading any."""

    volumes: Ints  # (S,) number of the volume
    planes: Ints  # (S,) number in the volume
    sizes: Ints  # (S, 2)
    counts: Ints  # (S, K) pixels of each class

    @property
    def has_ignored(self) -> bool:
        """Whether some pixel is `IGNORE`."""
        return bool((self.counts.sum(1) < self.sizes.prod(1)).any())


def slice_table(prepared: Prepared, entries: Sequence[Entry]) -> SliceTable:
    """The slices of `entries`, which all have labels."""
    depths = np.array([entry.shape[0] for entry in entries])
    volumes = np.repeat(np.arange(len(entries)), depths)
    planes = np.arange(len(volumes)) - (np.cumsum(depths) - depths)[volumes]
    sizes = np.array([entry.shape[1:] for entry in entries], dtype=np.int64)[volumes]
    return SliceTable(volumes, planes, sizes, slice_counts(prepared, entries))


Stored = np.float32 | np.int16
"""An image's values, or their codes."""


class Store(Protocol):
    """Reads slices on the host by their numbers."""

    @property
    def scales(self) -> Tensor | None:
        """See `Flat`."""

    def labels(self, number: int) -> NDArray[np.uint8]:
        """`(H, W)`."""

    def image(self, number: int) -> NDArray[Stored]:
        """`(C, H, W)`, all slices as codes or all as float32; only what is indexed is read."""

    def map_channels(self, number: int, rows: slice, columns: slice) -> Tensor | None:
        """`Flat.map_channels` of a part of the slice."""


class HostSlices:
    """A `Store` of flat arrays in host memory."""

    def __init__(self, flat: Flat, sizes: Ints) -> None:
        self.flat = flat
        self.sizes = sizes
        self.offsets = np.cumsum(sizes.prod(1)) - sizes.prod(1)
        self.scales = flat.scales

    def labels(self, number: int) -> NDArray[np.uint8]:
        """See `Store`."""
        return self._slice(self.flat.labels[None], number)[0].numpy()

    def image(self, number: int) -> NDArray[Stored]:
        """See `Store`."""
        return self._slice(self.flat.image, number).numpy()

    def map_channels(self, number: int, rows: slice, columns: slice) -> Tensor | None:
        """See `Store`."""
        if self.flat.map_channels is None:
            return None
        return self._slice(self.flat.map_channels, number)[:, rows, columns]

    def _slice(self, flat: Tensor, number: int) -> Tensor:
        height, width = self.sizes[number].tolist()
        start = int(self.offsets[number])
        return flat[:, start : start + height * width].view(-1, height, width)


@dataclass(frozen=True)
class DiskSlices:
    """A `Store` of memory-mapped arrays; what a process needs to read them, without the manifest."""

    folder: Path
    names: NDArray[np.str_]  # (N,)
    shapes: Ints  # (N, 3)
    volumes: Ints  # (S,)
    planes: Ints  # (S,)
    channels: int
    num_classes: int
    map_name: str | None
    rectified: bool
    largest: NDArray[np.float32] | None  # (N, K), for RRW
    stored: tuple[tuple[Scale, ...], ...]  # (N, C) or (N, 0), as `Entry.scales`
    scales: Tensor | None
    pixels: str | None

    def labels(self, number: int) -> NDArray[np.uint8]:
        """See `Store`."""
        return self._slice("label", number, (), np.uint8)

    def image(self, number: int) -> NDArray[Stored]:
        """See `Store`."""
        scales = self.stored[self.volumes[number]]
        image = self._slice("image", number, (self.channels,), np.int16 if scales else np.float32)
        return decode(image, scales) if scales and self.scales is None else image

    def map_channels(self, number: int, rows: slice, columns: slice) -> Tensor | None:
        """See `Store`."""
        own = [] if self.map_name not in KIND_OF_MAP else [self._of_map(number, self.map_name, rows, columns)]
        if self.pixels is not None:
            plane = self._slice(self.pixels, number, (), np.float32)
            own.append(torch.from_numpy(np.array(plane[None, rows, columns])))
        return torch.cat(own) if own else None

    def _of_map(self, number: int, map_name: str, rows: slice, columns: slice) -> Tensor:
        kind = KIND_OF_MAP[map_name]
        classes = (self.num_classes,) if kind == "signed" else ()
        distance = self._slice(kind, number, classes, np.float32)
        distance, labels = (np.array(part[..., rows, columns]) for part in (distance, self.labels(number)))
        largest = None if self.largest is None else torch.from_numpy(self.largest[self.volumes[number]])
        return map_channels(
            torch.from_numpy(distance), torch.from_numpy(labels), map_name, self.rectified, largest
        )

    def _slice(self, kind: str, number: int, first: tuple[int, ...], dtype: type) -> NDArray[Any]:
        volume = self.volumes[number]
        shape = (*first, *self.shapes[volume].tolist())
        array = prepared_array(self.folder, kind, str(self.names[volume]), shape, dtype)
        return array[..., self.planes[number], :, :]


def disk_slices(
    prepared: Prepared,
    entries: Sequence[Entry],
    table: SliceTable,
    map_name: str | None,
    rectified: bool,
    pixels: str | None = None,
) -> DiskSlices:
    """The slices of `entries` where they are prepared; the last arguments as in `load_slices`."""
    return DiskSlices(
        folder=prepared.folder,
        names=np.array([entry.name for entry in entries]),
        shapes=np.array([entry.shape for entry in entries], dtype=np.int64),
        volumes=table.volumes,
        planes=table.planes,
        channels=len(prepared.channels),
        num_classes=len(prepared.classes),
        map_name=map_name,
        rectified=rectified,
        largest=largest_distances(prepared, entries) if map_name == "rrw" else None,
        stored=tuple(entry.scales for entry in entries),
        scales=_scales(entries, table),
        pixels=pixels,
    )


def _scales(entries: Sequence[Entry], table: SliceTable) -> Tensor | None:
    """`Flat.scales` of the slices, if all images are stored as codes."""
    if not all_coded(entries):
        return None
    return torch.tensor([entry.scales for entry in entries])[table.volumes].permute(2, 1, 0).contiguous()


def load_slices(
    prepared: Prepared,
    entries: Sequence[Entry],
    map_name: str | None,
    rectified: bool,
    device: torch.device,
    splines: bool = False,
    pixels: str | None = None,
) -> tuple[SliceCache, Sampler]:
    """All slices of `entries` on `device`, read one volume at a time, and what samples them.

    `map_name` and `rectified` say which map to precompute (see `rwseg.losses`); a map without cached
    distances is left to the loss. `splines` asks for the coefficients that cubic interpolation needs,
    `pixels` for those of the cases' own files (`preprocessing.pixel_files`). Raises `DataError` for a
    prepared array that cannot be read.
    """
    table = slice_table(prepared, entries)
    areas = table.sizes.prod(1)
    total = int(areas.sum())
    channels = len(prepared.channels)
    scales = _scales(entries, table)
    kind = torch.float32 if scales is None else torch.int16
    image = torch.empty(channels, total, dtype=kind, device=device)
    labels = torch.empty(1, total, dtype=torch.uint8)  # on the host, where samples look for their class
    coefficients = torch.empty_like(image) if splines else None
    count = num_channels(map_name, rectified, len(prepared.classes)) + (pixels is not None)
    planes = torch.empty(count, total, device=device) if count else None
    end = 0
    for entry in entries:
        start, end = end, end + int(np.prod(entry.shape))
        volume = prepared.image(entry) if scales is None else np.array(prepared.stored_image(entry))
        _put(image, volume, start, end)
        _put(labels, np.array(prepared.label(entry))[None], start, end)
        if coefficients is not None:
            _put(coefficients, spline_coefficients(volume), start, end)
        if planes is not None:
            _put(planes, _map_and_pixels(prepared, entry, map_name, rectified, pixels), start, end)
    heights, widths = table.sizes.T
    geometry = torch.from_numpy(np.stack([np.cumsum(areas) - areas, heights, widths, widths])).to(device)
    scales = None if scales is None else scales.to(device)
    here = HostSlices(Flat(geometry, image, labels[0], planes, coefficients, scales), table.sizes)
    sampler = Sampler.from_counts(table.counts, table.volumes, table.sizes, here.labels)
    flat = here.flat._replace(labels=labels[0].to(device))
    how = is_rectified_map(map_name, rectified), table.has_ignored, pixels is not None
    return SliceCache(flat, table.sizes, *how), sampler


def _map_and_pixels(
    prepared: Prepared, entry: Entry, map_name: str | None, rectified: bool, pixels: str | None
) -> NDArray[np.float32]:
    """`Flat.map_channels` of a volume, `(M, Z, H, W)`."""
    found = []
    if map_name in KIND_OF_MAP:
        found.append(volume_channels(prepared, entry, map_name, rectified).numpy())
    if pixels is not None:
        found.append(np.array(prepared.pixels(pixels, entry))[None])
    return np.concatenate(found)


EVERYTHING = slice(None)


def spline_coefficients(
    image: NDArray[Stored], rows: slice = EVERYTHING, columns: slice = EVERYTHING
) -> NDArray[Stored]:
    """Coefficients of the cubic spline of each slice of `(..., H, W)`, in a part of it; as `Flat` has them.

    Every pixel of a column, then of a row, has a say in all of its coefficients; other rows have none.
    """
    down = spline_filter1d(image, order=3, axis=-2, mode="mirror")[..., rows, :]
    values = spline_filter1d(down, order=3, axis=-1, mode="mirror")[..., columns]
    kept = np.rint(values / SPLINE_GAIN) if image.dtype == np.int16 else values
    return kept.astype(image.dtype)  # type: ignore[no-any-return]


def _put(flat: Tensor, volume: NDArray[Any], start: int, end: int) -> None:
    """Write a volume `(M, Z, H, W)` to its place in `flat` `(M, P)`."""
    flat[:, start:end] = torch.from_numpy(volume).view(len(flat), -1)
