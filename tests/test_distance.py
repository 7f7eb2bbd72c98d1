"""Distances against SciPy, class by class, and the defined cases that SciPy leaves undefined."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from rwseg.distance import inside_distance, outside_distances

GRIDS = {
    "2d": ((2, 7, 12), None),
    "2d-anisotropic": ((2, 7, 12), (1.5, 0.75)),
    "3d": ((2, 4, 9, 6), None),
    "3d-anisotropic": ((2, 4, 9, 6), (10.0, 1.37, 1.37)),
    "single-row": ((1, 1, 9), (3.0, 0.5)),
}


def blobs(shape: tuple[int, ...], classes: int = 4, seed: int = 0) -> Tensor:
    """Labels in patches of two pixels, so that classes have an inside."""
    coarse = np.random.default_rng(seed).integers(0, classes, [shape[0], *(-(-n // 2) for n in shape[1:])])
    for axis in range(1, len(shape)):
        coarse = coarse.repeat(2, axis)
    return torch.from_numpy(coarse[tuple(slice(n) for n in shape)].copy())


def scipy_inside(labels: np.ndarray, spacing: tuple[float, ...] | None) -> np.ndarray:
    distance = np.ones(labels.shape)
    for item, result in zip(labels, distance, strict=True):
        for k in np.unique(item):
            if (item != k).any():
                result[item == k] = distance_transform_edt(item == k, sampling=spacing)[item == k]
    return distance


def scipy_outside(labels: np.ndarray, classes: int, spacing: tuple[float, ...] | None) -> np.ndarray:
    distance = np.zeros((len(labels), classes, *labels.shape[1:]))
    for item, result in zip(labels, distance, strict=True):
        for k in np.unique(item):
            result[k] = distance_transform_edt(item != k, sampling=spacing)
    return distance


@pytest.mark.parametrize(("shape", "spacing"), GRIDS.values(), ids=GRIDS)
def test_distances_equal_scipy_per_class(shape: tuple[int, ...], spacing: tuple[float, ...] | None) -> None:
    labels = blobs(shape)
    inside, outside = inside_distance(labels, spacing), outside_distances(labels, 5, spacing)
    assert inside.dtype == outside.dtype == torch.float32
    assert outside.shape == (shape[0], 5, *shape[1:])
    np.testing.assert_allclose(inside, scipy_inside(labels.numpy(), spacing), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(outside, scipy_outside(labels.numpy(), 5, spacing), rtol=1e-5, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    labels=hnp.arrays(np.int64, st.tuples(*[st.integers(1, 6)] * 3), elements=st.integers(0, 3)),
    spacing=st.tuples(*[st.floats(0.1, 10)] * 2),
)
def test_any_small_label_map_equals_scipy(labels: np.ndarray, spacing: tuple[float, float]) -> None:
    inside = inside_distance(torch.from_numpy(labels), spacing)
    outside = outside_distances(torch.from_numpy(labels), 4, spacing)
    np.testing.assert_allclose(inside, scipy_inside(labels, spacing), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(outside, scipy_outside(labels, 4, spacing), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [0, 2])
def test_item_of_one_class_is_1_inside_and_0_outside(value: int) -> None:
    labels = torch.full((2, 5, 8), value)
    labels[1, 2, 3] = 1  # the second item is ordinary and must not be touched
    assert inside_distance(labels)[0].eq(1).all()
    assert inside_distance(labels)[1].max() > 1
    assert outside_distances(labels, 3)[0].eq(0).all()


def test_one_pixel_structure() -> None:
    labels = torch.zeros(1, 5, 9, dtype=torch.uint8)
    labels[0, 1, 6] = 1
    rows, columns = torch.meshgrid(torch.arange(5), torch.arange(9), indexing="ij")
    distance = torch.hypot((rows - 1) * 3.0, (columns - 6) * 2.0)
    torch.testing.assert_close(outside_distances(labels, 2, (3.0, 2.0))[0, 1], distance)
    assert inside_distance(labels, (3.0, 2.0))[0, 1, 6] == 2.0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_integer_types_and_memory_layouts_agree(dtype: torch.dtype) -> None:
    labels = blobs((2, 6, 9))
    transposed = labels.to(dtype).transpose(1, 2).contiguous().transpose(1, 2)
    assert not transposed.is_contiguous()
    torch.testing.assert_close(inside_distance(transposed), inside_distance(labels))
    torch.testing.assert_close(outside_distances(transposed, 4), outside_distances(labels, 4))


def test_largest_label_of_each_type_is_a_class_like_any_other() -> None:
    small = torch.tensor([[[0, 0, 1, 1, 1]]])
    for dtype in (torch.uint8, torch.int8):
        large = (small * torch.iinfo(dtype).max).to(dtype)
        torch.testing.assert_close(inside_distance(large), inside_distance(small))


def test_items_of_a_batch_are_independent() -> None:
    labels = blobs((3, 8, 5))
    torch.testing.assert_close(inside_distance(labels), torch.cat([inside_distance(x[None]) for x in labels]))
    alone = torch.cat([outside_distances(x[None], 4) for x in labels])
    torch.testing.assert_close(outside_distances(labels, 4), alone)


@pytest.mark.parametrize(
    ("labels", "spacing", "message"),
    [
        (torch.zeros(1, 4, 4), None, "integer"),
        (torch.zeros(4, 4, dtype=torch.long), None, r"\(B, H, W\)"),
        (torch.full((1, 4, 4), -1), None, "expected values"),
        (torch.zeros(1, 4, 4, dtype=torch.long), (1.0, 1.0, 1.0), "expected 2 values"),
        (torch.zeros(1, 4, 4, dtype=torch.long), (1.0, 0.0), "positive"),
    ],
)
def test_wrong_input_is_refused(labels: Tensor, spacing: tuple[float, ...] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inside_distance(labels, spacing)
    with pytest.raises(ValueError, match=message):
        outside_distances(labels, 3, spacing)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_distances_stay_on_the_device_of_the_labels() -> None:
    labels = blobs((2, 7, 12))
    for distances in (inside_distance(labels.cuda()), outside_distances(labels.cuda(), 4)):
        assert distances.device.type == "cuda"
    torch.testing.assert_close(inside_distance(labels.cuda()).cpu(), inside_distance(labels))
