"""Deep supervision: nnU-Net's weights, nearest targets, one loss per scale."""

import numpy as np
import pytest
import torch
from skimage.transform import resize
from torch import Tensor

from rwseg.losses import (
    DiceLoss,
    RegionMap,
    RegionWiseLoss,
    RRWLoss,
    SegmentationLoss,
    head_weights,
    subsample,
    supervised_loss,
)
from rwseg.maps import RectifiedMap, boundary_map, compact, expand, region_map, rrw_map

FULL, STRIDES = (8, 24), [(1, 1), (2, 2), (4, 8)]


PUBLISHED = {"order": 0, "mode": "edge", "clip": True, "anti_aliasing": False}
"""How the authors' code (nnU-Net's `resize_segmentation`) has scikit-image resize label maps."""


def make() -> tuple[list[Tensor], Tensor]:
    """Logits at three scales, the last pooled unequally, and labels at full resolution."""
    generator = torch.Generator().manual_seed(4)
    labels = torch.randint(0, 3, (2, *FULL), generator=generator, dtype=torch.uint8)
    sizes = [tuple(n // s for n, s in zip(FULL, stride, strict=True)) for stride in STRIDES]
    return [torch.randn(2, 3, *size, generator=generator) for size in sizes], labels


@pytest.mark.parametrize(
    ("heads", "weights"),
    [
        (1, [1]),
        (2, [1, 0]),
        (5, [0.5333, 0.2667, 0.1333, 0.0667, 0]),
        (6, [0.5161, 0.2581, 0.1290, 0.0645, 0.0323, 0]),
    ],
)
def test_head_weights_are_the_published_ones(heads: int, weights: list[float]) -> None:
    assert head_weights(heads) == pytest.approx(weights, abs=5e-5)
    assert sum(head_weights(heads)) == pytest.approx(1)


def test_subsample_takes_the_middle_of_every_window_of_the_trailing_axes() -> None:
    _, labels = make()
    dense = rrw_map(labels, 3)
    coarse = subsample(labels, (4, 8))
    assert torch.equal(coarse, labels[:, [2, 6]][:, :, [4, 12, 20]])
    assert torch.equal(subsample(dense, (4, 8)), dense[:, :, [2, 6]][..., [4, 12, 20]])
    rectified = subsample(compact(dense, labels), (4, 8))
    assert isinstance(rectified, RectifiedMap)
    torch.testing.assert_close(expand(rectified, coarse, 3), subsample(dense, (4, 8)))


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (4, 2), (3, 5), (8, 16), (1, 32)])
def test_subsample_is_the_published_resizing_of_order_0(strides: tuple[int, int]) -> None:
    size = (3 * strides[0], 5 * strides[1])
    labels = torch.randint(0, 4, (2, *size), generator=torch.Generator().manual_seed(1))
    expected = np.stack([resize(plane.astype(float), (3, 5), **PUBLISHED) for plane in labels.numpy()])
    np.testing.assert_array_equal(subsample(labels, strides), expected)
    depth = boundary_map(labels, 4).flatten(end_dim=1).numpy()
    expected = np.stack([resize(plane, (3, 5), **PUBLISHED) for plane in depth])
    np.testing.assert_array_equal(subsample(boundary_map(labels, 4), strides).flatten(end_dim=1), expected)


@pytest.mark.parametrize("length", [8, 9, 10, 11, 12])
def test_a_window_that_is_not_complete_counts_where_it_has_its_middle(length: int) -> None:
    """Of strides of 4: pixels 2, 6 and, from a length of 11, 10."""
    row = torch.arange(length).expand(1, 4, length)
    found = subsample(row, (4, 4))
    assert found.tolist() == [[[2, 6] if length < 11 else [2, 6, 10]]]
    complete = length // 4 * 4
    by_skimage = resize(row[0, :, :complete].numpy().astype(float), (1, complete // 4), **PUBLISHED)
    np.testing.assert_array_equal(found[0, :, : complete // 4], by_skimage)


@pytest.mark.parametrize(
    "loss", [DiceLoss(), RRWLoss(), RegionWiseLoss("boundary")], ids=["dice", "rrw", "boundary"]
)
@pytest.mark.parametrize("given", ["no map", "dense", "compact"])
def test_equals_the_weighted_sum_over_scales(loss: SegmentationLoss, given: str) -> None:
    outputs, labels = make()
    z: RegionMap | None = None if given == "no map" else region_map(loss.map_name or "rrw", labels, 3)
    if isinstance(z, Tensor) and given == "compact":
        z = compact(z, labels)
    weights = (0.5, 0.3, 0.2)
    expected = torch.zeros(())
    for logits, weight, (a, b) in zip(outputs, weights, STRIDES, strict=True):
        scaled = z
        if isinstance(z, RectifiedMap):
            scaled = RectifiedMap(*(part[:, a // 2 :: a, b // 2 :: b] for part in z))
        elif z is not None:
            scaled = z[..., a // 2 :: a, b // 2 :: b]
        expected = expected + weight * loss(logits, labels[:, a // 2 :: a, b // 2 :: b], scaled)
    torch.testing.assert_close(supervised_loss(loss, outputs, labels, z, weights=weights), expected)


def test_heads_of_weight_0_are_not_computed() -> None:
    outputs, labels = make()
    broken = [*outputs[:2], torch.full((2, 3, 5, 7), float("nan"))]
    value = supervised_loss(RRWLoss(), broken, labels, weights=head_weights(3))
    expected = (2 * RRWLoss()(outputs[0], labels) + RRWLoss()(outputs[1], labels[:, 1::2, 1::2])) / 3
    torch.testing.assert_close(value, expected)


def test_one_head_in_3d_is_the_loss_itself() -> None:
    labels = torch.randint(0, 2, (2, 4, 6, 8), generator=torch.Generator().manual_seed(0))
    logits = torch.randn(2, 2, 4, 6, 8, generator=torch.Generator().manual_seed(1))
    value = supervised_loss(DiceLoss(), [logits], labels, weights=head_weights(1))
    assert torch.equal(value, DiceLoss()(logits, labels))


def test_wrong_input_is_refused() -> None:
    outputs, labels = make()
    with pytest.raises(ValueError, match=r"one per output \(3\), not all 0, got \(1.0,\)"):
        supervised_loss(DiceLoss(), outputs, labels, weights=(1.0,))
    with pytest.raises(ValueError, match="not all 0"):
        supervised_loss(DiceLoss(), outputs[:1], labels, weights=(0.0,))
    with pytest.raises(ValueError, match=r"divides the labels' \(8, 24\), got a head of \(5, 24\)"):
        supervised_loss(DiceLoss(), [torch.zeros(2, 3, 5, 24)], labels, weights=(1.0,))
    with pytest.raises(ValueError, match=r"got a head of \(8,\)"):
        supervised_loss(DiceLoss(), [torch.zeros(2, 3, 8)], labels, weights=(1.0,))
    with pytest.raises(ValueError, match="num_heads: expected at least 1, got 0"):
        head_weights(0)
