"""Every map against its formula, written with SciPy and NumPy class by class."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from rwseg.maps import (
    MAP_NAMES,
    RECTIFIED_MAP_NAMES,
    RectifiedMap,
    active_contour_map,
    boundary_kervadec_map,
    boundary_map,
    compact,
    constant_map,
    expand,
    hausdorff_map,
    is_rectified,
    rectified_region_map,
    rectified_rrw_map,
    rectify,
    region_map,
    rrw_map,
    rrw_weights,
)

K = 4
Spacing = tuple[float, ...] | None
GRIDS: dict[str, tuple[tuple[int, ...], Spacing]] = {
    "2d": ((3, 10, 15), None),
    "2d-anisotropic": ((3, 10, 15), (1.5, 0.7)),
    "3d-anisotropic": ((2, 5, 8, 11), (9.0, 1.4, 1.25)),
}


def scene(shape: tuple[int, ...]) -> Tensor:
    """First item: a box of class 2 in a box of class 1; others: one pixel of class 1. Class 3 is absent."""
    labels = torch.zeros(shape, dtype=torch.long)
    labels[(0, *(slice(1, n - 2) for n in shape[1:]))] = 1
    labels[(0, *(slice(2, n // 2 + 1) for n in shape[1:]))] = 2
    labels[(slice(1, None), *(n // 3 for n in shape[1:]))] = 1
    return labels


def one_hot(labels: Tensor) -> np.ndarray:
    return np.stack([(labels.numpy() == k) for k in range(K)], axis=1)


def scipy_boundary(labels: Tensor, spacing: Spacing) -> np.ndarray:
    """Eq. 3 of classes that are present and do not fill the item."""
    present = one_hot(labels)
    result = np.zeros(present.shape)
    for b, k in np.ndindex(present.shape[:2]):
        mask = present[b, k]
        if mask.any():
            outside = distance_transform_edt(~mask, sampling=spacing)
            result[b, k] = outside - distance_transform_edt(mask, sampling=spacing)
    return result


def published_rrw(labels: Tensor, spacing: Spacing) -> np.ndarray:
    """The published code's steps: distance inside a class over its maximum, negated; zeros become ones."""
    present = one_hot(labels)
    result = np.zeros(present.shape)
    for b, k in np.ndindex(present.shape[:2]):
        if present[b, k].any():
            distance = distance_transform_edt(present[b, k], sampling=spacing)
            result[b, k] = -distance / np.max(distance + 1e-15)
    result[result == 0] = 1
    return result


def published_kervadec(labels: Tensor, spacing: Spacing) -> np.ndarray:
    """The steps of Kervadec's code: distance outside, minus distance inside less 1; absent classes 0."""
    present = one_hot(labels)
    result = np.zeros(present.shape)
    for b, k in np.ndindex(present.shape[:2]):
        inside, outside = present[b, k], ~present[b, k]
        if inside.any():
            result[b, k] = (
                distance_transform_edt(outside, sampling=spacing) * outside
                - (distance_transform_edt(inside, sampling=spacing) - 1) * inside
            )
    return result


@pytest.mark.parametrize(("shape", "spacing"), GRIDS.values(), ids=GRIDS)
def test_maps_equal_their_formulas(shape: tuple[int, ...], spacing: Spacing) -> None:
    labels = scene(shape)
    outside = np.maximum(scipy_boundary(labels, spacing), 0)
    expected = {
        "active_contour": (active_contour_map(labels, K), 1.0 - one_hot(labels)),
        "constant": (constant_map(labels, K, 0.5, 2.0), np.where(one_hot(labels), 0.5, -2.0)),
        "boundary": (boundary_map(labels, K, spacing), scipy_boundary(labels, spacing)),
        "hausdorff": (hausdorff_map(labels, K, 1.5, spacing), outside**1.5),
        "rrw": (rrw_map(labels, K, spacing), published_rrw(labels, spacing)),
    }
    for name, (ours, formula) in expected.items():
        assert ours.dtype == torch.float32, name
        np.testing.assert_allclose(ours, formula, rtol=2e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("shape", [(3, 10, 15), (2, 5, 8, 11)], ids=["2d", "3d"])
def test_kervadecs_map_is_the_published_one_in_pixels_and_scales_with_them(shape: tuple[int, ...]) -> None:
    labels = scene(shape)
    pixels = boundary_kervadec_map(labels, K)
    np.testing.assert_allclose(pixels, published_kervadec(labels, None), rtol=1e-5, atol=1e-5)
    for size in (0.3, 1.7):
        scaled = boundary_kervadec_map(labels, K, (size,) * len(shape[1:]))
        torch.testing.assert_close(scaled, size * pixels, rtol=1e-5, atol=1e-5)


def test_kervadecs_map_never_punishes_the_true_class_where_the_published_one_does() -> None:
    labels, spacing = scene((3, 10, 15)), (0.8, 0.5)
    true = torch.from_numpy(one_hot(labels))
    ours, published = boundary_kervadec_map(labels, K, spacing), published_kervadec(labels, spacing)
    assert published[one_hot(labels)].max() > 0
    assert ours[true].max() == 0
    torch.testing.assert_close(ours[~true], boundary_map(labels, K, spacing)[~true])
    torch.testing.assert_close(
        ours[true], (boundary_map(labels, K, spacing)[true] + 0.5).clamp(max=0), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("name", MAP_NAMES)
@pytest.mark.parametrize("thickness", [0.1, 1.0, 7.0])
def test_the_thickness_of_a_single_slice_changes_no_map(name: str, thickness: float) -> None:
    labels, spacing = scene((3, 10, 15)), (0.8, 0.5)
    volume = region_map(name, labels[:, None], K, (thickness, *spacing))
    torch.testing.assert_close(volume[:, :, 0], region_map(name, labels, K, spacing), rtol=1e-5, atol=1e-6)


def test_spacing_of_none_is_pixels() -> None:
    labels = scene((3, 10, 15))
    for name in MAP_NAMES:
        assert torch.equal(region_map(name, labels, K), region_map(name, labels, K, (1.0, 1.0)))


def test_golden_rrw_map_of_one_row() -> None:
    labels = torch.tensor([[[0, 0, 0, 1, 1, 0]]])
    golden = [[-1, -2 / 3, -1 / 3, 1, 1, -1 / 3], [1, 1, 1, -1, -1, 1], [1] * 6]
    torch.testing.assert_close(rrw_map(labels, 3)[0, :, 0], torch.tensor(golden))


@pytest.mark.parametrize(
    ("builder", "absent", "full"),
    [
        (active_contour_map, 1, 0),
        (boundary_map, 0, -1),
        (boundary_kervadec_map, 0, -1),
        (hausdorff_map, 0, 0),
        (rrw_map, 1, -1),
    ],
)
@pytest.mark.parametrize("filling", [0, 2])
def test_absent_and_filling_classes_are_defined(
    builder: Callable[[Tensor, int], Tensor], absent: float, full: float, filling: int
) -> None:
    z = builder(torch.full((1, 5, 8), filling), 3)
    for k in range(3):
        assert z[0, k].eq(full if k == filling else absent).all()


@pytest.mark.parametrize("name", MAP_NAMES)
def test_batch_equals_items_one_by_one(name: str) -> None:
    labels = torch.cat([scene((3, 10, 15)), torch.zeros(1, 10, 15, dtype=torch.long)])
    alone = torch.cat([region_map(name, item[None], K) for item in labels])
    assert torch.equal(region_map(name, labels, K), alone)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
@pytest.mark.parametrize("name", MAP_NAMES)
def test_integer_types_agree(name: str, dtype: torch.dtype) -> None:
    labels = scene((2, 10, 15))
    assert torch.equal(region_map(name, labels.to(dtype), K), region_map(name, labels, K))
    for part, same in zip(
        rectified_region_map(name, labels.to(dtype), K), rectified_region_map(name, labels, K), strict=True
    ):
        assert torch.equal(part, same)


@pytest.mark.parametrize("name", RECTIFIED_MAP_NAMES)
def test_compact_form_of_rectified_maps_is_the_dense_map(name: str) -> None:
    labels = scene((2, 5, 8, 11))
    dense = region_map(name, labels, K, (9.0, 1.4, 1.25))
    rectified = rectified_region_map(name, labels, K, (9.0, 1.4, 1.25))
    assert is_rectified(dense, labels)
    assert torch.equal(expand(rectified, labels, K), dense)
    for part, same in zip(compact(dense, labels), rectified, strict=True):
        torch.testing.assert_close(part, same)


def test_rectify_averages_the_wrong_classes_and_keeps_the_true_one() -> None:
    labels = scene((3, 10, 15))
    dense = torch.randn(3, K, 10, 15, generator=torch.Generator().manual_seed(0))
    before, true = dense.clone(), torch.from_numpy(one_hot(labels))
    others = (dense * ~true).sum(1, keepdim=True) / (K - 1)
    torch.testing.assert_close(rectify(dense, labels), torch.where(true, dense, others))
    assert torch.equal(dense, before)
    torch.testing.assert_close(rectify(rectify(dense, labels), labels), rectify(dense, labels))


@pytest.mark.parametrize("name", sorted(set(MAP_NAMES) - set(RECTIFIED_MAP_NAMES)))
def test_other_maps_are_not_rectified_until_rectify(name: str) -> None:
    labels = scene((3, 10, 15))
    dense = region_map(name, labels, K)
    assert not is_rectified(dense, labels)
    assert is_rectified(rectify(dense, labels), labels)
    compacted = rectified_region_map(name, labels, K)
    torch.testing.assert_close(expand(compacted, labels, K), rectify(dense, labels))


@pytest.mark.parametrize("name", MAP_NAMES)
def test_two_classes_are_always_rectified(name: str) -> None:
    labels = scene((3, 10, 15)).clamp(max=1)
    dense = region_map(name, labels, 2)
    assert is_rectified(dense, labels)
    assert torch.equal(rectify(dense, labels), dense)


@pytest.mark.parametrize(
    ("inside", "outside", "answer"),
    [
        (-1.0, (1.0, 1.0), True),
        (0.0, (0.0, 0.0), True),
        (-1.0, (1.0, 1.1), False),
        (0.5, (1.0, 1.0), False),
        (-1.0, (-0.5, -0.5), False),
        (float("nan"), (1.0, 1.0), False),
    ],
)
def test_is_rectified_asks_for_equal_wrong_classes_and_the_right_signs(
    inside: float, outside: tuple[float, float], answer: bool
) -> None:
    labels = torch.tensor([[[0, 1, 2]]])
    dense = torch.ones(1, 3, 1, 3).scatter(1, labels[:, None], -1.0)
    dense[0, :, 0, 1] = torch.tensor([outside[0], inside, outside[1]])
    assert is_rectified(dense, labels) is answer


def test_constant_map_as_printed_rewards_errors() -> None:
    labels = scene((1, 10, 15))
    printed = constant_map(labels, K, alpha=1.0, beta=2.0)
    right, wrong = (torch.from_numpy(one_hot(x)).float() for x in (labels, (labels + 1) % K))
    assert (wrong * printed).mean() < (right * printed).mean()
    assert not is_rectified(printed, labels)
    corrected = constant_map(labels, K, alpha=-1.0, beta=-2.0)
    assert (wrong * corrected).mean() > (right * corrected).mean()
    assert is_rectified(corrected, labels)


def test_rrw_weights_of_cached_distances() -> None:
    labels = torch.tensor([[[0, 0, 1]], [[1, 1, 1]]], dtype=torch.uint8)
    distance = torch.tensor([[[4.0, 2.0, 3.0]], [[0.0, 0.0, 0.0]]])
    weights = rrw_weights(distance, labels, 2)
    torch.testing.assert_close(weights, torch.tensor([[[-1.0, -0.5, -1.0]], [[0.0, 0.0, 0.0]]]))


LABELS = torch.zeros(2, 4, 6, dtype=torch.long)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: rrw_map(torch.full((1, 4, 6), 3), 3), r"values in \[0, 3\)"),
        (lambda: boundary_map(LABELS - 1, 3), r"got values in \[-1, -1\]"),
        (lambda: active_contour_map(LABELS.float(), 3), "integer tensor"),
        (lambda: constant_map(LABELS[0], 3, 1.0, 1.0), "batch axis"),
        (lambda: rectified_rrw_map(LABELS, 3, (1.0,)), "expected 2 values"),
        (lambda: region_map("active_contour", LABELS, 3, (1.0, 1.0, 1.0)), "expected 2 values"),
        (lambda: hausdorff_map(LABELS, 3, alpha=0.0), "positive exponent"),
        (lambda: hausdorff_map(LABELS, 3, alpha=float("inf")), "got inf"),
        (lambda: rectified_region_map("active_contour", LABELS + 3, 3), r"values in \[0, 3\)"),
        (lambda: rectified_region_map("active_contour", LABELS, 3, (1.0,)), "expected 2 values"),
        (lambda: boundary_kervadec_map(LABELS, 3, (1.0,)), "expected 2 values"),
        (lambda: boundary_kervadec_map(LABELS + 3, 3), r"values in \[0, 3\)"),
        (lambda: rrw_map(LABELS, 1), "at least 2"),
        (lambda: region_map("rwr", LABELS, 3), "boundary_kervadec, hausdorff, rrw, skeleton, got 'rwr'"),
        (lambda: rectified_region_map("rwr", LABELS, 3), "got 'rwr'"),
        (lambda: rectify(torch.zeros(2, 3, 6, 4), LABELS), r"labels \(2, 4, 6\), got \(2, 3, 6, 4\)"),
        (lambda: is_rectified(torch.zeros(2, 4, 6), LABELS), "region map: expected shape"),
        (lambda: rrw_weights(torch.ones(2, 4), LABELS, 3), "distance: expected the shape"),
        (lambda: expand(RectifiedMap(LABELS, LABELS[:1]), LABELS, 3), "outside: expected the shape"),
    ],
)
def test_wrong_input_is_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
