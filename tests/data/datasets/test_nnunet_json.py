import json
from pathlib import Path
from typing import Any

import pytest
from nnunet_tree import LABELS, describe, folds, write_tree

from rwseg.core.errors import DataError
from rwseg.data.datasets.nnunet import NNUNET


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "Dataset001_Test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "expected a readable JSON file"),
        ({}, "expected a list of folds, got {}"),
        ([], r"expected a list of folds, got \[\]"),
        ([{"train": ["a"]}], r"fold 0: expected {'train': \[names\]"),
        (folds("ab", "xc"), "fold 1: names without a case: x"),
        ([{"train": ["a", "b"], "val": ["c"]}], "fold 0: cases in neither train nor val: d, e"),
        ([{"train": [*"abcde"], "val": ["c"]}], "fold 0: cases in both train and val: c"),
        ([{"train": [*"abcde"], "val": []}], "fold 0: expected some cases in val, got none"),
    ],
)
def test_faulty_folds_are_named(root: Path, content: Any, message: str) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (root / "splits_final.json").write_text(text)
    with pytest.raises(DataError, match=rf"(?s)splits_final\.json: .*{message}"):
        NNUNET.load(root)


FAULTY_JSON: list[tuple[dict[str, Any], str]] = [
    ({"channel_names": None}, r'channel_names: expected {"0": name.*, got nothing'),
    ({"channel_names": ["T1"]}, r'channel_names: expected .*got \["T1"\]'),
    ({"channel_names": {}}, "channel_names: expected .*got {}"),
    ({"channel_names": {"0": "T1", "2": "T2"}}, "channel_names: expected"),
    (
        {"channel_names": None, "modality": {"0": "MRI"}},
        "nnU-Net v1's format; convert it with nnUNetv2_convert",
    ),
    ({"labels": None}, "labels: expected .*got nothing"),
    ({"labels": {"0": "background", "1": "organ"}}, "expected an integer for '1', got .*are swapped"),
    ({"labels": LABELS | {"tumour": 2.0}}, r"labels: expected an integer for 'tumour', got 2\.0"),
    ({"labels": LABELS | {"tumour": True}}, "labels: expected an integer for 'tumour', got true"),
    (
        {"labels": LABELS | {"whole": [1, 2]}},
        r"labels: 'whole' is a region \(\[1, 2\]\), which is not supported",
    ),
    ({"labels": {"organ": 0, "tumour": 1}}, "labels: expected 'background' to be 0"),
    ({"labels": {"background": 1, "organ": 0}}, "labels: expected 'background' to be 0"),
    ({"labels": LABELS | {"tumour": 3}}, "labels: expected 2 to 255 classes, numbered 0, 1, .* without gaps"),
    ({"labels": LABELS | {"tumour": 1}}, "without gaps"),
    ({"labels": {"background": 0}}, "expected 2 to 255 classes"),
    ({"labels": LABELS | {"ignore": 4}}, "labels: expected 'ignore' to be the highest, 3, got 4"),
    ({"labels": LABELS | {"ignore": 1}}, "labels: expected 'ignore' to be the highest, 3, got 1"),
    ({"file_ending": ".mha"}, r"file_ending: expected one of \.nii, \.nii\.gz, \.png.*got \"\.mha\""),
    ({"file_ending": [".png"]}, r"file_ending: expected one of .*got \[\"\.png\"\]"),
    ({"file_ending": None}, "file_ending: expected one of .*got nothing"),
    (
        {"overwrite_image_reader_writer": "NibabelIOWithReorient"},
        "overwrite_image_reader_writer: expected Simple",
    ),
    ({"numTraining": None}, "numTraining: expected the number of training cases, got nothing"),
    ({"numTraining": "5"}, 'numTraining: expected the number of training cases, got "5"'),
    ({"numTraining": 4}, r"dataset\.json: expected numTraining 5, got 4"),
    ({"dataset": ["a"]}, "dataset: expected {name:"),
    ({"dataset": {"a": {"images": "a.nii.gz", "label": "b.nii.gz"}}}, "dataset: expected .* for 'a'"),
    (
        {"dataset": {"a/b": {"images": [], "label": ""}}},
        "dataset: expected a name without a folder, got 'a/b'",
    ),
]


@pytest.mark.parametrize(("changes", "message"), FAULTY_JSON, ids=[message for _, message in FAULTY_JSON])
def test_a_faulty_description_is_named(root: Path, changes: dict[str, Any], message: str) -> None:
    describe(root, **changes)
    with pytest.raises(DataError, match=message):
        NNUNET.load(root)


def test_all_faults_of_a_description_are_told_together(root: Path) -> None:
    describe(root, labels={"background": 0}, file_ending=".jpg", numTraining=-1)
    with pytest.raises(DataError, match=r"(?s)dataset\.json: 3 faults:.*labels.*file_ending.*numTraining"):
        NNUNET.load(root)


@pytest.mark.parametrize("text", ["", "[", "[]", '{"labels": {"a": 0, "a": 1}}', "\xff"])
def test_what_is_no_sound_json_object_is_named(root: Path, text: str) -> None:
    (root / "dataset.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"dataset\.json: expected a (readable JSON file|JSON object)"):
        NNUNET.load(root)


def test_a_reader_that_reads_the_same_is_accepted(root: Path) -> None:
    describe(root, overwrite_image_reader_writer="SimpleITKIO")
    assert len(NNUNET.load(root).cases) == 7
