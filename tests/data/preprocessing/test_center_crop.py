"""The centre crop: which pixels it keeps, what it pads, and that labels have no say in it."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_dataset import PLAIN, UNLABELLED, Scan, write_dataset

from rwseg.core.errors import DataError
from rwseg.data.case import IGNORE, LoadedCase
from rwseg.data.preprocessing.center_crop import inside
from rwseg.data.preprocessing.config import FittedPreprocessing
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.resample import resample_image, resample_labels
from rwseg.data.preprocessing.volume import prepare_volume

FITTED = FittedPreprocessing(
    crop=False, spacing=None, size=None, zoom=1.0, interpolation="area", normalisation="zscore"
)
SPACING = (7.0, 1.5, 0.8)


def case(height: int, width: int, depth: int = 2) -> LoadedCase:
    """Every value of the image tells its pixel; no label is alike to its neighbours."""
    image = np.arange(depth * height * width, dtype=np.float32).reshape(1, depth, height, width) + 1
    label = (np.arange(depth * height * width).reshape(depth, height, width) % 3).astype(np.uint8)
    return LoadedCase(image, label, SPACING)


def by_hand(array: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Pixel (i, j) of the crop is pixel (i + (H - h) // 2, j + ...) of the slice, or 0 beyond it."""
    cut = np.zeros((*array.shape[:-2], height, width), array.dtype)
    full = array.shape[-2:]
    for i in range(height):
        for j in range(width):
            # an odd surplus or lack of pixels: one more is cut or added at the end
            row, column = (
                at + (side - wanted) // 2 if side >= wanted else at - (wanted - side) // 2
                for at, side, wanted in zip((i, j), full, (height, width), strict=True)
            )
            if 0 <= row < full[0] and 0 <= column < full[1]:
                cut[..., i, j] = array[..., row, column]
    return cut


@pytest.mark.parametrize("sides", [(12, 9), (11, 8), (5, 16), (4, 3), (8, 6)])
@pytest.mark.parametrize("wanted", [(8, 6), (7, 5), (8, 5), (5, 8)])
def test_every_slice_is_cut_or_padded_around_its_centre(
    sides: tuple[int, int], wanted: tuple[int, int]
) -> None:
    loaded = case(*sides)
    volume = prepare_volume(loaded, replace(FITTED, center_crop=wanted), 3)
    assert volume.image.shape == (1, 2, *wanted)
    np.testing.assert_allclose(volume.spacing, SPACING, rtol=1e-12)
    assert volume.label is not None
    np.testing.assert_array_equal(volume.label, by_hand(loaded.label, *wanted))
    shown = by_hand(np.ones_like(loaded.image), *wanted) > 0
    raw = by_hand(loaded.image, *wanted).astype(np.float64)
    kept = raw[shown]
    np.testing.assert_allclose(volume.image[shown], (kept - kept.mean()) / kept.std(), atol=1e-5)
    assert (volume.image[~shown] == 0).all()
    window = loaded.image[0][tuple(slice(*span) for span in volume.crop)]
    np.testing.assert_array_equal(np.sort(window.ravel()), np.sort(kept))


@pytest.mark.parametrize(
    ("change", "size"),
    [
        ({"zoom": 0.5}, (4, 3)),
        ({"spacing": (0.75, 1.6)}, (16, 3)),
        ({"size": (10, 12)}, (10, 12)),
        ({"spacing": (0.75, 1.6), "zoom": 0.5}, (8, 2)),
    ],
)
@pytest.mark.parametrize("interpolation", ["spline", "area"])
def test_the_crop_is_in_native_pixels_and_resampled_afterwards(
    change: dict[str, Any], size: tuple[int, int], interpolation: Any
) -> None:
    loaded = case(12, 9)
    preprocessing = replace(FITTED, interpolation=interpolation, normalisation="minmax", **change)
    volume = prepare_volume(loaded, replace(preprocessing, center_crop=(8, 6)), 3)
    window = np.s_[..., 2:10, 1:7]
    assert loaded.label is not None
    image = resample_image(loaded.image[window], size, interpolation)
    expected = (image - image.min()) / (image.max() - image.min())
    np.testing.assert_allclose(volume.image, expected, atol=1e-6)
    np.testing.assert_array_equal(volume.label, resample_labels(loaded.label[window], size, 3, interpolation))
    np.testing.assert_allclose(
        np.multiply(volume.image.shape[1:], volume.spacing), np.multiply((2, 8, 6), SPACING), rtol=1e-12
    )


def test_padding_takes_no_part_in_resampling_nor_in_normalisation() -> None:
    """Slices of 6 x 4 in a crop of 10 x 8, halved: 2 pixels, 1 in the prepared grid, all around."""
    loaded = case(6, 4)
    assert loaded.label is not None
    volume = prepare_volume(loaded, replace(FITTED, center_crop=(10, 8), zoom=0.5, interpolation="spline"), 3)
    alone = prepare_volume(loaded, replace(FITTED, zoom=0.5, interpolation="spline"), 3)
    middle = np.s_[..., 1:4, 1:3]
    assert volume.padding == ((2, 2), (2, 2))
    assert volume.image.shape == (1, 2, 5, 4)
    assert volume.label is not None
    np.testing.assert_allclose(volume.image[middle], alone.image, atol=1e-5)
    np.testing.assert_array_equal(volume.label[middle], alone.label)
    assert np.count_nonzero(volume.image) <= alone.image.size
    assert np.count_nonzero(volume.label) == np.count_nonzero(alone.label)


@pytest.mark.parametrize("seed", range(5))
def test_what_shows_the_slice_are_the_pixels_whose_centre_lies_in_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(100):
        before, side, after, new = (int(n) for n in rng.integers([0, 1, 0, 2], [9, 20, 9, 30]))
        old = before + side + after
        centres = [Fraction(2 * i + 1, 2) * old / new for i in range(new)]
        held = [i for i, centre in enumerate(centres) if before <= centre < before + side]
        _, rows, columns = inside(((before, after), (0, 0)), (old, old), (new, new))
        if held:
            assert list(range(new))[rows] == held
        assert list(range(new))[columns] == list(range(new))


def test_a_slice_between_the_pixels_of_a_coarse_grid_has_one_all_the_same() -> None:
    volume = prepare_volume(case(1, 1), replace(FITTED, center_crop=(128, 128), zoom=0.25), 3)
    assert np.isfinite(volume.image).all()
    assert volume.image.shape == (1, 2, 32, 32)
    assert np.count_nonzero(volume.image) == 2  # the two slices differ


def test_after_a_crop_to_what_is_nonzero_the_centre_is_that_of_the_box() -> None:
    loaded = case(12, 16, depth=4)
    image = np.zeros_like(loaded.image)
    image[:, 1:3, 4:11, 9:14] = loaded.image[:, 1:3, 4:11, 9:14]
    volume = prepare_volume(replace(loaded, image=image), replace(FITTED, crop=True, center_crop=(4, 8)), 3)
    assert volume.crop == ((1, 3), (5, 9), (9, 14))
    assert volume.padding == ((0, 0), (1, 2))
    assert volume.image.shape == (1, 2, 4, 8)
    assert (volume.image[..., :1] == 0).all()
    assert (volume.image[..., 6:] == 0).all()


def test_holes_of_the_whole_image_are_filled_whatever_the_crop_leaves_of_them() -> None:
    """A ring: its inside is a hole, though the crop cuts the ring open."""
    image = np.zeros((1, 3, 12, 12), np.float32)
    image[:, :, 2:10, 2:10] = np.arange(64).reshape(8, 8) + 1
    image[:, 1, 4:8, 4:8] = 0
    loaded = LoadedCase(image, None, SPACING)
    preprocessing = replace(FITTED, normalisation="zscore_nonzero")
    whole = prepare_volume(loaded, preprocessing, 3).image != 0
    cut = prepare_volume(loaded, replace(preprocessing, center_crop=(4, 12)), 3).image != 0
    assert whole[0, 1, 4:8, 4:8].all(), "the hole counts as inside"
    np.testing.assert_array_equal(cut, whole[:, :, 4:8])


def test_a_crop_that_leaves_nothing_but_zeros_is_told() -> None:
    image = np.zeros((1, 2, 9, 9), np.float32)
    image[:, :, 0] = 1
    preprocessing = replace(FITTED, normalisation="zscore_nonzero", center_crop=(3, 3))
    with pytest.raises(DataError, match=r"0 everywhere in what is left of it; widen dataset\.center_crop"):
        prepare_volume(LoadedCase(image, None, SPACING), preprocessing, 3)


def scans() -> list[Scan]:
    """A case of 10 x 10 with classes in and beyond its middle 4 x 6, and one that is smaller than that."""
    label = np.zeros((2, 10, 10), np.uint8)
    label[0, 3:5, 2:4] = 1  # 4 inside
    label[1, 6:8, 2:4] = 2  # 2 inside, 2 outside
    label[1, 0, 0] = 3  # outside
    label[0, 4, 4], label[0, 9, 9] = UNLABELLED, UNLABELLED
    small = np.zeros((1, 3, 5), np.uint8)
    small[0, 1, 1:3] = 1
    rng = np.random.default_rng(0)
    return [
        Scan(split, rng.normal(9, 3, (1, *label.shape)).astype(np.float32), label, SPACING)
        for split, label in (("train", label), ("val", small))
    ]


@pytest.mark.parametrize("zoom", [1.0, 0.5])
def test_the_manifest_and_the_log_say_what_is_cut(
    zoom: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = replace(PLAIN, center_crop=(4, 6), zoom=zoom)
    prepared = prepare(write_dataset(tmp_path, scans()), tmp_path, tmp_path / "prepared", rules)
    assert [entry.shape[1:] for entry in prepared.entries] == [(round(4 * zoom), round(6 * zoom))] * 2
    large, small = json.loads((prepared.folder / "manifest.json").read_text())["entries"]
    assert large["native_voxels"] == [200 - 4 - 4 - 1 - 2, 4, 4, 1]
    assert large["cut_voxels"] == [200 - 48 - 2 - 1 - 1, 0, 2, 1]
    assert (small["native_voxels"], small["cut_voxels"]) == ([13, 2, 0, 0], [0, 0, 0, 0])
    assert (small["padding"], large["padding"]) == ([[0, 1], [0, 1]], [[0, 0], [0, 0]])
    [line] = [record.getMessage() for record in caplog.records if "cuts off" in record.getMessage()]
    assert "27.3 % of the foreground (one 0 %, two 50 %, three 100 %), in 1 of 2 cases" in line
    assert "most in case0: 33.3 % of the foreground" in line


def test_the_recipe_of_a_preparation_has_the_crop(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path, scans())
    folders = {
        prepare(dataset, tmp_path, tmp_path / "prepared", replace(PLAIN, center_crop=size)).folder
        for size in (None, (4, 6), (6, 4))
    }
    assert len(folders) == 3
    rules = replace(PLAIN, center_crop=(4, 6))
    again = prepare(dataset, tmp_path, tmp_path / "prepared", rules)
    assert again.preprocessing.center_crop == (4, 6)
    assert again.has_ignored
    assert (np.asarray(again.label(again.entries[0])) == IGNORE).sum() == 1, "the other one was cut off"


def test_a_padded_grid_that_happens_to_have_the_native_size_is_not_the_native_one(tmp_path: Path) -> None:
    rules = replace(PLAIN, center_crop=(6, 10), zoom=0.5)
    prepared = prepare(write_dataset(tmp_path, scans()), tmp_path, tmp_path / "prepared", rules)
    [entry] = prepared.split("val")
    assert entry.shape == entry.native_shape == (1, 3, 5)
    assert entry.crop == ((0, 1), (0, 3), (0, 5))
    assert not entry.is_native
    np.testing.assert_array_equal(prepared.reference(entry), scans()[1].label)


def test_a_crop_that_loses_nothing_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rules = replace(PLAIN, center_crop=(10, 12))
    prepared = prepare(write_dataset(tmp_path, scans()), tmp_path, tmp_path / "prepared", rules)
    assert all(not any(entry.cut_voxels) for entry in prepared.entries)
    assert "cuts off" not in caplog.text
