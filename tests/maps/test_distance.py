"""Distances against SciPy, class by class, and the defined cases that SciPy leaves undefined."""

from typing import get_args

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from label_maps import blobs, structure
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from rwseg.maps.distance import Backend, inside_distance, outside_distances, signed_distances

BACKENDS: tuple[Backend, ...] = get_args(Backend)
GRIDS = {
    "2d": ((2, 7, 12), None),
    "2d-anisotropic": ((2, 7, 12), (1.5, 0.75)),
    "3d": ((2, 4, 9, 6), None),
    "3d-anisotropic": ((2, 4, 9, 6), (10.0, 1.37, 1.37)),
    "single-row": ((1, 1, 9), (3.0, 0.5)),
    "single-column": ((2, 11, 1), None),
}

every_backend = pytest.mark.parametrize("backend", BACKENDS)


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


def assert_equals_scipy(labels: Tensor, spacing: tuple[float, ...] | None, backend: Backend) -> None:
    inside = inside_distance(labels, spacing, backend)
    outside = outside_distances(labels, 5, spacing, backend)
    signed = signed_distances(labels, 5, spacing, backend)
    assert inside.dtype == outside.dtype == signed.dtype == torch.float32
    assert outside.is_contiguous()
    expected_inside = scipy_inside(labels.numpy(), spacing)
    expected = scipy_outside(labels.numpy(), 5, spacing)
    np.testing.assert_allclose(inside, expected_inside, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(outside, expected, rtol=1e-6, atol=1e-5)
    np.put_along_axis(expected, labels.numpy()[:, None], -expected_inside[:, None], axis=1)
    np.testing.assert_allclose(signed, expected, rtol=1e-6, atol=1e-5)


@every_backend
@pytest.mark.parametrize(("shape", "spacing"), GRIDS.values(), ids=GRIDS)
def test_distances_equal_scipy_per_class(
    shape: tuple[int, ...], spacing: tuple[float, ...] | None, backend: Backend
) -> None:
    assert_equals_scipy(blobs(shape), spacing, backend)


@every_backend
@pytest.mark.parametrize("spacing", [None, (0.7, 2.2)])
@pytest.mark.parametrize("name", ["empty", "full", "line", "diagonal", "corner", "hole", "checks"])
def test_thin_and_degenerate_structures(
    name: str, spacing: tuple[float, float] | None, backend: Backend
) -> None:
    assert_equals_scipy(structure(name), spacing, backend)


@every_backend
@settings(max_examples=60, deadline=None)
@given(
    labels=hnp.arrays(np.int64, st.tuples(*[st.integers(1, 6)] * 3), elements=st.integers(0, 3)),
    spacing=st.tuples(*[st.floats(0.1, 10)] * 2),
)
def test_any_small_label_map_equals_scipy(
    labels: np.ndarray, spacing: tuple[float, float], backend: Backend
) -> None:
    assert_equals_scipy(torch.from_numpy(labels), spacing, backend)


@every_backend
def test_large_slice_is_exact_to_a_ten_thousandth_of_a_pixel(backend: Backend) -> None:
    labels = blobs((1, 1200, 1200), classes=3, size=240)
    labels[0, 600, 1100] = 3
    expected = scipy_inside(labels.numpy(), None)
    np.testing.assert_allclose(inside_distance(labels, None, backend), expected, rtol=0, atol=1e-4)
    corner = torch.zeros(1, 1200, 1200, dtype=torch.uint8)
    corner[0, 0, 0] = 1
    far = np.hypot(*np.indices((1200, 1200)))
    ours = outside_distances(corner, 2, None, backend)[0, 1]
    np.testing.assert_allclose(ours, far, rtol=0, atol=1e-4)


def test_anisotropic_distances_of_torch_are_rounded_a_few_times_only() -> None:
    spacing = (0.9765625 * 3, 0.78)
    labels = torch.zeros(1, 900, 700, dtype=torch.uint8)
    labels[0, 3, 5] = 1
    rows, columns = np.indices((900, 700))
    exact = np.hypot((rows - 3) * spacing[0], (columns - 5) * spacing[1])
    np.testing.assert_allclose(outside_distances(labels, 2, spacing, "torch")[0, 1], exact, rtol=2e-7)


@every_backend
def test_volume_of_ordinary_size(backend: Backend) -> None:
    assert_equals_scipy(blobs((1, 9, 96, 61), size=23), (10.0, 1.5625, 1.25), backend)


@every_backend
@pytest.mark.parametrize("at", [(0, 0, 0), (2, 11, 20), (4, 30, 40)], ids=["corner", "middle", "far corner"])
def test_small_structures_in_a_large_background(at: tuple[int, ...], backend: Backend) -> None:
    """Most of the volume is one class, measured in a box; its shortest axis is the first, then the last."""
    labels = torch.zeros(1, 5, 31, 41, dtype=torch.uint8)
    labels[0][tuple(slice(start, start + 4) for start in at)] = 1
    labels[0, 1, 9:12, 17:25] = 2
    labels[0, 1, 10, 18] = 0  # a hole
    assert_equals_scipy(labels, (10.0, 1.25, 1.5), backend)
    assert_equals_scipy(labels.permute(0, 3, 2, 1), (1.5, 1.25, 10.0), backend)
    assert_equals_scipy(labels.permute(0, 2, 1, 3), (1.25, 10.0, 1.5), backend)
    assert_equals_scipy(labels[:, 1], (1.25, 1.5), backend)


def test_threads_do_not_change_distances() -> None:
    labels = blobs((1, 7, 96, 122), size=23)  # large enough for two threads
    one = signed_distances(labels, 4, (10.0, 1.5, 1.25)), inside_distance(labels)
    torch.set_num_threads(2)
    try:
        two = signed_distances(labels, 4, (10.0, 1.5, 1.25)), inside_distance(labels)
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(*pair) for pair in zip(one, two, strict=True))


def test_more_classes_than_a_byte_holds() -> None:
    labels = torch.arange(300).view(1, 15, 20)
    torch.testing.assert_close(inside_distance(labels), torch.ones(1, 15, 20))
    distances = outside_distances(labels, 301)
    torch.testing.assert_close(distances, outside_distances(labels, 301, backend="torch"))
    assert distances[0, 256, 12, 17] == 1  # label 257 beside label 256


@every_backend
@pytest.mark.parametrize("value", [0, 2])
def test_item_of_one_class_is_1_inside_and_0_outside(value: int, backend: Backend) -> None:
    labels = torch.full((2, 5, 8), value)
    labels[1, 2, 3] = 1  # the second item is ordinary and must not be touched
    assert inside_distance(labels, None, backend)[0].eq(1).all()
    assert inside_distance(labels, None, backend)[1].max() > 1
    assert outside_distances(labels, 3, None, backend)[0].eq(0).all()
    signed = signed_distances(labels, 3, None, backend)[0]
    assert all(signed[k].eq(-1 if k == value else 0).all() for k in range(3))


@every_backend
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_integer_types_and_memory_layouts_agree(dtype: torch.dtype, backend: Backend) -> None:
    labels = blobs((2, 6, 9))
    transposed = labels.to(dtype).transpose(1, 2).contiguous().transpose(1, 2)
    assert not transposed.is_contiguous()
    for distances in (inside_distance(transposed, None, backend), inside_distance(labels, None, backend)):
        torch.testing.assert_close(distances, inside_distance(labels))
    torch.testing.assert_close(outside_distances(transposed, 4, None, backend), outside_distances(labels, 4))


@every_backend
def test_largest_label_of_each_type_is_a_class_like_any_other(backend: Backend) -> None:
    small = torch.tensor([[[0, 0, 1, 1, 1]]])
    for dtype in (torch.uint8, torch.int8):
        large = (small * torch.iinfo(dtype).max).to(dtype)
        torch.testing.assert_close(inside_distance(large, None, backend), inside_distance(small))
    channel = outside_distances(large, 128, None, backend)[0, 127]
    assert channel.tolist() == [[2.0, 1.0, 0.0, 0.0, 0.0]]


@every_backend
def test_items_of_a_batch_are_independent(backend: Backend) -> None:
    labels = blobs((3, 8, 5))
    alone = torch.cat([inside_distance(x[None], None, backend) for x in labels])
    assert torch.equal(inside_distance(labels, None, backend), alone)
    alone = torch.cat([outside_distances(x[None], 4, None, backend) for x in labels])
    assert torch.equal(outside_distances(labels, 4, None, backend), alone)


@every_backend
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
def test_wrong_input_is_refused(
    labels: Tensor, spacing: tuple[float, ...] | None, message: str, backend: Backend
) -> None:
    with pytest.raises(ValueError, match=message):
        inside_distance(labels, spacing, backend)
    for transform in (outside_distances, signed_distances):
        with pytest.raises(ValueError, match=message):
            transform(labels, 3, spacing, backend)


@pytest.mark.cuda
@pytest.mark.parametrize("shape", [(40, 224, 160), (2, 10, 96, 64)], ids=["2d", "3d"])
def test_distances_stay_on_the_device_of_the_labels(shape: tuple[int, ...]) -> None:
    labels = blobs(shape, size=13)
    spacing = (1.5, 0.75, 2.0)[: labels.ndim - 1]
    for transform in (
        lambda x: inside_distance(x, spacing),
        lambda x: outside_distances(x, 4, spacing),
        lambda x: signed_distances(x, 4, spacing),
    ):
        distances = transform(labels.cuda())
        assert distances.device.type == "cuda"
        torch.testing.assert_close(distances.cpu(), transform(labels), rtol=1e-6, atol=1e-5)
