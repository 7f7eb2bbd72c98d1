"""From a volume to its label map and its rows of cases.csv."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from rwseg.data.preprocessing.prepared import Entry
from rwseg.metrics import case_metrics
from rwseg.models.inference.whole_volumes import (
    CaseIdentity,
    case_rows,
    case_table,
    predict_labels,
    validation_metrics,
)

CLASSES = ("background", "one", "two")
SPACING = (4.0, 1.5, 1.0)


class Ramp(nn.Module):
    """Logits from the value of the pixel itself: class k where it is nearest to k."""

    def forward(self, image: Tensor) -> list[Tensor]:
        return [torch.cat([-((image - k) ** 2) * 50 for k in range(3)], dim=1)]


def entry(
    shape: tuple[int, int, int], native: tuple[int, int, int], crop: tuple[tuple[int, int], ...]
) -> Entry:
    return Entry(
        name="case",
        subject="subject",
        phase="ES",
        split="val",
        images=("case.nii.gz",),
        has_label=True,
        shape=shape,
        spacing=SPACING,
        native_shape=native,
        native_spacing=SPACING,
        crop=crop,  # type: ignore[arg-type]
        slice_axis=2,
        voxels=(),
    )


def labels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)


@pytest.mark.parametrize("flips", [False, True])
def test_labels_stand_in_the_crop_of_the_native_grid(flips: bool) -> None:
    expected = np.zeros((6, 13, 9), np.uint8)
    expected[2:5, 1:11, 3:9] = inside = labels(3, 10, 6)
    image = torch.from_numpy(inside.astype(np.float32))[None]
    found = predict_labels(
        Ramp().eval(), image, entry((3, 10, 6), (6, 13, 9), ((2, 5), (1, 11), (3, 9))), (4, 8), flips
    )
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


def test_labels_of_twice_the_size_follow_the_coarse_ones() -> None:
    coarse = labels(2, 1, 1).repeat(6, axis=1).repeat(5, axis=2)  # each slice of one class
    image = torch.from_numpy(coarse.astype(np.float32))[None]
    found = predict_labels(
        Ramp().eval(), image, entry((2, 6, 5), (2, 12, 10), ((0, 2), (0, 12), (0, 10))), (8, 8), False
    )
    np.testing.assert_array_equal(found, coarse.repeat(2, axis=1).repeat(2, axis=2))


def test_a_crop_of_other_slices_than_the_image_is_refused() -> None:
    image = torch.zeros(1, 3, 6, 5)
    wrong = entry((3, 6, 5), (6, 6, 5), ((0, 2), (0, 6), (0, 5)))
    with pytest.raises(ValueError, match="crop: expected the 3 slices of the image, got 2"):
        predict_labels(Ramp().eval(), image, wrong, (8, 8), False)
    outside = entry((3, 6, 5), (6, 6, 5), ((0, 3), (0, 6), (1, 6)))
    with pytest.raises(ValueError, match=r"crop: expected a box inside of the native grid \(6, 6, 5\)"):
        predict_labels(Ramp().eval(), image, outside, (8, 8), False)


def test_rows_carry_the_case_and_its_metrics() -> None:
    prediction, reference = labels(2, 8, 9), labels(2, 8, 9, seed=1)
    rows = case_rows(prediction, reference, CaseIdentity("a", "b", "ED", SPACING, "mm"), CLASSES, "nan")
    assert [(row["case"], row["subject"], row["phase"]) for row in rows] == [("a", "b", "ED")] * 2
    for row, metrics in zip(rows, case_metrics(prediction, reference, CLASSES, SPACING), strict=True):
        assert {key: row[key] for key in metrics} == metrics
    prepared = entry((2, 8, 9), (2, 8, 9), ((0, 2), (0, 8), (0, 9)))
    [first, _] = case_rows(prediction, reference, prepared, CLASSES, "nan")
    assert (first["case"], first["subject"], first["phase"]) == ("case", "subject", "ES")
    assert first["hausdorff"] == rows[0]["hausdorff"]


def test_unlabelled_voxels_are_background_in_both_maps() -> None:
    prediction, reference = labels(3, 9, 11), labels(3, 9, 11, seed=1)
    unlabelled = np.random.default_rng(2).random(reference.shape) < 0.3
    marked = np.where(unlabelled, 255, reference).astype(np.uint8)
    kept = prediction.copy(), marked.copy()
    rows = case_rows(prediction, marked, CaseIdentity("a", "a", "", SPACING, "mm"), CLASSES, "nan")
    clean = [np.where(unlabelled, 0, volume) for volume in (prediction, reference)]
    for row, metrics in zip(rows, case_metrics(clean[0], clean[1], CLASSES, SPACING), strict=True):
        assert {key: row[key] for key in metrics} == metrics
    np.testing.assert_array_equal(prediction, kept[0])
    np.testing.assert_array_equal(marked, kept[1])


def test_the_table_is_sorted_and_its_means_leave_out_what_is_nowhere() -> None:
    reference = np.zeros((2, 6, 6), np.uint8)
    reference[0, :2] = 1
    prediction = reference.copy()
    prediction[1, 4:] = 2  # in the prediction only
    second = case_rows(prediction, reference, CaseIdentity("b", "b", "", SPACING, "mm"), CLASSES, "nan")
    first = case_rows(reference, reference, CaseIdentity("a", "a", "", SPACING, "mm"), CLASSES, "nan")
    table = case_table([*second, *first])
    assert table["case"].tolist() == ["a", "a", "b", "b"]
    assert table["label"].tolist() == [1, 2, 1, 2]
    means = validation_metrics(table)
    assert means["val/dice_one"] == 1
    assert means["val/dice_two"] == 0  # of case b alone: in case a the class is in neither map
    assert means["val/dice"] == 0.5
    assert (means["val/missed"], means["val/spurious"]) == (0, 1)
    assert pd.isna(means["val/hausdorff_two"])
