"""Augmentations of the user's: what they get and return, and that they leave a run repeatable."""

import random
from collections.abc import Callable
from typing import Any

import mine
import numpy as np
import pytest
import torch
from small_batches import CPU, equal, make_module, tensors

from rwseg.core.errors import ConfigError
from rwseg.data.augmentation.own import NOTHING, OwnAugmentation
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.data.sampling.slice_cache import Batch
from rwseg.maps import RectifiedMap


def batches(small: Prepared, function: Callable[..., Any], **changes: Any) -> list[Batch]:
    maps = changes.get("map_name", "rrw") is not None and changes.get("source") != "online"
    own = OwnAugmentation(function, "mine.it", len(small.classes), maps)
    module = make_module(small, augment=NOTHING, own_augmentation=own, **changes)
    return [module.training_batch(step, CPU) for step in range(3)]


MAPS = [("rrw", True), ("boundary", False), ("boundary", True), (None, False)]


@pytest.mark.parametrize(("map_name", "rectified"), MAPS)
def test_maps_move_with_the_labels(small: Prepared, map_name: str | None, rectified: bool) -> None:
    module = make_module(small, augment=NOTHING, map_name=map_name, rectified=rectified)
    flipped = batches(small, mine.Flip(), map_name=map_name, rectified=rectified)
    for step, found in enumerate(flipped):
        plain = module.training_batch(step, CPU)
        assert isinstance(found.region_map, type(plain.region_map))
        for one, other in zip(tensors(found), tensors(plain), strict=True):
            assert torch.equal(one, other.flip(-1))


def test_without_cached_maps_labels_alone_are_enough(small: Prepared) -> None:
    found = batches(small, mine.shifted, source="online")[0]
    plain = make_module(small, augment=NOTHING, source="online").training_batch(0, CPU)
    assert torch.equal(found.labels, plain.labels.roll(1, -1))
    assert found.region_map is None
    with pytest.raises(
        ConfigError, match=r"augment: mine.it takes \(images, labels\), .* give map.source=online"
    ):
        batches(small, mine.shifted)


def drawing(images: torch.Tensor, labels: torch.Tensor, maps: Any) -> tuple[Any, ...]:
    return images + torch.rand(()) + np.random.rand() + random.random(), labels, maps


def test_what_it_draws_follows_from_seed_and_batch_and_disturbs_nothing(small: Prepared) -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    first = batches(small, drawing)
    assert torch.equal(torch.rand(2), expected)
    assert all(equal(*pair) for pair in zip(first, batches(small, drawing), strict=True))
    other = batches(small, drawing, seed=12)
    shift = [
        (one.image - two.image).flatten() for one, two in zip(first, batches(small, mine.Flip()), strict=True)
    ]
    assert not torch.equal(shift[0], shift[1])
    assert not equal(first[0], other[0])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x, "to take .images, labels. or .images, labels, maps., got 1 arguments"),
        (lambda x, y, m: x, "to return .images, labels, maps., got Tensor"),
        (lambda x, y, m: (x, y), "to return .images, labels, maps., got tuple"),
        (lambda x, y, m: (x[..., 1:], y, m), "to return images as float .5, 2, 8, 6. on cpu, got float"),
        (lambda x, y, m: (x, y.float(), m), "to return labels as integer .5, 8, 6. on cpu, got float"),
        (lambda x, y, m: (x, y + 7, m), "to return labels from 0 to 3 .or 255., got "),
        (lambda x, y, m: (x, y, m[:, :1]), "to return maps as float .5, 2, 8, 6. on cpu, got float"),
    ],
)  # fmt: skip
def test_what_comes_back_otherwise_is_refused_in_a_sentence(
    small: Prepared, function: Callable[..., Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"augment: expected mine.it {message}"):
        batches(small, function)


def test_rectified_maps_are_two_channels(small: Prepared) -> None:
    seen: list[torch.Tensor] = []

    def kept(images: torch.Tensor, labels: torch.Tensor, maps: torch.Tensor) -> tuple[torch.Tensor, ...]:
        seen.append(maps)
        return images, labels, maps

    found = batches(small, kept)[0]
    assert isinstance(found.region_map, RectifiedMap)
    assert torch.equal(seen[0], torch.stack([*found.region_map], dim=1))
