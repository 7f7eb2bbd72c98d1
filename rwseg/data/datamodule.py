"""The Lightning data module: batches built on the training device, whole volumes for validation."""

import time
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from rwseg.core.distributed import ALONE, World
from rwseg.core.errors import DataError
from rwseg.data.augmentation.batches import augmented_batch, loader_size
from rwseg.data.augmentation.config import AugmentConfig
from rwseg.data.augmentation.draws import STREAM, draws_per_sample
from rwseg.data.augmentation.own import STREAM as OWN_STREAM
from rwseg.data.augmentation.own import OwnAugmentation
from rwseg.data.preprocessing.distances import ensure_distances
from rwseg.data.preprocessing.prepared import Entry, Prepared
from rwseg.data.sampling.patches import oversampled_samples, uniforms
from rwseg.data.sampling.slice_cache import Batch, SliceCache, region_map_of
from rwseg.maps import RectifiedMap

VALIDATION_SLICES = 4
"""Slices of a volume on which the validation loss is computed: some losses take longer than a prediction."""


class Target(NamedTuple):
    """What the validation loss compares with: evenly spaced slices of the prepared grid, on the device."""

    slices: list[int]
    labels: Tensor  # (B, H, W) int64
    region_map: Tensor | RectifiedMap | None  # (B, K, H, W), or two (B, H, W)


class ValidationVolume(NamedTuple):
    """A whole volume for validation: the image on the prepared grid, the reference on the native one."""

    entry: Entry
    image: Tensor  # (C, Z, H, W) on the device
    reference: NDArray[np.uint8]  # (Z, H, W) native
    target: Target


class SliceDataModule(pl.LightningDataModule):
    """Batches for training (`rwseg.data.sampling.slice_cache.Batch`) and whole volumes for validation.

    `map_name` and `rectified` come from the loss; `source` says whether its map is precomputed (`cached`: of
    the volume in mm; cut, warped and flipped like the image) or left to the loss (`online`: made of the
    augmented labels). `augment` is ours, and `own_augmentation` one of the user's after it.
    `foreground` is the share of foreground oversampling. Sample numbers follow
    from epoch and batch number, so a resumed run sees the batches that it would have seen. Each process of
    `world` gets its share of a batch and every so many-th volume. `data_seconds` adds up the time that
    training waited for batches. Raises `DataError` for a split that is empty, holds a case without a label,
    or has fewer volumes to validate on than there are processes.
    """

    def __init__(
        self,
        prepared: Prepared,
        map_name: str | None,
        rectified: bool,
        patch_size: tuple[int, int],
        batch_size: int,
        batches_per_epoch: int,
        foreground: float,
        augment: AugmentConfig,
        source: Literal["cached", "online"],
        seed: int,
        validate_on: Literal["train", "val"] = "val",
        world: World = ALONE,
        own_augmentation: OwnAugmentation | None = None,
    ) -> None:
        super().__init__()
        self.prepared = prepared
        self.map_name = map_name if source == "cached" else None
        self.rectified = rectified
        self.patch_size = patch_size
        self.batch_size = batch_size
        self.batches_per_epoch = batches_per_epoch
        self.oversampled = oversampled_samples(batch_size, foreground)
        self.augment = augment
        self.own_augmentation = own_augmentation
        self.masked = prepared.preprocessing.normalisation == "zscore_nonzero" and augmented(augment)
        self.seed = seed
        self.train_entries = _with_labels(prepared, "train")
        self.val_entries = _with_labels(prepared, validate_on)
        self.world = world
        if len(self.val_entries) < world.size:
            raise DataError(
                f"{world.size} processes train together: expected at most as many as volumes to validate on, "
                f"got {len(self.val_entries)} of dataset '{prepared.name}'; start fewer processes"
            )
        self.slice_cache: SliceCache | None = None
        self.data_seconds = 0.0

    def prepare_data(self) -> None:
        """Compute the distances that the loss's map needs, once per dataset."""
        ensure_distances(self.prepared, self.map_name)

    def train_dataloader(self) -> Sequence[int]:
        """Batch numbers; the batches themselves are cut on the device."""
        return range(self.batches_per_epoch)

    def val_dataloader(self) -> Sequence[int]:
        """Numbers of the validation volumes that are this process's."""
        return range(self.world.rank, len(self.val_entries), self.world.size)

    def on_after_batch_transfer(self, batch: int, dataloader_idx: int) -> Batch | ValidationVolume:
        """Turn a batch number into the batch, or a volume number into the volume, on the training device."""
        trainer = self.trainer
        assert trainer is not None
        device = trainer.strategy.root_device
        if not trainer.training:
            return self.volume(self.val_entries[batch], device)
        started = time.perf_counter()
        step = trainer.current_epoch * self.batches_per_epoch + batch
        made = self.training_batch(step, device)
        self.data_seconds += time.perf_counter() - started
        return made

    def training_batch(self, step: int, device: torch.device) -> Batch:
        """This process's share of the batch of training step `step` (counted over all epochs)."""
        if self.slice_cache is None:
            splines = self.augment.spatial is not None
            self.slice_cache = SliceCache(
                self.prepared, self.train_entries, self.map_name, self.rectified, device, splines
            )
        share, patch = self.world.share(self.batch_size), self.patch_size
        first, size = step * self.batch_size + share.start, share.stop - share.start
        draws = uniforms(self.seed, first, size)
        loader = loader_size(self.augment.spatial, patch)
        boxes = self.slice_cache.sampler.boxes(
            draws, self.oversampled[share], patch, self.augment.flips, loader
        )
        count = draws_per_sample(len(self.prepared.channels))
        draws = uniforms(self.seed, first, size, count, STREAM)
        batch = augmented_batch(self.slice_cache, boxes, draws, self.augment, patch, self.masked)
        if self.own_augmentation is None:
            return batch
        own = uniforms(self.seed, first, 1, stream=OWN_STREAM)[0, 0]
        return self.own_augmentation(batch, int(own * 2**32))

    def volume(self, entry: Entry, device: torch.device) -> ValidationVolume:
        """A whole prepared volume."""
        image = torch.from_numpy(np.array(self.prepared.image(entry))).to(device)
        return ValidationVolume(
            entry, image, np.asarray(self.prepared.reference(entry)), self._target(entry, device)
        )

    def _target(self, entry: Entry, device: torch.device) -> Target:
        labels = np.asarray(self.prepared.label(entry))
        slices = sorted({round(z) for z in np.linspace(0, len(labels) - 1, VALIDATION_SLICES)})
        region_map = region_map_of(self.prepared, entry, self.map_name, self.rectified, slices, device)
        return Target(slices, torch.from_numpy(labels[slices]).long().to(device), region_map)


def augmented(augment: AugmentConfig) -> bool:
    """Whether more is done to a patch than flipping it."""
    return augment.spatial is not None or augment.intensity is not None


def _with_labels(prepared: Prepared, split: str) -> list[Entry]:
    entries = prepared.split(split)
    without = [entry.name for entry in entries if not entry.has_label]
    if without:
        raise DataError(
            f"dataset '{prepared.name}' in {prepared.root}: expected a label for every case of the split "
            f"'{split}', found none for {', '.join(without)}; add the labels or move these cases to 'test'"
        )
    return entries
