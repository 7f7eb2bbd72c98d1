from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from rwseg.core.errors import DataError
from rwseg.data.case import IGNORE, LoadedCase
from rwseg.data.preprocessing.config import FittedPreprocessing
from rwseg.data.preprocessing.resample import resample_image, resample_labels
from rwseg.data.preprocessing.volume import nonzero_box, plane_size, prepare_volume

FITTED = FittedPreprocessing(
    crop=True, spacing=None, size=None, zoom=1.0, interpolation="spline", normalisation="zscore"
)
SPACING = (7.0, 1.5, 0.8)
BOX = ((1, 4), (2, 11), (5, 12))  # of what is nonzero in `loaded`


def preprocessing(**changes: Any) -> FittedPreprocessing:
    return replace(FITTED, **changes)


@pytest.fixture
def loaded() -> LoadedCase:
    """Two channels `(5, 13, 16)`, 0 outside `BOX`, each in a part of it, with a hole of zeros inside."""
    rng = np.random.default_rng(0)
    image = np.zeros((2, 5, 13, 16), np.float32)
    image[0, 1:3, 2:11, 5:12] = rng.normal(100, 20, (2, 9, 7))
    image[1, 1:4, 2:11, 5:12] = rng.normal(100, 20, (3, 9, 7))
    image[:, 2, 4:6, 7:9] = 0
    image[:, 1:4, 2:5, 5] = 0  # a corner of the box, open to the outside
    label = rng.choice(np.array([0, 1, 2, IGNORE], np.uint8), image.shape[1:])
    return LoadedCase(image, label, SPACING)


def standardised(image: NDArray[np.float32]) -> NDArray[np.float64]:
    raw = image.astype(np.float64)
    mean, std = raw.mean(axis=(1, 2, 3), keepdims=True), raw.std(axis=(1, 2, 3), keepdims=True)
    return np.asarray((raw - mean) / std)


@pytest.mark.parametrize("seed", range(6))
def test_the_box_holds_all_that_is_true_and_no_smaller_one_does(seed: int) -> None:
    present = np.random.default_rng(seed).random((4, 9, 6)) < 0.02 * (seed + 1)
    present[2, 3, 4] = True
    found = ndimage.find_objects(present.astype(int))[0]
    assert nonzero_box(present) == tuple((part.start, part.stop) for part in found)


def test_a_crop_is_to_the_box_of_any_channel_and_keeps_what_is_0_in_it(loaded: LoadedCase) -> None:
    volume = prepare_volume(loaded, FITTED, 3)
    assert volume.crop == BOX
    window = tuple(slice(*bounds) for bounds in BOX)
    assert loaded.label is not None
    np.testing.assert_array_equal(volume.label, loaded.label[window])
    np.testing.assert_allclose(volume.image, standardised(loaded.image[:, *window]), atol=1e-5)
    assert volume.spacing == SPACING


def test_without_a_crop_the_grid_stays(loaded: LoadedCase) -> None:
    volume = prepare_volume(loaded, preprocessing(crop=False), 3)
    assert volume.crop == ((0, 5), (0, 13), (0, 16))
    np.testing.assert_array_equal(volume.label, loaded.label)
    np.testing.assert_allclose(volume.image, standardised(loaded.image), atol=1e-5)


@pytest.mark.parametrize("interpolation", ["spline", "area"])
@pytest.mark.parametrize(
    ("change", "size"),
    [
        ({"spacing": (1.0, 1.6)}, (14, 4)),  # 9 * 1.5 = 13.5, 7 * 0.8 / 1.6 = 3.5: halves to even
        ({"spacing": (1.0, 1.6), "zoom": 2.0}, (27, 7)),
        ({"zoom": 0.5}, (4, 4)),
        ({"size": (20, 6)}, (20, 6)),
        ({"size": (20, 6), "zoom": 0.5}, (10, 3)),
    ],
)
def test_slices_are_resampled_before_they_are_normalised(
    loaded: LoadedCase, change: dict[str, Any], size: tuple[int, int], interpolation: Any
) -> None:
    volume = prepare_volume(loaded, preprocessing(interpolation=interpolation, **change), 3)
    window = tuple(slice(*bounds) for bounds in BOX)
    assert volume.image.shape == (2, 3, *size)
    assert (volume.image.dtype, volume.crop) == (np.float32, BOX)
    assert loaded.label is not None
    assert volume.label is not None
    resampled = resample_image(loaded.image[:, *window], size, interpolation)
    np.testing.assert_allclose(volume.image, standardised(resampled), atol=1e-5)
    np.testing.assert_array_equal(volume.label, resample_labels(loaded.label[window], size, 3, interpolation))
    assert IGNORE in volume.label
    extent = np.multiply((3, *size), volume.spacing)
    np.testing.assert_allclose(extent, np.multiply((3, 9, 7), SPACING), rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (256, 216)),
        ({"zoom": 0.5}, (128, 108)),
        ({"spacing": (1.5625, 1.5625)}, (224, 302)),
        ({"spacing": (1.25, 1.25), "zoom": 0.5}, (140, 189)),
        ({"size": (320, 300)}, (320, 300)),
        ({"zoom": 0.001}, (2, 2)),
    ],
)
def test_plane_size(change: dict[str, Any], expected: tuple[int, int]) -> None:
    assert plane_size((256, 216), (1.3671875, 2.1875), preprocessing(**change)) == expected


def test_zscore_nonzero_fills_holes_and_leaves_0_outside(loaded: LoadedCase) -> None:
    volume = prepare_volume(loaded, preprocessing(normalisation="zscore_nonzero"), 3)
    window = tuple(slice(*bounds) for bounds in BOX)
    inside = np.ones((3, 9, 7), bool)
    inside[:, :3, 0] = False  # the open corner; the hole counts as inside
    assert (volume.image[:, ~inside] == 0).all()
    for channel, raw in zip(volume.image, loaded.image[:, *window].astype(np.float64), strict=True):
        expected = (raw[inside] - raw[inside].mean()) / raw[inside].std()
        np.testing.assert_allclose(channel[inside], expected, atol=1e-5)
    hole = volume.image[:, 1, 2:4, 2:4]
    assert (hole < -1).all()


def test_zscore_nonzero_resamples_its_mask_with_the_image(loaded: LoadedCase) -> None:
    volume = prepare_volume(loaded, preprocessing(normalisation="zscore_nonzero", size=(18, 14)), 3)
    inside = np.ones((3, 18, 14), bool)
    inside[:, :6, :2] = False
    outside = (volume.image == 0).all(axis=0)
    np.testing.assert_array_equal(outside[:, :5, :1], True)
    assert (outside != inside).mean() > 0.97
    assert abs(volume.image[:, ~outside].mean()) < 1e-5


def test_a_crop_changes_no_mask(loaded: LoadedCase) -> None:
    """What lies outside the box is 0, so cropping first or never gives the same values."""
    cropped = prepare_volume(loaded, preprocessing(normalisation="zscore_nonzero"), 3).image
    whole = prepare_volume(loaded, preprocessing(normalisation="zscore_nonzero", crop=False), 3).image
    np.testing.assert_allclose(whole[:, 1:4, 2:11, 5:12], cropped, atol=1e-6)
    assert np.count_nonzero(whole) == np.count_nonzero(cropped)


def test_without_a_label_the_image_is_prepared_alike(loaded: LoadedCase) -> None:
    for normalisation in ("zscore", "zscore_nonzero", "minmax"):
        chosen = preprocessing(normalisation=normalisation, spacing=(1.0, 1.6))
        without = prepare_volume(replace(loaded, label=None), chosen, 3)
        assert without.label is None
        np.testing.assert_array_equal(without.image, prepare_volume(loaded, chosen, 3).image)


@pytest.mark.parametrize("change", [{"crop": True}, {"crop": False, "normalisation": "zscore_nonzero"}])
def test_an_image_of_zeros_is_refused_where_nonzero_voxels_are_needed(
    loaded: LoadedCase, change: dict[str, Any]
) -> None:
    empty = replace(loaded, image=np.zeros_like(loaded.image))
    with pytest.raises(DataError, match="expected voxels other than 0, got an image of 0 everywhere"):
        prepare_volume(empty, preprocessing(**change), 3)
    assert (prepare_volume(empty, preprocessing(crop=False), 3).image == 0).all()


def test_the_loaded_case_stays_as_it_was(loaded: LoadedCase) -> None:
    before = loaded.image.copy()
    for change in ({}, {"normalisation": "minmax"}, {"normalisation": "zscore_nonzero"}):
        prepare_volume(loaded, preprocessing(**change), 3)
    np.testing.assert_array_equal(loaded.image, before)
