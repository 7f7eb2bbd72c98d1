"""Emphasis maps against their formulas, by hand and with SciPy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from compositions import SCENES, K, scene
from scipy.ndimage import distance_transform_edt, label
from skimage.morphology import skeletonize
from torch import Tensor

from rwseg.maps import border_between_instances, edge_emphasis, skeleton

places = pytest.mark.parametrize("place", SCENES)


def inside(item: np.ndarray, spacing: tuple[float, ...] | None) -> np.ndarray:
    """Distance to the nearest pixel of another class."""
    result = np.zeros(item.shape)
    for k in np.unique(item):
        own = item == k
        result[own] = distance_transform_edt(own, sampling=spacing)[own]
    return result


@places
def test_edge_emphasis_falls_with_the_distance_to_the_border(place: str) -> None:
    labels, spacing = scene(place), SCENES[place][1]
    z = edge_emphasis(labels, K, width=2.5, spacing=spacing)
    for item, weights in zip(labels[:-1].numpy(), z.inside, strict=False):
        np.testing.assert_allclose(weights, -np.exp(-inside(item, spacing) / 2.5), rtol=1e-5)
    assert (z.inside[-1] == 0).all()  # one class: no border
    assert (z.outside == 1).all()


@places
def test_skeleton_weighs_the_centreline_fully_and_the_border_least(place: str) -> None:
    labels, spacing = scene(place), SCENES[place][1]
    z = skeleton(labels, K, spacing)
    for item, weights in zip(labels[:-1].numpy(), z.inside.numpy(), strict=False):
        d = inside(item, spacing)
        background = item == 0
        np.testing.assert_allclose(weights[background], -(d / d[background].max())[background], rtol=1e-5)
        for k in np.unique(item[~background]):
            own = item == k
            line = skeletonize(own, method="lee") > 0
            s = distance_transform_edt(~line, sampling=spacing)
            kept = own & (line | (s > 0)) & _with_line(own, line)
            np.testing.assert_allclose(weights[kept], (-d / (d + s))[kept], rtol=1e-5)
            assert (weights[own & line] == -1).all()
    assert (z.inside[-1] == -1).all()
    assert (z.outside == 1).all()


def _with_line(own: np.ndarray, line: np.ndarray) -> np.ndarray:
    """True, if thinning left something of every component; else nothing of the class is compared."""
    components, count = label(own, np.ones([3] * own.ndim))
    return np.full(own.shape, all((line & (components == n)).any() for n in range(1, count + 1)))


def test_a_thin_branch_weighs_as_much_as_the_trunk_where_rrw_forgets_it() -> None:
    labels = torch.zeros(1, 21, 40, dtype=torch.long)
    labels[0, 4:17, 2:15] = 1
    labels[0, 10, 15:38] = 1  # a branch of one pixel
    assert (skeleton(labels, 2).inside[0, 10, 15:38] == -1).all()
    assert (skeleton(labels, 2).inside[0, 4, 2:15] > -0.5).all()


def test_what_thinning_erases_is_its_own_centreline() -> None:
    labels = torch.zeros(1, 6, 6, 9, dtype=torch.long)
    labels[0, 2:4, 2:4, 2:4] = 1
    labels[0, 2:4, 2:4, 6:8] = 1
    assert not skeletonize(labels[0].numpy() == 1, method="lee").any()
    assert (skeleton(labels, 2).inside[labels == 1] == -1).all()


@places
def test_border_between_instances_is_that_of_the_u_net(place: str) -> None:
    labels, spacing = scene(place), SCENES[place][1]
    z = border_between_instances(labels, K, w0=4.0, sigma=2.0, spacing=spacing)
    for item, weights in zip(labels.numpy(), z.outside, strict=True):
        distances = []
        for k in range(1, K):
            components, count = label(item == k)
            for number in range(1, count + 1):
                distances.append(distance_transform_edt(components != number, sampling=spacing))
        assert (len(distances) > 1) == (len(np.unique(item)) > 1)
        expected = np.ones(item.shape)
        if len(distances) > 1:
            first, second = np.sort(distances, axis=0)[:2]
            expected += 4 * np.exp(-((first + second) ** 2) / 8)
        np.testing.assert_allclose(weights, expected, rtol=1e-5)
    assert (z.inside == 0).all()


@pytest.mark.parametrize("instances", [0, 1])
def test_fewer_than_two_instances_have_no_border_between_them(instances: int) -> None:
    labels = torch.zeros(1, 7, 9, dtype=torch.long)
    labels[0, 2:5, 3:6] = instances
    assert (border_between_instances(labels, 3).outside == 1).all()


def test_many_instances_are_told_apart_in_few_transforms() -> None:
    """Strewn pixels of two classes: far more instances than bits in their number."""
    labels = torch.randint(0, 9, (1, 24, 37), generator=torch.Generator().manual_seed(4)) // 4
    item, distances = labels[0].numpy(), []
    for k in (1, 2):
        components, count = label(item == k)
        distances += [
            distance_transform_edt(components != n, sampling=(1.0, 2.5)) for n in range(1, count + 1)
        ]
    assert len(distances) > 60
    first, second = np.sort(distances, axis=0)[:2]
    expected = 1 + 10 * np.exp(-((first + second) ** 2) / 50)
    found = border_between_instances(labels, 3, spacing=(1.0, 2.5)).outside[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_gap_of_one_pixel_weighs_most_and_far_pixels_one() -> None:
    labels = torch.zeros(1, 5, 60, dtype=torch.long)
    labels[0, :, 3:6] = labels[0, :, 7:10] = 1
    outside = border_between_instances(labels, 2, w0=10.0, sigma=1.0).outside[0, 2]
    assert float(outside[6]) == pytest.approx(1 + 10 * np.exp(-(2**2) / 2))
    assert float(outside[55]) == 1


LABELS = torch.zeros(2, 4, 6, dtype=torch.long)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: edge_emphasis(LABELS, 3, width=0.0), "width: expected a positive finite number, got 0"),
        (lambda: border_between_instances(LABELS, 3, w0=-1.0), "w0: expected a positive finite number"),
        (lambda: border_between_instances(LABELS, 3, sigma=float("inf")), "sigma: .* got inf"),
        (lambda: skeleton(LABELS.float(), 3), "labels: expected an integer tensor"),
        (lambda: skeleton(LABELS + 3, 3), r"expected values in \[0, 3\)"),
        (lambda: edge_emphasis(LABELS, 3, 1.0, (1.0,)), "spacing: expected 2 values"),
        (lambda: border_between_instances(LABELS + 1, 3, spacing=(1.0,)), "spacing: expected 2 values"),
        (lambda: border_between_instances(LABELS, 3, spacing=(1.0,)), "spacing: expected 2 values"),
    ],
)
def test_wrong_input_is_refused(build: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
