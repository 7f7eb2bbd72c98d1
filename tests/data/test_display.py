"""Prepared images as people know them: a picture in the colours of its file, anything else in grey."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rwseg.core.errors import DataError
from rwseg.data.display import displayed, is_coloured
from rwseg.data.preprocessing.config import FittedPreprocessing
from rwseg.data.preprocessing.prepared import Entry, Prepared

NATIVE = FittedPreprocessing(
    crop=False, spacing=None, size=None, zoom=1.0, interpolation="area", normalisation="zscore"
)
ENTRY = Entry(
    name="skin", subject="skin", phase="", split="val", images=("skin.png",), has_label=True,
    shape=(1, 20, 30), spacing=(1.0, 1.0, 1.0), native_shape=(1, 20, 30), native_spacing=(1.0, 1.0, 1.0),
    crop=((0, 1), (0, 20), (0, 30)), slice_axis=2, voxels=(600, 0), unit="px",
)  # fmt: skip


def prepared(root: Path, colours: np.ndarray, entry: Entry) -> Prepared:
    """The picture at `root`, and its normalised channels as preparation leaves them."""
    Image.fromarray(colours).save(root / "skin.png")
    image = np.random.default_rng(1).normal(size=(3, *entry.shape)).astype(np.float32)
    (root / "image").mkdir(exist_ok=True)
    np.save(root / "image" / "skin.npy", image)
    names = ("background", "lesion"), ("red", "green", "blue")
    return Prepared(root, root, "skin", *names, NATIVE, "0", (entry,))


@pytest.fixture
def colours() -> np.ndarray:
    blocks = np.random.default_rng(0).integers(0, 256, (10, 15, 3), dtype=np.uint8)
    return blocks.repeat(2, axis=0).repeat(2, axis=1)


def test_a_picture_has_the_colours_of_its_file(tmp_path: Path, colours: np.ndarray) -> None:
    found = displayed(prepared(tmp_path, colours, ENTRY), ENTRY)
    np.testing.assert_array_equal(found, colours[None].astype(np.float32))


def test_they_are_cut_padded_and_shrunk_as_the_image_was(tmp_path: Path, colours: np.ndarray) -> None:
    cut = replace(ENTRY, shape=(1, 14, 16), crop=((0, 1), (4, 14), (2, 18)), padding=((1, 3), (0, 0)))
    found = displayed(prepared(tmp_path, colours, cut), cut)
    expected = np.pad(colours[4:14, 2:18], ((1, 3), (0, 0), (0, 0)), mode="edge")
    np.testing.assert_array_equal(found[0], expected)
    half = replace(ENTRY, shape=(1, 10, 15))
    shrunk = displayed(prepared(tmp_path, colours, half), half)
    pillow = Image.fromarray(colours).resize((15, 10), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(shrunk[0], np.asarray(pillow, float), atol=1.01)  # it rounds twice


@pytest.mark.parametrize(
    "changes",
    [{"unit": "mm"}, {"images": ("r.png", "g.png", "b.png")}, {"native_shape": (1, 30, 20)}],
    ids=["a volume", "three files", "converted by the dataset's own code"],
)
def test_anything_else_is_the_first_channel_in_grey(
    tmp_path: Path, colours: np.ndarray, changes: dict[str, object]
) -> None:
    entry = replace(ENTRY, **changes)
    found = displayed(prepared(tmp_path, colours, entry), entry)
    np.testing.assert_array_equal(found, np.load(tmp_path / "image" / "skin.npy")[0])


def test_a_picture_that_is_gone_is_named(tmp_path: Path, colours: np.ndarray) -> None:
    data = prepared(tmp_path, colours, ENTRY)
    (tmp_path / "skin.png").unlink()
    with pytest.raises(DataError, match=r"skin\.png: this file is missing"):
        displayed(data, ENTRY)


def test_which_cases_have_colours() -> None:
    assert is_coloured(channels=3, files=1, unit="px")
    assert not is_coloured(channels=1, files=1, unit="px")
