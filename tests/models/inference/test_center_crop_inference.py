"""Predictions of cropped slices on the native grid, and what the metrics make of what was cut."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_run import NATIVE, make_run
from numpy.typing import NDArray
from torch import Tensor, nn

from rwseg.data.case import IGNORE, LoadedCase
from rwseg.data.datasets.phantom import PHANTOM
from rwseg.data.io.cases import read_case
from rwseg.data.preprocessing.config import FittedPreprocessing, PreprocessingConfig
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.volume import PreparedVolume, prepare_volume
from rwseg.experiments.load_run import load_run
from rwseg.models.inference.predictor import predict_case
from rwseg.models.inference.sliding_window import most_probable, to_native
from rwseg.models.inference.whole_volumes import CaseIdentity, case_rows, native_probabilities

SPACING = (7.0, 1.5, 0.8)
CLASSES = ("background", "one", "two")


def perfect(volume: PreparedVolume) -> list[Tensor]:
    """Certain probabilities `(K, h, w)` of each slice of the prepared reference."""
    assert volume.label is not None
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(volume.label).long().clamp(max=2), 3)
    return list(one_hot.movedim(-1, 1).float())


def native(preprocessing: FittedPreprocessing, label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a perfect prediction on the prepared grid becomes on the native one."""
    image = np.ones((1, *label.shape), np.float32)
    volume = prepare_volume(LoadedCase(image, label, SPACING), preprocessing, 3)
    return most_probable([to_native(perfect(volume), label.shape, volume.crop, volume.padding)])


@pytest.mark.parametrize("sides", [(12, 9), (11, 8), (5, 16), (4, 3), (8, 6)])
@pytest.mark.parametrize("wanted", [(8, 6), (7, 5), (5, 8)])
def test_predictions_come_back_to_the_pixels_that_were_cut(
    sides: tuple[int, int], wanted: tuple[int, int]
) -> None:
    label = np.random.default_rng(0).integers(0, 3, (2, *sides)).astype(np.uint8)
    expected = np.zeros_like(label)
    top, left = (max(0, (side - size) // 2) for side, size in zip(sides, wanted, strict=True))
    window = np.s_[:, top : top + wanted[0], left : left + wanted[1]]
    expected[window] = label[window]
    np.testing.assert_array_equal(native(replace(NATIVE, center_crop=wanted), label), expected)


@pytest.mark.parametrize(("sides", "wanted"), [((20, 18), (12, 8)), ((8, 6), (12, 10)), ((20, 6), (12, 10))])
@pytest.mark.parametrize("change", [{"zoom": 0.5}, {"spacing": (0.75, 0.4)}, {"size": (24, 30)}])
def test_a_change_of_resolution_moves_nothing(
    sides: tuple[int, int], wanted: tuple[int, int], change: dict[str, Any]
) -> None:
    """Blocks of 2 x 2 native pixels that lie on the grid of the crop: exact in any of these resolutions."""
    coarse = np.random.default_rng(1).integers(0, 3, (2, sides[0] // 2, sides[1] // 2)).astype(np.uint8)
    coarse = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, : sides[0], : sides[1]]
    top, left = ((side - size) // 2 for side, size in zip(sides, wanted, strict=True))
    label = np.roll(coarse, (top % 2, left % 2), axis=(1, 2))
    found = native(replace(NATIVE, center_crop=wanted, interpolation="area", **change), label)
    expected = np.zeros_like(label)
    window = np.s_[:, max(0, top) : max(0, top) + wanted[0], max(0, left) : max(0, left) + wanted[1]]
    expected[window] = label[window]
    borders = _borders(expected)
    np.testing.assert_array_equal(found[~borders], expected[~borders])
    outside = np.ones_like(label, bool)
    outside[window] = False
    assert not found[outside].any()
    assert (~borders & (expected > 0)).sum() > 10


def _borders(label: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels with another class beside them: what interpolation may move by a part of a pixel."""
    padded = np.pad(label, ((0, 0), (1, 1), (1, 1)), mode="edge")
    height, width = label.shape[1:]
    shifted = [
        padded[:, 1 + i : 1 + i + height, 1 + j : 1 + j + width] for i in (-1, 0, 1) for j in (-1, 0, 1)
    ]
    return np.any([plane != label for plane in shifted], axis=0)


def test_what_lies_outside_is_background_in_the_metrics() -> None:
    """A crop of 4 x 6 of 10 x 10: class one has 12 of 20 pixels inside, class two lies outside."""
    label = np.zeros((1, 10, 10), np.uint8)
    label[0, 3:7, 5:10] = 1  # columns 5, 6, 7 of 2 to 7 are inside
    label[0, 0, :4] = 2
    label[0, 9, 9] = IGNORE
    found = native(replace(NATIVE, center_crop=(4, 6)), label)
    rows = case_rows(found, label, CaseIdentity("a", "a", "", SPACING, "mm"), CLASSES, "nan")
    one, two = rows
    assert one["dice"] == pytest.approx(2 * 12 / (20 + 12))
    assert (one["reference_voxels"], one["predicted_voxels"]) == (20, 12)
    assert one["hausdorff"] == pytest.approx(2 * 0.8), "two columns of 0.8 mm are missed"
    assert (two["dice"], two["reference_voxels"], two["predicted_voxels"], two["missed"]) == (0, 4, 0, True)
    inside = np.where(np.arange(10) < 8, label, 0).astype(np.uint8)
    inside[0, 0] = 0
    [row, _] = case_rows(found, inside, CaseIdentity("a", "a", "", SPACING, "mm"), CLASSES, "nan")
    assert row["dice"] == 1, "what is inside is predicted perfectly"


def test_padding_is_no_place_for_a_prediction() -> None:
    """A crop to what is nonzero, padded: the network's words on the padding reach no native pixel."""
    image = np.zeros((1, 2, 12, 12), np.float32)
    image[:, :, 4:8, 3:9] = 1
    preprocessing = replace(NATIVE, crop=True, center_crop=(10, 10))
    volume = prepare_volume(LoadedCase(image, None, SPACING), preprocessing, 3)
    everywhere = torch.zeros(3, 10, 10)
    everywhere[1] = 1
    found = most_probable([to_native([everywhere] * 2, (2, 12, 12), volume.crop, volume.padding)])
    np.testing.assert_array_equal(found, image[0])


class Echo(nn.Module):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor) -> list[Tensor]:
        self.seen.append(image)
        return [torch.cat([image, -image], dim=1)]


def test_training_and_inference_see_the_same_pixels(phantom_root: Path, tmp_path: Path) -> None:
    """The slices of a run's training data, and what its network is given of the files, to half a code."""
    rules = PreprocessingConfig(
        False, None, None, 0.5, "area", "zscore", center_crop=(40, 200)
    )  # cut along the rows, padded along the columns
    prepared = prepare(PHANTOM, phantom_root, tmp_path / "prepared", rules)
    source = PHANTOM.load(phantom_root)
    for case, entry in zip(source.cases, prepared.entries, strict=True):
        loaded = read_case(case, source, entry.slice_axis)
        volume = prepare_volume(loaded, prepared.preprocessing, 4)
        echo = Echo().eval()
        shape = loaded.image.shape[1:]
        [*_] = native_probabilities(
            echo, torch.from_numpy(volume.image), shape, volume.crop, (20, 100), False, volume.padding
        )
        half = max(scale.step for scale in entry.scales) / 2
        seen = torch.cat(echo.seen)[:, 0].numpy()
        np.testing.assert_allclose(seen, prepared.image(entry)[0], rtol=0, atol=half * 1.01)
        assert (volume.crop, volume.padding) == (entry.crop, entry.padding)
        assert entry.shape[1:] == (20, 100)
        assert entry.padding[1] != (0, 0) == entry.padding[0]


def test_a_run_predicts_with_the_crop_that_it_was_trained_with(tiny: list[str], tmp_path: Path) -> None:
    preprocessing = replace(NATIVE, center_crop=(32, 48))
    member = load_run(
        make_run(tmp_path / "run", tiny, preprocessing=preprocessing), "last", torch.device("cpu")
    )
    assert member.data.preprocessing == preprocessing
    image = np.random.default_rng(0).normal(size=(1, 3, 50, 40)).astype(np.float32)
    found = predict_case([member], LoadedCase(image, None, SPACING))
    window = np.zeros((1, 3, 32, 48), np.float32)
    cut = image[:, :, 9:41]
    window[..., 4:44] = (cut - cut.mean()) / cut.std()
    with torch.no_grad():
        scores = member.network(torch.from_numpy(window).transpose(0, 1))
    expected = np.zeros(image.shape[1:], np.uint8)
    expected[:, 9:41] = scores.argmax(1)[:, :, 4:44]
    assert expected.any()
    assert (found == expected).mean() > 0.999  # rounding of the normalisation may turn a tie
