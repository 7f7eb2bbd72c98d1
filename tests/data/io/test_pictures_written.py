"""Label maps written as pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rwseg.data.io.pictures import read_picture, write_picture_labels


def test_labels_are_written_in_the_format_of_the_ending_and_again_alike(tmp_path: Path) -> None:
    like = tmp_path / "image.png"
    Image.fromarray(np.arange(20, dtype=np.uint8).reshape(4, 5)).save(like)
    labels = np.random.default_rng(0).integers(0, 9, (5, 4, 1)).astype(np.uint8)
    for ending, kind in ((".png", "PNG"), (".BMP", "BMP"), (".tif", "TIFF")):
        path = tmp_path / f"label{ending}"
        write_picture_labels(path, labels, like, same_shape=True)
        first = path.read_bytes()
        write_picture_labels(path, labels, like, same_shape=True)
        assert path.read_bytes() == first
        with Image.open(path) as picture:
            assert (picture.format, picture.mode) == (kind, "L")
            np.testing.assert_array_equal(np.asarray(picture).T[..., None], labels)


def test_labels_of_another_size_are_written_only_when_asked_for(tmp_path: Path) -> None:
    like, path = tmp_path / "image.png", tmp_path / "label.png"
    Image.fromarray(np.arange(20, dtype=np.uint8).reshape(4, 5)).save(like)
    small = np.ones((2, 3, 1), np.uint8)
    with pytest.raises(ValueError, match=r"labels: expected shape \(x, y, z\) \(5, 4, 1\)"):
        write_picture_labels(path, small, like, same_shape=True)
    assert not path.exists()
    write_picture_labels(path, small, like, same_shape=False)
    np.testing.assert_array_equal(read_picture(path).array[0], small)
    with pytest.raises(ValueError, match="labels: expected shape"):
        write_picture_labels(path, np.ones((5, 4, 2), np.uint8), like, same_shape=False)
