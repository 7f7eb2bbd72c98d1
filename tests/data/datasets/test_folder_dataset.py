"""Folders of images and masks: what is found in people's trees."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folder_trees import TREES, mask_of, picture_of, save

from rwseg.core.errors import DataError
from rwseg.data.case import IGNORE, Case, Source
from rwseg.data.datasets.folder import FOLDER, load
from rwseg.data.io.cases import read_case, slice_axis_of
from rwseg.data.preprocessing.config import PreprocessingConfig
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.split import with_fold
from rwseg.experiments.config.overrides import override_of
from rwseg.experiments.config.rules import is_labels, is_names, is_subject

NATIVE = PreprocessingConfig(
    crop=False, spacing=None, size=None, zoom=1.0, interpolation="spline", normalisation="zscore"
)
PLAIN = {"labels": {"background": 0, "one": 1, "two": 2}}


def options_of(overrides: list[str]) -> dict[str, Any]:
    """Overrides of a command line as `load` takes them."""
    read = [override_of(text) for text in overrides]
    return {one.key_or_group.removeprefix("dataset."): one.value() for one in read}


def written(root: Path, tree: str) -> Source:
    return load(root, **options_of(TREES[tree](root)))


EXPECTED: dict[str, tuple[dict[str, int], int, tuple[str, ...], tuple[str, ...]]] = {
    "flat_rgb": ({"train": 10}, 10, ("red", "green", "blue"), ("background", "class_1", "class_2")),
    "split_by_hand": ({"train": 5, "val": 2, "test": 2}, 9, ("grey",), ("background", "class_1")),
    "sixteen_bit": ({"train": 8}, 8, ("grey",), ("background", "cytoplasm", "nucleus")),
    "one_folder": ({"train": 8}, 6, ("red", "green", "blue"), ("background", "class_1")),
    "file_per_channel": ({"train": 8}, 8, ("dapi", "gfp"), ("background", "class_1", "class_2")),
    "volumes": ({"train": 6}, 6, ("image",), ("background", "organ", "tumour")),
    "bids": ({"train": 11}, 6, ("T1w",), ("background", "grey", "white")),
    "slices_of_patients": ({"train": 24}, 6, ("red", "green", "blue"), ("background", "vessel", "lesion")),
}


SIZE = dict.fromkeys(("volumes", "bids"), (40, 44))
NUMBERS: dict[str, Callable[[Case, list[int]], int]] = {
    "split_by_hand": lambda case, found: 10 * ("train", "val", "test").index(case.split) + found[-1],
    "bids": lambda case, found: 2 * found[0] + found[1] - 1,
    "slices_of_patients": lambda case, found: 4 * found[0] + found[1],
}
"""Which mask of `mask_of` a case has, by the numbers in its name; else by the last one."""


@pytest.mark.parametrize("tree", TREES)
def test_every_tree_is_read_as_it_was_written(tree: str, tmp_path: Path) -> None:
    source = written(tmp_path, tree)
    splits, subjects, channels, classes = EXPECTED[tree]
    assert Counter(case.split for case in source.cases) == splits
    assert len({case.subject for case in source.cases}) == subjects
    assert (source.channels, source.classes) == (channels, classes)
    for case in source.cases:
        numbers = [int(number) for number in re.findall(r"\d+", case.name)]
        mask = mask_of(
            NUMBERS.get(tree, lambda _, found: found[-1])(case, numbers), len(classes), SIZE.get(tree)
        )
        loaded = read_case(case, source, slice_axis_of(source))
        assert loaded.image.shape == (len(channels), 3 if tree in SIZE else 1, *mask.shape)
        assert loaded.unit == ("mm" if tree in SIZE else "px")
        assert (loaded.label is None) == (case.split == "test")
        for plane in () if loaded.label is None else loaded.label:
            np.testing.assert_array_equal(plane, mask)
    fold = with_fold(source, 0)
    assert {"train", "val"} <= {case.split for case in fold.cases}
    halves = [{case.subject for case in fold.cases if case.split == split} for split in ("train", "val")]
    assert not halves[0] & halves[1]


def test_a_split_by_hand_is_the_only_fold(tmp_path: Path) -> None:
    source = written(tmp_path, "split_by_hand")
    assert [case.split for case in with_fold(source, 0).cases] == [case.split for case in source.cases]
    assert {case.split for case in with_fold(source, "all").cases} == {"train", "test"}
    assert [case.name for case in source.cases][::5] == ["train_0", "val_0"]
    assert [case.label is None for case in source.cases] == [False] * 7 + [True] * 2


def test_pictures_have_pixels_and_channels_keep_their_order(tmp_path: Path) -> None:
    TREES["file_per_channel"](tmp_path)
    for order in (["dapi", "gfp"], ["gfp", "dapi"]):
        source = load(tmp_path, channels=order)
        loaded = read_case(source.cases[3], source, 2)
        assert (loaded.unit, loaded.spacing, source.suffixes) == (
            "px",
            (1, 1, 1),
            tuple(f"_{c}" for c in order),
        )
        for channel, dye in zip(loaded.image, order, strict=True):
            shown = picture_of(mask_of(3), 3 + 100 * (dye == "gfp"))
            np.testing.assert_array_equal(channel[0], shown)


def test_sixteen_bits_are_not_cut(tmp_path: Path) -> None:
    source = written(tmp_path, "sixteen_bit")
    image = read_case(source.cases[0], source, 2).image[0, 0]
    np.testing.assert_array_equal(image, picture_of(mask_of(0), 0).astype(np.float32) * 257)
    assert source.written == (0, 128, 255)


def test_a_class_may_have_several_values_and_nobody_labels_the_ignored(tmp_path: Path) -> None:
    mask = np.array([[0, 3, 7], [9, 7, 255]], np.uint8)
    save(tmp_path / "images/a.png", mask)
    save(tmp_path / "masks/a.png", mask)
    source = load(tmp_path, labels={"vessel": [3, 9], "background": 0, "lesion": 7, "ignore": 255})
    assert source.classes == ("background", "vessel", "lesion")
    label = read_case(source.cases[0], source, 2).label
    assert label is not None
    assert label[0].tolist() == [[0, 1, 2], [1, 2, IGNORE]]
    assert source.written == (0, 3, 7)


@pytest.mark.parametrize(
    ("values", "taken"),
    [
        ([0, 1], True),
        ([0, 1, 2], True),
        ([0, 255], True),
        ([0, 128, 255], False),
        ([1, 2], False),
        ([0, 2, 3], False),
        ([5], False),
    ],
)
def test_without_labels_values_of_one_meaning_are_taken_and_others_proposed(
    values: list[int], taken: bool, tmp_path: Path
) -> None:
    mask = np.resize(np.array(values, np.uint8), (12, 14))
    for name in "abc":
        save(tmp_path / f"images/{name}.png", mask)
        save(tmp_path / f"masks/{name}.png", mask)
    try:
        source = load(tmp_path)
        (said,) = source.notes
        assert taken
        assert source.label_values == tuple((value,) for value in values)
    except DataError as error:
        said = str(error)
        assert not taken
    (proposed,) = re.findall(r"'(dataset\.labels=.*?)'", said)
    labels = options_of([proposed])
    if len(values) > 1:
        assert is_labels(labels["labels"])
        assert load(tmp_path, **labels).label_values == tuple((value,) for value in values)


def test_following_the_proposals_reads_pictures_of_both_kinds(tmp_path: Path) -> None:
    """Masks with a palette and with 0, 128, 255, several slices a patient."""
    TREES["slices_of_patients"](tmp_path)
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    proposed = re.findall(r"'(dataset\.\w+=.*?)'", str(caught.value))
    options = options_of(proposed)
    assert (is_labels(options["labels"]), is_subject(options["subject"])) == (True, True)
    source = load(tmp_path, **options)
    assert source.label_values == ((0,), (1, 128), (2, 255))
    assert Counter(case.subject for case in source.cases) == {f"patient{n:02}": 4 for n in range(6)}


def test_folders_of_patients_are_part_of_the_names(tmp_path: Path) -> None:
    for patient in ("p1", "p2"):
        for name in ("1.png", "2.png"):
            save(tmp_path / f"images/{patient}/{name}", mask_of(1))
            save(tmp_path / f"masks/{patient}/{name}", mask_of(1))
    (tmp_path / "images/Thumbs.db").touch()
    (tmp_path / "images/p1/._1.png").touch()
    source = load(tmp_path, subject="^(p.)_")
    assert [(case.name, case.subject) for case in source.cases] == [
        ("p1_1", "p1"), ("p1_2", "p1"), ("p2_1", "p2"), ("p2_2", "p2")
    ]  # fmt: skip


def test_a_split_may_lie_within_images_and_masks(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "train", "val", "test")):
        save(tmp_path / f"images/{split}/{number}.png", mask_of(number))
        if split != "test":
            save(tmp_path / f"masks/{split}/{number}.png", mask_of(number))
    found = [(case.name, case.split, case.label is None) for case in load(tmp_path).cases]
    assert found == [("0", "train", False), ("1", "train", False), ("2", "val", False), ("3", "test", True)]


@pytest.mark.parametrize(("tree", "are_shared"), [("sixteen_bit", True), ("volumes", False)])
def test_folds_of_pictures_share_what_is_prepared(tree: str, are_shared: bool, tmp_path: Path) -> None:
    """The median spacing of volumes depends on which of them train; that of pictures is 1."""
    options = options_of(TREES[tree](tmp_path / "data"))
    dataset = replace(FOLDER, load=partial(load, **options))
    median = replace(NATIVE, spacing="median")
    made = [prepare(dataset, tmp_path / "data", tmp_path, median, fold=fold) for fold in (0, 1)]
    assert (made[0].folder == made[1].folder) == are_shared
    if are_shared:
        assert made[0].preprocessing.spacing == (1, 1)


def test_the_dataset_takes_the_settings_of_the_schema() -> None:
    assert FOLDER.options == ("labels", "subject", "mask_suffix", "channels")
    assert all(test(None) for test in (is_labels, is_subject, is_names))
