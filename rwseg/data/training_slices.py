"""The slices of a training split, wherever they live, and the batches that are made of them on the device."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Protocol

import torch

from rwseg.data.augmentation.batches import augmented_batch
from rwseg.data.preprocessing.prepared import Entry, Prepared, all_coded
from rwseg.data.sampling.patches import Sampler
from rwseg.data.sampling.reading_ahead import HELD, ProcessReader, by_thread, reading_processes
from rwseg.data.sampling.region_maps import is_rectified_map, num_channels
from rwseg.data.sampling.residency import Extent, Residency, choose_residency
from rwseg.data.sampling.slice_cache import Batch, SliceCache
from rwseg.data.sampling.staging import Staged, moved, pinned
from rwseg.data.sampling.stores import HostSlices, Store, disk_slices, load_slices, slice_table
from rwseg.data.training_steps import TrainingSteps, staged_step

Given = int | Staged
"""A step by its number (counted over all epochs), or what was read for it before it began."""


class TrainingSlices(Protocol):
    """The batches of `steps`."""

    @property
    def steps(self) -> TrainingSteps:
        """What is random of them."""

    def ahead(self, steps: range) -> Iterator[Given]:
        """The steps, with what can be read for them before they begin."""

    def batch(self, step: Given) -> Batch:
        """The augmented batch of a step, on the training device."""

    def close(self) -> None:
        """End the processes that read, if there are any."""


@dataclass(frozen=True)
class DeviceSlices:
    """All slices lie on the training device; `masked` as in `augmented_batch`."""

    steps: TrainingSteps
    masked: bool
    cache: SliceCache

    def ahead(self, steps: range) -> Iterator[Given]:
        """See `TrainingSlices`."""
        return iter(steps)

    def batch(self, step: Given) -> Batch:
        """See `TrainingSlices`."""
        assert isinstance(step, int)
        steps = self.steps
        boxes, draws, cases = steps.draw(step)
        batch = augmented_batch(self.cache, boxes, draws, steps.augment, steps.patch, self.masked)
        return batch._replace(cases=cases)

    def close(self) -> None:
        """There is nothing to end."""


@dataclass(frozen=True)
class StagedSlices:
    """The slices lie in `store`; what a batch needs of them comes to `device` by a thread, or processes."""

    steps: TrainingSteps
    masked: bool
    store: Store
    rectified: bool
    has_ignored: bool
    with_pixels: bool
    device: torch.device
    reader: ProcessReader[Staged] | None = None

    def ahead(self, steps: range) -> Iterator[Given]:
        """See `TrainingSlices`."""
        if self.reader is not None:
            return self.reader.batches(steps)
        return by_thread(self._staged, steps)

    def batch(self, step: Given) -> Batch:
        """See `TrainingSlices`."""
        staged = self._staged(step) if isinstance(step, int) else step
        what = self.rectified, self.has_ignored, self.with_pixels
        cache = SliceCache(moved(staged.flat, self.device), staged.sizes, *what)
        steps = self.steps
        how = steps.augment, steps.patch, self.masked
        return augmented_batch(cache, staged.boxes, staged.draws, *how)._replace(cases=staged.cases)

    def close(self) -> None:
        """See `TrainingSlices`."""
        if self.reader is not None:
            self.reader.close()

    def _staged(self, step: int) -> Staged:
        return pinned(staged_step(self.steps, self.store, step), self.device)


@dataclass(frozen=True)
class Split:
    """The slices of `entries`, all with labels, and what goes with them (`stores.load_slices`)."""

    prepared: Prepared
    entries: Sequence[Entry]
    map_name: str | None
    rectified: bool
    pixels: str | None

    def extent(self, batch_size: int, splines: bool) -> Extent:
        """What the slices take; a batch reads no more than the largest slice for each sample."""
        of_image, how = (2 if all_coded(self.entries) else 4) * len(self.prepared.channels), self._how
        return Extent(
            pixels=sum(prod(entry.shape) for entry in self.entries),
            image=of_image,
            region_map=4 * (num_channels(*how, len(self.prepared.classes)) + (self.pixels is not None)),
            splines=of_image * splines,
            batch_pixels=batch_size * max(prod(entry.shape[1:]) for entry in self.entries),
            ahead=HELD,
            readers=reading_processes(),
        )

    def open(
        self,
        residency: Residency,
        device: torch.device,
        steps_of: Callable[[Sampler], TrainingSteps],
        extent: Extent,
        masked: bool,
        processes: int,
    ) -> TrainingSlices:
        """The slices where `residency` says, or where they fit: see `choose_residency`.

        Raises `DataError` where they do not, and for a prepared array that cannot be read.
        """
        place = choose_residency(residency, extent, device, processes, self.prepared.name)
        parts, how, own = (self.prepared, self.entries), self._how, self.pixels
        if place == "device":
            cache, sampler = load_slices(*parts, *how, device, extent.splines > 0, own)
            return DeviceSlices(steps_of(sampler), masked, cache)
        if place == "host":
            cache, sampler = load_slices(*parts, *how, torch.device("cpu"), pixels=own)
            store, what = HostSlices(cache.flat, cache.sizes), (cache.rectified, cache.has_ignored)
            return StagedSlices(steps_of(sampler), masked, store, *what, own is not None, device)
        table = slice_table(*parts)
        files = disk_slices(*parts, table, *how, own)
        steps = steps_of(Sampler.from_counts(table.counts, table.volumes, table.sizes, files.labels))
        reader = ProcessReader(partial(staged_step, steps, files), device.type == "cuda")
        flags = is_rectified_map(*how), table.has_ignored, own is not None
        return StagedSlices(steps, masked, files, *flags, device, reader)

    @property
    def _how(self) -> tuple[str | None, bool]:
        return self.map_name, self.rectified
