import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from challenge_trees import write_brats18

from rwseg.core.errors import DataError
from rwseg.data.datasets.brats18 import BRATS18
from rwseg.data.io.cases import read_case, slice_axis_of

NAMES = ("Brats18_TCIA01_131_1", "Brats18_2013_2_1", "Brats18_CBICA_AAB_1")
IN_ORDER = ["Brats18_2013_2_1", "Brats18_CBICA_AAB_1", "Brats18_TCIA01_131_1"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_brats18(tmp_path / "brats18", NAMES)


def test_every_second_case_in_the_order_of_names_trains(root: Path) -> None:
    source = BRATS18.load(root)
    assert [(case.name, case.split) for case in source.cases] == list(
        zip(IN_ORDER, ("train", "val", "train"), strict=True)
    )
    first, folder = source.cases[0], root / "HGG" / IN_ORDER[0]
    assert (first.subject, first.phase, first.group) == (IN_ORDER[0], "", "")
    assert first.label == folder / f"{IN_ORDER[0]}_seg.nii.gz"
    assert first.images == tuple(
        folder / f"{IN_ORDER[0]}_{kind}.nii.gz" for kind in ("t2", "t1", "t1ce", "flair")
    )
    assert source.channels == ("T2", "T1", "T1CE", "FLAIR")
    assert source.classes == ("background", "NCR_NET", "ED", "ET")


def test_the_low_grades_and_what_else_lies_around_are_left_alone(root: Path) -> None:
    before = BRATS18.load(root)
    write_brats18(root / "LGG_as_HGG", ["Brats18_2013_0_1"])
    (root / "LGG_as_HGG" / "HGG").rename(root / "LGG")
    (root / "HGG" / ".DS_Store").touch()
    (root / "HGG" / "Brats18_notes.txt").touch()
    (root / "HGG" / "__MACOSX").mkdir()
    (root / "HGG" / "figures").mkdir()
    (root / "survival_data.csv").touch()
    assert BRATS18.load(root) == before


def test_values_0_1_2_4_are_read_as_classes_and_channels_in_their_order(root: Path) -> None:
    source = BRATS18.load(root)
    case = source.cases[1]
    loaded = read_case(case, source, slice_axis_of(source))
    on_file = np.asanyarray(nib.load(case.label).dataobj).T
    assert loaded.label is not None
    assert [(on_file == value).sum() for value in (0, 1, 2, 4)] == np.bincount(loaded.label.ravel()).tolist()
    np.testing.assert_array_equal(loaded.label == 3, on_file == 4)
    for channel, kind in zip(loaded.image, ("t2", "t1", "t1ce", "flair"), strict=True):
        image = nib.load(root / "HGG" / case.name / f"{case.name}_{kind}.nii.gz").get_fdata()
        np.testing.assert_array_equal(channel, image.T)


@pytest.mark.parametrize("some", [("t1ce", "flair"), ("flair",), ("flair", "t1", "t2")])
def test_the_same_modalities_in_every_case_become_the_channels(tmp_path: Path, some: tuple[str, ...]) -> None:
    source = BRATS18.load(write_brats18(tmp_path, NAMES, some))
    expected = [kind for kind in ("t2", "t1", "t1ce", "flair") if kind in some]
    assert source.channels == tuple(kind.upper() for kind in expected)
    for case in source.cases:
        assert [path.name for path in case.images] == [f"{case.name}_{kind}.nii.gz" for kind in expected]


def remove(*kinds: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        for kind in kinds:
            (folder / f"{folder.name}_{kind}.nii.gz").unlink()

    return act


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a modality": (remove("t1"), r"missing Brats18_CBICA_AAB_1_t1\.nii\.gz$"),
    "two modalities": (remove("t1ce", "t2"), r"missing .*AAB_1_t2\.nii\.gz, .*AAB_1_t1ce\.nii\.gz$"),
    "labels": (remove("seg"), r"missing Brats18_CBICA_AAB_1_seg\.nii\.gz$"),
    "everything": (remove("t1", "t2", "t1ce", "flair", "seg"), r"missing (\S+, ){4}\S+_seg\.nii\.gz$"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_case_that_lacks_files_which_others_have_is_named(root: Path, fault: str) -> None:
    break_it, message = FAULTS[fault]
    break_it(root / "HGG" / "Brats18_CBICA_AAB_1")
    with pytest.raises(DataError, match=r"got 1 faulty case\(s\)") as caught:
        BRATS18.load(root)
    assert re.search(rf"^  .*Brats18_CBICA_AAB_1: {message}", str(caught.value), re.MULTILINE)
    assert not re.search(r"TCIA01|2013_2", str(caught.value))


def test_all_faulty_cases_are_listed_together(root: Path) -> None:
    remove("t1")(root / "HGG" / IN_ORDER[0])
    remove("seg")(root / "HGG" / IN_ORDER[2])
    with pytest.raises(DataError, match=r"got 2 faulty case\(s\):\n  .*_t1\.nii\.gz\n  .*_seg\.nii\.gz\n"):
        BRATS18.load(root)


def test_images_without_any_modality_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing \S+_t2\.nii\.gz, \S+_t1\.nii\.gz, "):
        BRATS18.load(write_brats18(tmp_path, NAMES, modalities=()))


@pytest.mark.parametrize("state", ["no such folder", "no case folder in it"])
def test_an_empty_root_says_where_to_get_brats(tmp_path: Path, state: str) -> None:
    root = tmp_path / "brats18"
    if state == "no case folder in it":
        (root / "HGG").mkdir(parents=True)
    with pytest.raises(DataError, match=f"expected root/HGG/Brats18_.*; got {state}") as caught:
        BRATS18.load(root)
    for help_text in (str(root), BRATS18.homepage, "_flair", "_seg", "dataset.root=", "RWSEG_DATA"):
        assert help_text in str(caught.value)


def test_real_brats_has_two_channels_and_four_classes() -> None:
    root = Path(__file__).parents[4] / "shared" / "data" / "brats18"
    if not root.is_dir():
        pytest.skip(f"real BraTS 2018 data is not at {root}")
    source = BRATS18.load(root)
    assert [(case.name, case.split) for case in source.cases] == [
        ("Brats18_2013_3_1", "train"),
        ("Brats18_2013_5_1", "val"),
        ("Brats18_2013_6_1", "train"),
    ]
    assert source.channels == ("T1CE", "FLAIR")
    loaded = read_case(source.cases[1], source, slice_axis_of(source))
    assert loaded.image.shape == (2, 155, 240, 240)
    assert loaded.spacing == (1.0, 1.0, 1.0)
    on_file = np.asanyarray(nib.load(source.cases[1].label).dataobj)
    assert loaded.label is not None
    assert np.bincount(loaded.label.ravel()).tolist() == [(on_file == value).sum() for value in (0, 1, 2, 4)]
