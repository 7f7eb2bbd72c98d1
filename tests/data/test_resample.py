import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rwseg.data.resample import TIE, plane_size, resample_image, resample_labels

SIZES = [((12, 20), (6, 10)), ((13, 9), (6, 5)), ((7, 30), (9, 11)), ((5, 6), (10, 12)), ((9, 4), (3, 2))]


def triangle_weights(size: int, new: int) -> NDArray[np.float64]:
    """Shares `(new, size)` of pixels in each new pixel: a triangle two new pixels wide when shrinking."""
    scale = size / new
    reach = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale
    away = np.abs(np.arange(size)[None] + 0.5 - centres[:, None])
    weights = np.clip(1 - away / reach, 0, None)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("shape", "zoom", "expected"),
    [
        ((256, 216), 0.5, (128, 108)),
        ((237, 207), 1.0, (237, 207)),
        ((237, 207), 0.5, (118, 104)),
        ((10, 20), 1.5, (15, 30)),
        ((1, 3), 0.1, (2, 2)),
    ],
)
def test_plane_size(shape: tuple[int, int], zoom: float, expected: tuple[int, int]) -> None:
    assert plane_size(shape, zoom) == expected


@pytest.mark.parametrize(("shape", "size"), SIZES)
def test_images_are_resampled_as_pillow_does_it(shape: tuple[int, int], size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(100, 30, (2, 3, *shape)).astype(np.float32)
    resampled = resample_image(image, size)
    assert (resampled.dtype, resampled.shape) == (np.float32, (2, 3, *size))
    for c, z in np.ndindex(2, 3):
        expected = np.asarray(Image.fromarray(image[c, z]).resize(size[::-1], Image.Resampling.BILINEAR))
        np.testing.assert_allclose(resampled[c, z], expected, rtol=1e-5)


@pytest.mark.parametrize(("shape", "size"), SIZES)
def test_labels_take_the_largest_share(shape: tuple[int, int], size: tuple[int, int]) -> None:
    labels = np.random.default_rng(1).choice(np.array([0, 1, 3], np.uint8), (3, *shape))
    resampled = resample_labels(labels, size, num_classes=4)
    assert (resampled.dtype, resampled.shape) == (np.uint8, (3, *size))
    rows, columns = (triangle_weights(old, new) for old, new in zip(shape, size, strict=True))
    one_hot = (labels[:, None] == np.arange(4)[:, None, None]).astype(float)  # (Z, K, H, W)
    shares = rows @ one_hot @ columns.T  # (Z, K, h, w)
    chosen = np.take_along_axis(shares, resampled[:, None].astype(int), axis=1)[:, 0]
    np.testing.assert_allclose(chosen, shares.max(axis=1), atol=1.01 * TIE)
    second = np.sort(shares, axis=1)[:, -2]
    clear = shares.max(axis=1) - second > 2 * TIE
    assert clear.mean() > 0.8
    np.testing.assert_array_equal(resampled[clear], shares.argmax(axis=1)[clear])
    assert set(np.unique(resampled)) <= {0, 1, 3}, "an absent class stays absent"


@pytest.mark.parametrize("size", [(20, 31), (41, 62), (60, 93)])
def test_a_structure_keeps_its_place_and_its_share_of_the_plane(size: tuple[int, int]) -> None:
    y, x = np.mgrid[:41, :62] + 0.5
    disc = ((y - 18) ** 2 + (x - 35) ** 2 < 11**2).astype(np.uint8)[None]
    resampled = resample_labels(disc, size, num_classes=2)[0]
    assert resampled.mean() == pytest.approx(disc.mean(), rel=0.02)
    centre = (np.argwhere(resampled).mean(axis=0) + 0.5) / size
    # A shift by half a pixel, the usual mistake, would be twice as much.
    assert (np.abs(centre - [18 / 41, 35 / 62]) * size < 0.25).all()


def test_ties_do_not_favour_a_class() -> None:
    """Bars of 2 pixels at odd places are tied at half size; each class keeps its share over all places."""
    bars = np.stack(
        [np.roll(np.repeat([[0, 1, 2] * 8], 6, axis=0).repeat(2, axis=1), n, 1) for n in range(6)]
    )
    resampled = resample_labels(bars.astype(np.uint8), (6, 24), num_classes=3)
    np.testing.assert_allclose(np.bincount(resampled.ravel()) / resampled.size, 1 / 3, atol=0.01)


def test_nothing_is_done_at_the_same_size() -> None:
    image, labels = np.ones((1, 2, 4, 5), np.float32), np.ones((2, 4, 5), np.uint8)
    assert resample_image(image, (4, 5)) is image
    assert resample_labels(labels, (4, 5), num_classes=2) is labels


def test_a_full_class_stays_full() -> None:
    assert (resample_labels(np.full((2, 9, 7), 2, np.uint8), (4, 3), num_classes=3) == 2).all()
