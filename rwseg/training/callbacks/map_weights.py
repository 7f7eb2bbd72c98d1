"""Callbacks that weigh the region maps of training samples, by case, by pixel or by epoch.

A region-wise loss is linear in its map, so the weight of a map is the weight of its loss, and of no other
term: a partner such as Dice is left as it is. Validation has no weights.
"""

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import NamedTuple, final

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from rwseg.core.errors import ConfigError
from rwseg.data.datamodule import SliceDataModule
from rwseg.data.preprocessing.prepared import Entry
from rwseg.data.sampling.slice_cache import Batch
from rwseg.data.sampling.to_device import to_device

Weight = float | Sequence[float]
"""A number, or the first and the last epoch's, between which it goes linearly."""


class Samples(NamedTuple):
    """What weights may depend on: the B samples of a training batch, and the 0-based epoch of `epochs`.

    `cases` are those that the samples are cut from (`name`, `subject`, `group`, ...), `pixels` the numbers of
    the files in `MapWeights.folder`, cut, turned and scaled with the image, on the training device.
    """

    cases: list[Entry]  # B
    pixels: Tensor | None  # (B, H, W) float32
    epoch: int
    epochs: int
    device: torch.device


class MapWeights(pl.Callback):
    """A callback of the group `callbacks` that scales the region map of each training sample.

    Yours says by how much: override `weights`, a function of its arguments alone, so that a resumed run goes
    on as it would have. With `folder` (absolute, or below the dataset's root) the files `<case>.nii.gz` in it
    come along as `Samples.pixels`. Several callbacks multiply; one of them may have a folder.
    """

    folder: str | None = None

    def weights(self, samples: Samples) -> Tensor:
        """The weights `(B,)` or `(B, H, W)` of the samples' maps, on `samples.device`."""
        raise NotImplementedError

    def check(self, cases: Sequence[Entry]) -> None:
        """Raise `ConfigError` where the arguments do not go with the training cases."""


@final
class CaseWeights(MapWeights):
    """Weighs the maps of cases by a table of names of cases, subjects or groups; `others` are not in it.

    A weight is a number of 0 or more, or `[first, last]`: linear from the first epoch to the last one. Of a
    case's name, its subject and its group the first that is in the table counts; without `others` they weigh
    1. Raises `ConfigError` for other weights, and for names that no training case has.
    """

    def __init__(self, weights: Mapping[str, Weight] | None = None, others: Weight | None = None) -> None:
        if not isinstance(weights, Mapping | None):
            raise ConfigError(
                "CaseWeights: weights: expected a table such as {patient002: 0.5, DCM: [1, 0]}, got "
                f"{weights}"
            )
        self.table = {str(name): _span(f"weights.{name}", weight) for name, weight in (weights or {}).items()}
        self.others = _span("others", 1.0 if others is None else others)

    def check(self, cases: Sequence[Entry]) -> None:
        """See `MapWeights`."""
        known = {name for case in cases for name in _names(case)}
        for name in self.table.keys() - known:
            groups = ", ".join(sorted({case.group for case in cases} - {""})) or "none"
            raise ConfigError(
                f"CaseWeights: weights.{name}: expected the name, subject or group of a training case, such "
                f"as {cases[0].name} or {cases[0].subject} (groups: {groups}), got {name!r}"
            )

    def weights(self, samples: Samples) -> Tensor:
        """See `MapWeights`."""
        part = samples.epoch / max(1, samples.epochs - 1)
        spans = [
            next((self.table[name] for name in _names(case) if name in self.table), self.others)
            for case in samples.cases
        ]
        values = [first + (last - first) * part for first, last in spans]
        return to_device(np.array(values, np.float32), samples.device)


@final
class PixelWeights(MapWeights):
    """Weighs the maps of pixels by a file per training case, `folder/<case>.nii.gz`, in its image's grid."""

    def __init__(self, folder: str) -> None:
        if not isinstance(folder, str) or not folder:
            raise ConfigError(f"PixelWeights: folder: expected the folder of the files, got {folder!r}")
        self.folder = folder

    def weights(self, samples: Samples) -> Tensor:
        """See `MapWeights`."""
        assert samples.pixels is not None  # the data module has them where `folder` is given
        return samples.pixels


def batch_weights(trainer: pl.Trainer, batch: Batch) -> Tensor | None:
    """The weights of a batch's map, the product of all callbacks', `(B,)` or `(B, H, W)`; None without any.

    Raises `ConfigError` for weights of another shape.
    """
    callbacks = [one for one in trainer.callbacks if isinstance(one, MapWeights)]  # type: ignore[attr-defined]
    if not callbacks:
        return None
    assert batch.cases is not None
    assert trainer.max_epochs is not None
    data: SliceDataModule = trainer.datamodule  # type: ignore[attr-defined]
    samples = Samples(
        [data.train_entries[number] for number in batch.cases],
        batch.pixels,
        trainer.current_epoch,
        trainer.max_epochs,
        batch.labels.device,
    )
    return reduce(_product, [_checked(one, samples, batch.labels) for one in callbacks])


def _checked(callback: MapWeights, samples: Samples, labels: Tensor) -> Tensor:
    weights = callback.weights(samples)
    shapes = labels.shape[:1], labels.shape
    if not isinstance(weights, Tensor) or weights.shape not in shapes:
        got = tuple(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
        raise ConfigError(
            f"{type(callback).__name__}.weights: expected a tensor of shape {tuple(shapes[0])} or "
            f"{tuple(shapes[1])}, a weight for each sample or pixel, got {got}"
        )
    return weights


def _product(a: Tensor, b: Tensor) -> Tensor:
    one, other = sorted((a, b), key=lambda weights: weights.ndim)
    return one.view(-1, *(1,) * (other.ndim - one.ndim)) * other


def _names(case: Entry) -> tuple[str, str, str]:
    return case.name, case.subject, case.group


def _span(name: str, weight: Weight) -> tuple[float, float]:
    ends = tuple(weight) if isinstance(weight, Sequence) else (weight, weight)
    if len(ends) != 2 or not all(_is_weight(end) for end in ends):
        raise ConfigError(
            f"CaseWeights: {name}: expected a number of 0 or more, or two [first, last], got {weight}"
        )
    return float(ends[0]), float(ends[1])


def _is_weight(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
