import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from challenge_trees import write_isles

from rwseg.core.errors import DataError
from rwseg.data.datasets.isles import CHANNELS, ISLES, VALIDATION
from rwseg.data.io.cases import read_case, slice_axis_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_isles(tmp_path / "isles", {"TRAINING": (10, 4, 2), "TESTING": (4, 1)})


def test_twenty_cases_validate_as_the_boundary_loss_draws_them() -> None:
    folder = "SMIR.Brain.XX.O.CT.{0}/SMIR.Brain.XX.O.CT.{0}.nii"
    paths = sorted(Path("TRAINING", f"case_{n}", folder.format(345000 - n)) for n in range(1, 95))
    random.seed(0)
    assert {path.parents[1].name for path in random.sample(paths, 20)} == VALIDATION
    # Pinned, so that another Python cannot change the split unnoticed.
    numbers = [4, 14, 20, 25, 34, 39, 42, 44, 50, 54, 56, 58, 65, 66, 68, 69, 71, 77, 81, 91]
    assert sorted(int(name.removeprefix("case_")) for name in VALIDATION) == numbers


def test_cases_are_listed_by_number_and_those_for_testing_get_names_of_their_own(root: Path) -> None:
    source = ISLES.load(root)
    assert [(case.name, case.split, case.label is not None) for case in source.cases] == [
        ("case_2", "train", True),
        ("case_4", "val", True),
        ("case_10", "train", True),
        ("test_case_1", "test", False),
        ("test_case_4", "test", False),
    ]
    assert all(case.subject == case.name for case in source.cases)
    assert source.channels == CHANNELS == ("CT", "CT_CBF", "CT_CBV", "CT_MTT", "CT_Tmax")
    for case in source.cases:
        kinds = [path.name.split(".")[4] for path in case.images]
        assert kinds == list(CHANNELS)
        assert all(path.parent.name == path.stem for path in case.images)


def test_lesions_and_channels_are_read_from_their_files(root: Path) -> None:
    source = ISLES.load(root)
    case = source.cases[1]
    loaded = read_case(case, source, slice_axis_of(source))
    label = np.asanyarray(nib.load(case.label).dataobj)
    np.testing.assert_array_equal(loaded.label, label.T)
    assert label.any()
    for channel, path in zip(loaded.image, case.images, strict=True):
        np.testing.assert_array_equal(channel, nib.load(path).get_fdata().T)


def test_training_alone_is_enough_and_strays_are_left_alone(root: Path) -> None:
    before = ISLES.load(root)
    (root / "__MACOSX" / "TRAINING" / "case_2").mkdir(parents=True)
    (root / "TRAINING" / ".case_3").mkdir()
    (root / "TRAINING" / "case_list.csv").touch()
    (root / "TRAINING" / "case_2" / "SMIR.Brain.XX.O.CT.345562").mkdir()
    assert ISLES.load(root) == before
    shutil.rmtree(root / "TESTING")
    assert ISLES.load(root).cases == before.cases[:3]


def remove(kind: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        shutil.rmtree(next(folder.glob(f"SMIR.*.{kind}.*")))

    return act


def double_ct(folder: Path) -> None:
    name = "SMIR.Brain.XX.O.CT.999"
    (folder / name).mkdir()
    (folder / name / f"{name}.nii").touch()


FAULTS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "channel": ("TRAINING/case_4", remove("CT_CBF"), "case_4: .*got 0 of CT_CBF$"),
    "plain CT": ("TRAINING/case_4", remove("CT"), "case_4: .*got 0 of CT$"),
    "label": ("TRAINING/case_4", remove("OT"), "case_4: .*got 0 of OT$"),
    "channel of a test case": ("TESTING/case_1", remove("CT_Tmax"), "TESTING/case_1: .*got 0 of CT_Tmax$"),
    "two of a kind": ("TRAINING/case_4", double_ct, "case_4: expected one file .*, got 2 of CT$"),
    "name": (
        "TRAINING/case_4",
        lambda folder: folder.rename(folder.with_name("case_four")),
        "case_four: expected a folder name such as case_1",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_case_is_named(root: Path, fault: str) -> None:
    folder, break_it, message = FAULTS[fault]
    break_it(root / folder)
    with pytest.raises(DataError, match=r"got 1 faulty case\(s\)") as caught:
        ISLES.load(root)
    assert re.search(rf"^  \S+{message}", str(caught.value), re.MULTILINE)


def test_faults_are_listed_together(root: Path) -> None:
    remove("OT")(root / "TRAINING" / "case_2")
    remove("CT_MTT")(root / "TRAINING" / "case_2")
    remove("CT")(root / "TESTING" / "case_4")
    with pytest.raises(DataError, match=r"got 2 faulty case\(s\)") as caught:
        ISLES.load(root)
    assert re.search(r"TRAINING/case_2: .*got 0 of CT_MTT, 0 of OT$", str(caught.value), re.MULTILINE)
    assert re.search(r"TESTING/case_4: .*got 0 of CT$", str(caught.value), re.MULTILINE)


@pytest.mark.parametrize("state", ["no such folder", "no case folder in it"])
def test_an_empty_root_says_where_to_get_isles(tmp_path: Path, state: str) -> None:
    root = tmp_path / "isles"
    if state == "no case folder in it":
        (root / "TRAINING").mkdir(parents=True)
    with pytest.raises(DataError, match=f"expected root/TRAINING/.*; got {state}") as caught:
        ISLES.load(root)
    for help_text in (str(root), "zenodo.org/records/17736412", "CT_Tmax", "OT", "dataset.root="):
        assert help_text in str(caught.value)
