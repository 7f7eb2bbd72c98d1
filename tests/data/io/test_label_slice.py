"""One slice of a label file, whatever its values: the one with most foreground, in the file's own plane."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from rwseg.core.errors import DataError
from rwseg.data.io.label_slice import read_label_slice


def write(path: Path, array: np.ndarray, spacing: tuple[float, float, float] = (1.5, 2.0, 8.0)) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, np.diag([*spacing, 1.0])), path)
    return path


def test_the_slice_with_most_foreground_across_the_thickest_axis(tmp_path: Path) -> None:
    volume = np.zeros((9, 7, 4), np.uint8)
    volume[2:4, 1:3, 0] = 200
    volume[2:8, 1:6, 2], volume[3:5, 2:4, 2] = 200, 85
    found = read_label_slice(write(tmp_path / "labels.nii.gz", volume))
    assert (found.number, found.values, found.spacing) == (2, [0, 85, 200], (2.0, 1.5))
    expected = np.searchsorted([0, 85, 200], volume[:, :, 2].T)
    np.testing.assert_array_equal(found.labels, expected)


def test_another_axis_is_the_thickest(tmp_path: Path) -> None:
    volume = np.zeros((3, 7, 5), np.int16)
    volume[1, 2:5, 1:3] = 1
    found = read_label_slice(write(tmp_path / "labels.nii.gz", volume, (6.0, 1.0, 2.0)))
    assert (found.number, found.spacing) == (1, (2.0, 1.0))
    np.testing.assert_array_equal(found.labels, volume[1].T)


def test_a_picture_is_its_slice(tmp_path: Path) -> None:
    labels = np.zeros((6, 11), np.uint8)
    labels[1:4, 2:9] = 255
    Image.fromarray(labels).save(tmp_path / "mask.png")
    found = read_label_slice(tmp_path / "mask.png")
    assert found.values == [0, 255]
    np.testing.assert_array_equal(found.labels, labels // 255)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.arange(60.0), "at most 20 whole numbers from 0 on, got 60 values from 0 to 59"),
        (np.array([0.0, -1.0]), "got 2 values from -1 to 0"),
        (np.array([0.0, 0.5]), "labels 0, got 0.5"),
        (np.zeros(3), "expected labels with foreground, got 0 throughout"),
    ],
)
def test_what_is_no_label_map_is_told(tmp_path: Path, values: np.ndarray, message: str) -> None:
    path = write(tmp_path / "labels.nii.gz", np.resize(values, (6, 5, 2)).astype(np.float32))
    with pytest.raises(DataError, match=message):
        read_label_slice(path)


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.nii.gz: expected a label file, found none"):
        read_label_slice(tmp_path / "none.nii.gz")
