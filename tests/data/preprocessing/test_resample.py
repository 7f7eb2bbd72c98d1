import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.interpolate import CubicSpline

from rwseg.data.case import IGNORE
from rwseg.data.preprocessing.config import Interpolation
from rwseg.data.preprocessing.resample import TIE, resample_image, resample_labels

SIZES = [((12, 20), (6, 10)), ((13, 9), (6, 5)), ((7, 30), (9, 11)), ((5, 6), (10, 12)), ((9, 4), (3, 2))]
BOTH: tuple[Interpolation, ...] = ("spline", "area")
FAR = 40  # pixels of repeated edge, after which the ends of a spline no longer matter


def triangle_weights(size: int, new: int) -> NDArray[np.float64]:
    """Shares `(new, size)` of pixels in each new pixel: a triangle two new pixels wide when shrinking."""
    scale = size / new
    reach = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale
    away = np.abs(np.arange(size)[None] + 0.5 - centres[:, None])
    weights = np.clip(1 - away / reach, 0, None)
    return weights / weights.sum(axis=1, keepdims=True)


def linear_weights(size: int, new: int) -> NDArray[np.float64]:
    """Weights `(new, size)` of linear interpolation at the new pixels' centres, the edge repeated outside."""
    places = (np.arange(new) + 0.5) * size / new - 0.5
    columns = [np.interp(places, np.arange(size), row) for row in np.eye(size)]
    return np.stack(columns, axis=1)


def cubic(values: NDArray[np.float64], new: int) -> NDArray[np.float64]:
    """The interpolating cubic spline along axis 0 of `values`, the edge repeated, at the new centres."""
    size = len(values)
    repeated = np.pad(values, [(FAR, FAR), (0, 0)], mode="edge")
    spline = CubicSpline(np.arange(-FAR, size + FAR), repeated, axis=0)
    return np.asarray(spline((np.arange(new) + 0.5) * size / new - 0.5))


@pytest.mark.parametrize(("shape", "size"), SIZES)
def test_area_images_are_resampled_as_pillow_does_it(shape: tuple[int, int], size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(100, 30, (2, 3, *shape)).astype(np.float32)
    resampled = resample_image(image, size, "area")
    assert (resampled.dtype, resampled.shape) == (np.float32, (2, 3, *size))
    for c, z in np.ndindex(2, 3):
        expected = np.asarray(Image.fromarray(image[c, z]).resize(size[::-1], Image.Resampling.BILINEAR))
        np.testing.assert_allclose(resampled[c, z], expected, rtol=1e-5)


@pytest.mark.parametrize(("shape", "size"), SIZES)
def test_spline_images_follow_the_cubic_spline_and_stay_in_the_range_of_their_slice(
    shape: tuple[int, int], size: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).normal(100, 30, (2, 3, *shape)).astype(np.float32)
    image[0] *= 10
    resampled = resample_image(image, size, "spline")
    assert (resampled.dtype, resampled.shape) == (np.float32, (2, 3, *size))
    clipped = 0
    for c, z in np.ndindex(2, 3):
        plane = image[c, z].astype(np.float64)
        smooth = cubic(cubic(plane, size[0]).T, size[1]).T
        expected = np.clip(smooth, plane.min(), plane.max())
        clipped += int((expected != smooth).sum())
        np.testing.assert_allclose(resampled[c, z], expected, rtol=1e-5, atol=1e-3)
    if size > shape:
        assert clipped > 0, "splines overshoot"


@pytest.mark.parametrize(("shape", "size"), SIZES)
def test_area_labels_take_the_largest_share(shape: tuple[int, int], size: tuple[int, int]) -> None:
    labels = np.random.default_rng(1).choice(np.array([0, 1, 3, IGNORE], np.uint8), (3, *shape))
    resampled = resample_labels(labels, size, 4, "area")
    assert (resampled.dtype, resampled.shape) == (np.uint8, (3, *size))
    rows, columns = (triangle_weights(old, new) for old, new in zip(shape, size, strict=True))
    values = np.array([0, 1, 2, 3, IGNORE])
    one_hot = (labels[:, None] == values[:, None, None]).astype(float)  # (Z, K, H, W)
    shares = rows @ one_hot @ columns.T  # (Z, K, h, w)
    channel = np.searchsorted(values, resampled)
    chosen = np.take_along_axis(shares, channel[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(chosen, shares.max(axis=1), atol=1.01 * TIE)
    second = np.sort(shares, axis=1)[:, -2]
    clear = shares.max(axis=1) - second > 2 * TIE
    assert clear.mean() > 0.8
    np.testing.assert_array_equal(resampled[clear], values[shares.argmax(axis=1)][clear])
    assert set(np.unique(resampled)) <= {0, 1, 3, IGNORE}, "an absent class stays absent"


@pytest.mark.parametrize(("shape", "size"), SIZES)
def test_spline_labels_take_the_class_of_one_half_or_more_else_background(
    shape: tuple[int, int], size: tuple[int, int]
) -> None:
    values = (0, 1, 3, IGNORE)
    labels = np.random.default_rng(1).choice(np.array(values, np.uint8), (40, *shape))
    resampled = resample_labels(labels, size, 4, "spline")
    assert (resampled.dtype, resampled.shape) == (np.uint8, (40, *size))
    rows, columns = (linear_weights(old, new) for old, new in zip(shape, size, strict=True))
    shares = np.stack([rows @ (labels == value) @ columns.T for value in values])  # (K, Z, h, w)
    expected = np.zeros(resampled.shape, np.uint8)
    for value, share in zip(values, shares, strict=True):
        expected[share >= 0.5 - 1e-9] = value
    np.testing.assert_array_equal(resampled, expected)


def test_where_no_class_reaches_one_half_it_is_background_by_the_spline_rule() -> None:
    corners = np.array([[[1, 2], [3, IGNORE]]], np.uint8)
    assert resample_labels(corners, (1, 1), 4, "spline").tolist() == [[[0]]]


def test_of_two_classes_that_tie_the_higher_one_wins_by_the_spline_rule() -> None:
    labels = np.array([[[1, 2, 3, 3], [1, 2, 3, 3]]], np.uint8)
    assert resample_labels(labels, (1, 2), 4, "spline").tolist() == [[[2, 3]]]


@pytest.mark.parametrize("interpolation", BOTH)
@pytest.mark.parametrize("size", [(20, 31), (41, 62), (60, 93)])
def test_a_structure_keeps_its_place_and_its_share_of_the_plane(
    size: tuple[int, int], interpolation: Interpolation
) -> None:
    y, x = np.mgrid[:41, :62] + 0.5
    disc = ((y - 18) ** 2 + (x - 35) ** 2 < 11**2).astype(np.uint8)[None]
    resampled = resample_labels(disc, size, 2, interpolation)[0]
    assert resampled.mean() == pytest.approx(disc.mean(), rel=0.04)
    centre = (np.argwhere(resampled).mean(axis=0) + 0.5) / size
    # A shift by half a pixel, the usual mistake, would be twice as much.
    assert (np.abs(centre - [18 / 41, 35 / 62]) * size < 0.25).all()
    image = resample_image(disc[None].astype(np.float32), size, interpolation)[0, 0]
    assert ((image >= 0.5) == resampled).mean() > 0.98, "image and label keep fitting each other"


def test_area_ties_do_not_favour_a_class() -> None:
    """Bars of 2 pixels at odd places are tied at half size; each class keeps its share over all places."""
    bars = np.stack(
        [np.roll(np.repeat([[0, 1, 2] * 8], 6, axis=0).repeat(2, axis=1), n, 1) for n in range(6)]
    )
    resampled = resample_labels(bars.astype(np.uint8), (6, 24), 3, "area")
    np.testing.assert_allclose(np.bincount(resampled.ravel()) / resampled.size, 1 / 3, atol=0.01)


@pytest.mark.parametrize("interpolation", BOTH)
def test_nothing_is_done_at_the_same_size(interpolation: Interpolation) -> None:
    image, labels = np.ones((1, 2, 4, 5), np.float32), np.ones((2, 4, 5), np.uint8)
    assert resample_image(image, (4, 5), interpolation) is image
    assert resample_labels(labels, (4, 5), 2, interpolation) is labels


@pytest.mark.parametrize("interpolation", BOTH)
@pytest.mark.parametrize("value", [2, IGNORE])
def test_a_full_class_stays_full(value: int, interpolation: Interpolation) -> None:
    for size in ((4, 3), (13, 20)):
        labels = np.full((2, 9, 7), value, np.uint8)
        assert (resample_labels(labels, size, 3, interpolation) == value).all()
        image = np.full((1, 2, 9, 7), value, np.float32)
        np.testing.assert_allclose(resample_image(image, size, interpolation), value, rtol=1e-6)


@pytest.mark.parametrize("interpolation", BOTH)
def test_slices_do_not_mix(interpolation: Interpolation) -> None:
    image = np.random.default_rng(3).normal(size=(1, 4, 9, 7)).astype(np.float32)
    alone = [resample_image(image[:, z : z + 1], (5, 12), interpolation) for z in range(4)]
    np.testing.assert_array_equal(
        resample_image(image, (5, 12), interpolation), np.concatenate(alone, axis=1)
    )
