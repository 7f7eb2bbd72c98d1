"""The Lightning data module: batches built on the training device, whole volumes for validation."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from rwseg.core.distributed import ALONE, World
from rwseg.core.errors import DataError
from rwseg.data.augmentation.config import AugmentConfig
from rwseg.data.augmentation.own import STREAM as OWN_STREAM
from rwseg.data.augmentation.own import OwnAugmentation
from rwseg.data.preprocessing.distances import ensure_distances
from rwseg.data.preprocessing.prepared import Entry, Prepared
from rwseg.data.sampling.patches import oversampled_samples, uniforms
from rwseg.data.sampling.region_maps import region_map_of
from rwseg.data.sampling.residency import Residency
from rwseg.data.sampling.slice_cache import Batch
from rwseg.data.split import spread
from rwseg.data.training_slices import Given, Split, TrainingSlices
from rwseg.data.training_steps import TrainingSteps
from rwseg.maps import RectifiedMap

VALIDATION_SLICES = 4
"""Slices of a volume on which the validation loss is computed: some losses take longer than a prediction."""

PICTURES_TOGETHER = 8
"""Images of one slice and one size that enter the network together: one by one they take a third longer."""


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
    augmented labels). `augment` is ours, and `own_augmentation` one of the user's after it. `foreground` is
    the share of foreground oversampling. `residency` says where the training slices live, which changes no
    batch (`data.sampling.residency`). Sample numbers follow from epoch and batch number, so a resumed run
    sees the batches that it would have seen. Each process of `world` gets its share of a batch and every so
    many-th volume. `pixels` names prepared files of the cases that are cut and warped along with the map
    (`preprocessing.pixel_files`). `curve_cases` bounds the volumes that are validated while it trains
    (`data.split.spread`), until `measure_all` is called. `workers` processes compute distances, once.
    `data_seconds` adds up the time that training waited for batches. Raises `DataError` for a split that is
    empty, holds a case without a label, or has fewer volumes to validate on than there are processes.
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
        residency: Residency = "auto",
        curve_cases: int | None = None,
        pixels: str | None = None,
        workers: int = 1,
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
        self.measured_entries = spread(self.val_entries, curve_cases or len(self.val_entries))
        self.world = world
        if len(self.measured_entries) < world.size:
            raise DataError(
                f"{world.size} processes train together: expected at most as many as volumes to validate on, "
                f"got {len(self.measured_entries)} of dataset '{prepared.name}'; start fewer processes"
            )
        self.residency = residency
        self.pixels = pixels
        self.workers = workers
        self.slices: TrainingSlices | None = None
        self.data_seconds = 0.0

    def prepare_data(self) -> None:
        """Compute the distances that the loss's map needs, once per dataset."""
        ensure_distances(self.prepared, self.map_name, self.workers)

    def train_dataloader(self) -> "EpochSteps":
        """The steps of the current epoch; the batches themselves are cut on the device."""
        return EpochSteps(self)

    def val_dataloader(self) -> "VolumeGroups":
        """Numbers of the validation volumes that are this process's; pictures of one size go together."""
        own = range(self.world.rank, len(self.measured_entries), self.world.size)
        return VolumeGroups(_together(self.measured_entries, own))

    @property
    def measures_all(self) -> bool:
        """Whether a validation takes all volumes."""
        return len(self.measured_entries) == len(self.val_entries)

    def measure_all(self) -> None:
        """Have the next validation take all volumes."""
        self.measured_entries = self.val_entries

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave that to `on_after_batch_transfer`, which does not wait for it."""
        return batch

    def on_after_batch_transfer(
        self, batch: Given | list[int], dataloader_idx: int
    ) -> Batch | list[ValidationVolume]:
        """Turn a step into its batch, or volume numbers into the volumes, on the training device."""
        trainer = self.trainer
        assert trainer is not None
        device = trainer.strategy.root_device
        if isinstance(batch, list):
            return [self.volume(self.measured_entries[number], device) for number in batch]
        with self._timed():
            return self.training_batch(batch, device)

    def teardown(self, stage: str) -> None:
        """End the processes that read from disk."""
        if self.slices is not None:
            self.slices.close()

    def training_batch(self, step: Given, device: torch.device) -> Batch:
        """This process's share of the batch of training step `step` (counted over all epochs).

        In full precision, also for who asks for it under autocast.
        """
        has_autocast = torch.amp.is_autocast_available(device.type)  # tensors without values have none
        with torch.autocast(device.type, enabled=False) if has_autocast else nullcontext():
            return self._training_batch(step, device)

    def _training_batch(self, step: Given, device: torch.device) -> Batch:
        slices = self.training_slices(device)
        batch = slices.batch(step)
        if self.own_augmentation is None:
            return batch
        number = step if isinstance(step, int) else step.step
        first = slices.steps.first_sample(number)
        own = uniforms(self.seed, first, 1, stream=OWN_STREAM)[0, 0]
        return self.own_augmentation(batch, int(own * 2**32))

    def training_slices(self, device: torch.device) -> TrainingSlices:
        """The training split, made ready on the first call; `DataError` where it does not fit."""
        if self.slices is None:
            split = Split(self.prepared, self.train_entries, self.map_name, self.rectified, self.pixels)
            share = self.world.share(self.batch_size)
            extent = split.extent(share.stop - share.start, splines=self.augment.spatial is not None)
            steps_of = partial(
                TrainingSteps,
                seed=self.seed,
                batch_size=self.batch_size,
                share=share,
                oversampled=self.oversampled[share],
                patch=self.patch_size,
                augment=self.augment,
                channels=len(self.prepared.channels),
            )
            self.slices = split.open(
                self.residency, device, steps_of, extent, self.masked, self.world.local_size
            )
        return self.slices

    def epoch_steps(self) -> Iterator[Given]:
        """The steps of the current epoch, with what is read for them ahead."""
        trainer = self.trainer
        assert trainer is not None
        with self._timed():
            slices = self.training_slices(trainer.strategy.root_device)
        first = trainer.current_epoch * self.batches_per_epoch
        steps = slices.ahead(range(first, first + self.batches_per_epoch))
        while True:
            with self._timed():
                step = next(steps, None)
            if step is None:
                return
            yield step

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.data_seconds += time.perf_counter() - started

    def volume(self, entry: Entry, device: torch.device) -> ValidationVolume:
        """A whole prepared volume."""
        image = torch.from_numpy(self.prepared.image(entry)).to(device)
        return ValidationVolume(
            entry, image, np.asarray(self.prepared.reference(entry)), self._target(entry, device)
        )

    def _target(self, entry: Entry, device: torch.device) -> Target:
        labels = np.asarray(self.prepared.label(entry))
        slices = sorted({round(z) for z in np.linspace(0, len(labels) - 1, VALIDATION_SLICES)})
        region_map = region_map_of(self.prepared, entry, self.map_name, self.rectified, slices, device)
        return Target(slices, torch.from_numpy(labels[slices]).long().to(device), region_map)


class EpochSteps:
    """What Lightning goes through in each epoch: `data.epoch_steps()`."""

    def __init__(self, data: SliceDataModule) -> None:
        self.data = data

    def __len__(self) -> int:
        return self.data.batches_per_epoch

    def __iter__(self) -> Iterator[Given]:
        return self.data.epoch_steps()


class VolumeGroups:
    """What Lightning goes through in each validation; it would take a list for several of them."""

    def __init__(self, groups: list[list[int]]) -> None:
        self.groups = groups

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.groups)


def augmented(augment: AugmentConfig) -> bool:
    """Whether more is done to a patch than flipping it."""
    return augment.spatial is not None or augment.intensity is not None


def _together(entries: Sequence[Entry], numbers: Iterable[int]) -> list[list[int]]:
    """Neighbours among `numbers` of `entries` in groups, each of one volume, or of pictures of one size."""
    groups: list[list[int]] = []
    for number in numbers:
        shape = entries[number].shape
        fits = groups and len(groups[-1]) < PICTURES_TOGETHER and entries[groups[-1][0]].shape == shape
        if shape[0] == 1 and fits:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups


def _with_labels(prepared: Prepared, split: str) -> list[Entry]:
    entries = prepared.split(split)
    without = [entry.name for entry in entries if not entry.has_label]
    if without:
        raise DataError(
            f"dataset '{prepared.name}' in {prepared.root}: expected a label for every case of the split "
            f"'{split}', found none for {', '.join(without)}; add the labels or move these cases to 'test'"
        )
    return entries
