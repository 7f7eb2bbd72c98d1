import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nnunet_tree import describe, folds, save, write_tree

from rwseg.core.errors import DataError
from rwseg.data.case import IGNORE, Source
from rwseg.data.datasets.nnunet import NNUNET
from rwseg.data.io.cases import read_case, slice_axis_of
from rwseg.data.preprocessing.config import PreprocessingConfig
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.split import with_fold
from rwseg.models.inference.whole_volumes import case_rows


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "Dataset001_Test")


@pytest.mark.parametrize("ending", [".nii.gz", ".png", ".tif"])
def test_cases_files_and_splits(tmp_path: Path, ending: str) -> None:
    root = write_tree(tmp_path / "Dataset001_Test", ending)
    (root / "imagesTr" / f"._a_0000{ending}").touch()
    (root / "imagesTr" / "notes.txt").touch()
    source = NNUNET.load(root)
    assert [(case.name, case.split) for case in source.cases] == [
        *((name, "train") for name in "abcde"),
        ("t", "test"),
        ("u", "test"),
    ]
    first, test = source.cases[0], source.cases[-1]
    assert first.images == tuple(root / "imagesTr" / f"a_000{number}{ending}" for number in range(2))
    assert (first.label, first.subject) == (root / "labelsTr" / f"a{ending}", "a")
    assert test.label is None
    assert source.cases[-2].label == root / "labelsTs" / f"t{ending}"
    assert source.classes == ("background", "organ", "tumour")
    assert source.channels == ("channel 0", "channel 1")
    assert (source.label_values, source.ignore, source.folds) == (((0,), (1,), (2,)), None, ())
    axis = slice_axis_of(source)
    assert axis == (1 if ending == ".nii.gz" else 2)
    loaded = read_case(first, source, axis)
    assert loaded.image.shape == (2, 3 if ending == ".nii.gz" else 1, 8, 6)
    assert loaded.spacing == ((4.0, 1.5, 1.5) if ending == ".nii.gz" else (1.0, 1.0, 1.0))


def test_order_in_the_file_does_not_matter_and_ignored_voxels_are_marked(tmp_path: Path) -> None:
    root = tmp_path / "Dataset001_Test"
    names = {str(number): f"c{number}" for number in (10, 0, 2, 1, 3, 4, 5, 6, 7, 8, 9)}
    describe(
        root,
        channel_names=names,
        labels={"ignore": 3, "tumour": 2, "background": 0, "organ": 1},
        numTraining=1,
        file_ending=".png",
    )
    for number in range(11):
        save(root / "imagesTr" / f"a_{number:04d}.png", np.full((4, 5), number, np.uint8))
    save(root / "labelsTr" / "a.png", (np.arange(20) % 4).astype(np.uint8).reshape(4, 5))
    source = NNUNET.load(root)
    assert source.channels == tuple(f"c{number}" for number in range(11))
    assert (source.classes, source.ignore) == (("background", "organ", "tumour"), 3)
    loaded = read_case(source.cases[0], source, slice_axis_of(source))
    np.testing.assert_array_equal(loaded.image[:, 0, 0, 0], np.arange(11))
    assert loaded.label is not None
    np.testing.assert_array_equal(loaded.label.ravel()[:5], [0, 1, 2, IGNORE, 0])


def rgb_tree(root: Path) -> Path:
    describe(root, channel_names={"0": "R", "1": "G", "2": "B"}, numTraining=2, file_ending=".png")
    for name in "ab":
        save(root / "imagesTr" / f"{name}_0000.png", np.arange(60, dtype=np.uint8).reshape(4, 5, 3))
        save(root / "labelsTr" / f"{name}.png", np.ones((4, 5), np.uint8))
    return root


def test_rgb_pictures_hold_three_channels(tmp_path: Path) -> None:
    source = NNUNET.load(rgb_tree(tmp_path / "Dataset002_Colour"))
    loaded = read_case(source.cases[1], source, slice_axis_of(source))
    np.testing.assert_array_equal(loaded.image[:, 0], np.arange(60).reshape(4, 5, 3).transpose(2, 0, 1))


def test_rgb_and_single_channels_are_not_mixed(tmp_path: Path) -> None:
    root = rgb_tree(tmp_path / "Dataset002_Colour")
    for number in range(3):
        save(root / "imagesTr" / f"a_{number:04d}.png", np.ones((4, 5), np.uint8))
    with pytest.raises(DataError, match="b: expected the channels 0000, 0001, 0002, got 0000"):
        NNUNET.load(root)


def test_explicit_paths_name_the_training_cases(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_TREE", str(root))
    other = tmp_path / "Dataset003_Other"
    listed = {
        "x": {
            "images": [f"../{root.name}/imagesTr/a_000{number}.nii.gz" for number in range(2)],
            "label": "$OTHER_TREE/labelsTr/a.nii.gz",
        }
    }
    describe(other, dataset=listed, numTraining=1)
    (case,) = NNUNET.load(other).cases
    assert case.name == "x"
    assert case.images == NNUNET.load(root).cases[0].images
    assert case.label == root / "labelsTr" / "a.nii.gz"
    listed["x"]["images"].pop()
    listed["x"]["label"] = "gone.nii.gz"
    describe(other, dataset=listed, numTraining=1)
    message = r"(?s)x: expected the channels 0000, 0001, got 0000.*x: missing .*gone\.nii\.gz"
    with pytest.raises(DataError, match=message):
        NNUNET.load(other)


def validating(source: Source) -> set[str]:
    return {case.name for case in source.cases if case.split == "val"}


def test_published_folds_are_used_and_others_made(root: Path) -> None:
    made = [validating(with_fold(NNUNET.load(root), fold)) for fold in range(5)]
    assert sorted(name for names in made for name in names) == [*"abcde"]
    (root / "splits_final.json").write_text(json.dumps(folds("ab", "cde")))
    source = NNUNET.load(root)
    assert source.folds == (frozenset("ab"), frozenset("cde"))
    assert validating(with_fold(source, 1, folds=2)) == {*"cde"}


def copied(source: str, target: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / target).write_bytes((root / source).read_bytes())

    return change


CASE_FAULTS: list[tuple[Callable[[Path], None], str]] = [
    (
        lambda root: (root / "imagesTr/b_0001.nii.gz").unlink(),
        "b: expected the channels 0000, 0001, got 0000",
    ),
    (
        lambda root: (root / "imagesTs/u_0000.nii.gz").unlink(),
        "u: expected the channels 0000, 0001, got 0001",
    ),
    (copied("imagesTr/b_0001.nii.gz", "imagesTr/b_0002.nii.gz"), "b: expected .*got 0000, 0001, 0002"),
    (lambda root: (root / "labelsTr/c.nii.gz").unlink(), r"c: missing .*labelsTr/c\.nii\.gz"),
    (
        copied("labelsTr/c.nii.gz", "labelsTr/z.nii.gz"),
        r"z\.nii\.gz: expected an image of this name in imagesTr",
    ),
    (
        copied("labelsTr/c.nii.gz", "labelsTs/z.nii.gz"),
        r"z\.nii\.gz: expected an image of this name in imagesTs",
    ),
    (
        copied("labelsTr/c.nii.gz", "imagesTr/c.nii.gz"),
        r"c\.nii\.gz: expected a name such as case_0000\.nii\.gz",
    ),
    (
        copied("imagesTr/b_0001.nii.gz", "imagesTr/f_0000.nii"),
        r"imagesTr: expected images ending in \.nii\.gz as .* got 1 others: f_0000\.nii; correct",
    ),
    (
        copied("imagesTs/u_0001.nii.gz", "imagesTs/v_0001.PNG"),
        r"imagesTs: expected images ending in \.nii\.gz as dataset\.json .* v_0001\.PNG; ",
    ),
    (
        lambda root: (root / "imagesTs").rename(root / "old") and write_same_name(root),
        "a: expected one case of this name, got one to train on and one for testing",
    ),
]


def write_same_name(root: Path) -> None:
    for number in range(2):
        save(root / "imagesTs" / f"a_000{number}.nii.gz", np.ones((8, 6), np.uint8))


@pytest.mark.parametrize(("change", "message"), CASE_FAULTS, ids=[message for _, message in CASE_FAULTS])
def test_a_faulty_case_is_named(root: Path, change: Callable[[Path], None], message: str) -> None:
    change(root)
    with pytest.raises(DataError, match=message):
        NNUNET.load(root)


def test_all_faulty_cases_are_told_together(root: Path) -> None:
    (root / "imagesTr" / "b_0001.nii.gz").unlink()
    (root / "labelsTr" / "c.nii.gz").unlink()
    with pytest.raises(DataError, match=r"(?s)got 2 faulty part\(s\):.*b: expected the channels.*c: missing"):
        NNUNET.load(root)


def test_another_folder_is_named_with_a_hint(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected nnU-Net v2's raw .*such as .*/Dataset001_Test"):
        NNUNET.load(root.parent)
    with pytest.raises(DataError, match="got no such folder; The format"):
        NNUNET.load(tmp_path / "gone")
    (root / "dataset.json").unlink()
    with pytest.raises(DataError, match=r"got no dataset\.json in it"):
        NNUNET.load(root)


@pytest.mark.parametrize(
    ("path", "array", "message"),
    [
        (
            "labelsTr/a.nii.gz",
            np.full((8, 6), 0.5, np.float32),
            r"a\.nii\.gz: expected the labels 0, 1, 2, got 0\.5",
        ),
        (
            "labelsTr/a.nii.gz",
            np.full((8, 6), 3, np.uint8),
            r"a\.nii\.gz: expected the labels 0, 1, 2, got 3",
        ),
        ("labelsTr/a.nii.gz", np.ones((9, 6), np.uint8), r"a\.nii\.gz: expected shape .* as a_0000\.nii\.gz"),
        ("imagesTr/a_0001.nii.gz", np.ones((8, 7), np.uint8), r"a_0001\.nii\.gz: expected shape"),
    ],
)
def test_faulty_volumes_are_named_when_they_are_read(
    root: Path, path: str, array: np.ndarray, message: str
) -> None:
    save(root / path, array)
    source = NNUNET.load(root)
    with pytest.raises(DataError, match=message):
        read_case(source.cases[0], source, slice_axis_of(source))


@pytest.mark.parametrize(("ending", "unit"), [(".png", "px"), (".nii.gz", "mm")])
def test_distances_of_pictures_are_in_pixels(tmp_path: Path, ending: str, unit: str) -> None:
    """From the files over the prepared data to the rows of cases.csv."""
    root = write_tree(tmp_path / "Dataset001_Test", ending)
    rules = PreprocessingConfig(False, None, None, 1.0, "spline", "zscore")
    prepared = prepare(NNUNET, root, tmp_path / "prepared", rules, fold="all")
    for entry in (entry for entry in prepared.entries if entry.has_label):
        label = np.asarray(prepared.reference(entry))
        rows = case_rows(label, label, entry, prepared.classes, "nan")
        assert {row["unit"] for row in rows} == {unit}
