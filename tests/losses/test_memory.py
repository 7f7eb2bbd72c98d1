"""The rectified form: beside logits, softmax and gradient its memory does not grow with the classes."""

import pytest
import torch
from live_bytes import LiveBytes
from torch import Tensor

from rwseg.losses import ConstantMapLoss, RegionWiseLoss, RRWLoss, SegmentationLoss
from rwseg.losses.region_wise import LINEAR_MAP_NAMES
from rwseg.maps import RECTIFIED_MAP_NAMES, compact, rectified_region_map, region_map

SHAPE = (2, 30, 44)
PIXELS = 2 * 30 * 44
CLASSES = (3, 4, 20)


def make(classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, SHAPE, generator=generator)
    return torch.randn(SHAPE[0], classes, *SHAPE[1:], generator=generator).requires_grad_(), labels


@pytest.mark.parametrize("name", LINEAR_MAP_NAMES)
def test_rectified_loss_saves_one_copy_of_the_logits_and_nothing_else_that_grows(name: str) -> None:
    def saved_beside_the_logits(classes: int) -> int:
        logits, labels = make(classes)
        saved: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        loss = RegionWiseLoss(name, rectify=True)
        given = compact(region_map(name, labels, classes), labels)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss(logits, labels, given).backward()
        return sum(saved.values()) - logits.nbytes

    # int64 labels and one float32 weight; compare: cross entropy saves the labels and the log-softmax
    assert [saved_beside_the_logits(classes) for classes in CLASSES] == [12 * PIXELS] * 3


@pytest.mark.parametrize("precomputed", [True, False], ids=["map precomputed", "map computed"])
@pytest.mark.parametrize(
    "loss", [RRWLoss(), RegionWiseLoss("active_contour"), ConstantMapLoss()], ids=["rrw", "rw_ac", "constant"]
)
def test_peak_of_a_step_is_softmax_and_gradient_and_what_no_class_adds_to(
    loss: SegmentationLoss, precomputed: bool
) -> None:
    def peak_beside_softmax_and_gradient(classes: int) -> int:
        logits, labels = make(classes)
        given = rectified_region_map(loss.map_name or "rrw", labels, classes) if precomputed else None
        with LiveBytes() as memory:
            loss(logits, labels, given).backward()
        return memory.peak - 2 * logits.nbytes

    few, *more = (peak_beside_softmax_and_gradient(classes) for classes in CLASSES)
    assert few <= 40 * PIXELS
    # An RRW map keeps one maximum per item and class.
    assert all(abs(peak - few) <= 32 * SHAPE[0] * max(CLASSES) for peak in more)


@pytest.mark.parametrize("name", RECTIFIED_MAP_NAMES)
def test_rectified_maps_are_made_without_their_channels(name: str) -> None:
    _, labels = make(3)
    with LiveBytes() as memory:
        rectified_region_map(name, labels, 100)
    assert memory.peak <= 40 * PIXELS < 4 * 100 * PIXELS
