"""Augmentations that know nothing of rwseg: any callable on a batch of patches."""

import inspect
import random
from collections.abc import Callable
from typing import Any, final

import numpy as np
import torch
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor

from rwseg.core.errors import ConfigError
from rwseg.data.augmentation.config import AugmentConfig
from rwseg.data.case import IGNORE
from rwseg.data.sampling.slice_cache import Batch
from rwseg.maps import RectifiedMap

STREAM = 2
"""The stream of `sampling.patches.uniforms` that seeds are drawn from; boxes have 0, our augmentation 1."""

NOTHING = AugmentConfig(flips=False, spatial=None, intensity=None)
"""What ours does beside one of the user's."""


@final
class OwnAugmentation:
    """A callable `(images, labels) -> (images, labels)`, or with maps as third argument and result.

    It gets images `(B, C, H, W)` float32 and labels `(B, H, W)` int64, 255 where nobody labelled, on the
    training device, and returns both in these shapes. `maps` are the cached region maps as float32
    `(B, M, H, W)` (of rectified ones M is 2: the weight of the true class, and of the others), or None where
    none are cached; they have to move with the labels. Pixel weights of the map are one more channel. Random
    numbers that it draws from the global generators of PyTorch, NumPy and Python follow from the seed and the
    batch's number alone.

    `name` is what messages call it. Raises `ConfigError` for one that takes another number of arguments, or
    no maps although `maps_are_cached` (or pixel weights are), and for a first batch that comes back otherwise
    than said.
    """

    def __init__(
        self, function: Callable[..., Any], name: str, num_classes: int, maps_are_cached: bool
    ) -> None:
        self.function = function
        self.name = name
        self.num_classes = num_classes
        parameters = inspect.signature(function).parameters.values()
        count = sum(one.default is one.empty and one.kind <= one.POSITIONAL_OR_KEYWORD for one in parameters)
        if count not in (2, 3):
            raise ConfigError(
                f"augment: expected {self.name} to take (images, labels) or (images, labels, maps), "
                f"got {count} arguments without a default"
            )
        self.takes_maps = count == 3
        if maps_are_cached and not self.takes_maps:
            raise ConfigError(
                f"augment: {self.name} takes (images, labels), but the loss's maps are cached, or weighed "
                "by pixel, and must move with the labels; let it take and return (images, labels, maps), or "
                "give map.source=online without weights by pixel"
            )
        self.is_checked = False

    def __call__(self, batch: Batch, seed: int) -> Batch:
        """The augmented batch."""
        maps = _stacked(batch)
        given = (batch.image, batch.labels, maps) if self.takes_maps else (batch.image, batch.labels)
        with isolate_rng(include_cuda=batch.image.device.type == "cuda"):
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            made = self.function(*given)
        if not self.is_checked:
            self._check(given, made)
            self.is_checked = True
        image, labels = made[0].float(), made[1].long()
        batch = batch._replace(image=image, labels=labels)
        return batch if maps is None else _unstacked(made[2], batch)

    def _check(self, given: tuple[Tensor | None, ...], made: Any) -> None:
        words = "images, labels, maps" if self.takes_maps else "images, labels"
        if not isinstance(made, tuple | list) or len(made) != len(given):
            raise ConfigError(f"augment: expected {self.name} to return ({words}), got {type(made).__name__}")
        for name, before, after in zip(words.split(", "), given, made, strict=True):
            if _kind(before) != _kind(after):
                raise ConfigError(
                    f"augment: expected {self.name} to return {name} as {_kind(before)}, got {_kind(after)}"
                )
        labels = made[1]
        known = (labels >= 0) & (labels < self.num_classes) | (labels == IGNORE)
        if not known.all():
            raise ConfigError(
                f"augment: expected {self.name} to return labels from 0 to {self.num_classes - 1} "
                f"(or {IGNORE}), got {int(labels[~known][0])}; take care that labels are not interpolated"
            )


def _kind(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{'float' if value.is_floating_point() else 'integer'} {list(value.shape)} on {value.device}"


def _stacked(batch: Batch) -> Tensor | None:
    """The maps of a batch, and its pixel weights after them."""
    own = batch.region_map
    maps = torch.stack([*own], dim=1) if isinstance(own, RectifiedMap) else own
    if batch.pixels is None:
        return maps
    pixels = batch.pixels[:, None]
    return pixels if maps is None else torch.cat([maps, pixels], dim=1)


def _unstacked(maps: Tensor, batch: Batch) -> Batch:
    """`batch` with `maps` as `_stacked` has them."""
    if batch.pixels is not None:
        maps, batch = maps[:, :-1], batch._replace(pixels=maps[:, -1])
    if batch.region_map is None:
        return batch
    is_pair = isinstance(batch.region_map, RectifiedMap)
    return batch._replace(region_map=RectifiedMap(*maps.unbind(1)) if is_pair else maps)
