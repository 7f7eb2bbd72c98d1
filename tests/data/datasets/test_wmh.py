import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from challenge_trees import write_wmh

from rwseg.core.errors import DataError
from rwseg.data.datasets.wmh import GE3T, SINGAPORE, UTRECHT, VALIDATION, WMH
from rwseg.data.io.cases import read_case, slice_axis_of

LAYOUTS = {
    "as published in 2022": ["training/Utrecht/2", "training/Singapore/50", "training/Amsterdam/GE3T/101"],
    "archives of 2017": ["Utrecht/2", "Singapore/50", "GE3T/101"],
    "archives, centres kept": ["Utrecht/2", "Singapore/50", "Amsterdam/GE3T/101"],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_wmh(tmp_path / "wmh", LAYOUTS["as published in 2022"])


def test_ten_scans_validate_as_the_boundary_loss_draws_them() -> None:
    scans = [Path("data/wmh", str(number)) for number in (*GE3T, *SINGAPORE, *UTRECHT)]
    assert len(set(scans)) == 60
    paths = sorted(scan / "pre" / "FLAIR.nii.gz" for scan in scans)
    random.seed(0)
    assert {path.parents[1].name for path in random.sample(paths, 10)} == VALIDATION
    # Pinned, so that another Python cannot change the split unnoticed.
    assert sorted(map(int, VALIDATION)) == [2, 6, 21, 23, 33, 35, 65, 67, 101, 115]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_published_layouts_give_the_same_cases(tmp_path: Path, layout: str) -> None:
    root, scans = tmp_path / "wmh", LAYOUTS[layout]
    source = WMH.load(write_wmh(root, reversed(scans)))
    assert [(case.name, case.subject, case.split, case.group) for case in source.cases] == [
        ("wmh_2", "wmh_2", "val", "Utrecht"),
        ("wmh_50", "wmh_50", "train", "Singapore"),
        ("wmh_101", "wmh_101", "val", "GE3T"),
    ]
    for case, scan in zip(source.cases, scans, strict=True):
        assert case.images == (root / scan / "pre" / "FLAIR.nii.gz", root / scan / "pre" / "T1.nii.gz")
        assert case.label == root / scan / "wmh.nii.gz"
    assert (source.classes, source.channels) == (("background", "WMH"), ("FLAIR", "T1"))


def test_scans_for_testing_may_lack_labels(root: Path) -> None:
    write_wmh(root, ["test/Utrecht/1", "test/Amsterdam/Philips_VU .PETMR_01./160"])
    shutil.copy(root / "training/Utrecht/2/wmh.nii.gz", root / "test/Utrecht/1/wmh.nii.gz")
    found = [case for case in WMH.load(root).cases if case.split == "test"]
    assert [(case.name, case.group, case.label is not None) for case in found] == [
        ("wmh_1", "Utrecht", True),
        ("wmh_160", "Philips_VU .PETMR_01.", False),
    ]
    shutil.rmtree(root / "training")
    assert {case.split for case in WMH.load(root).cases} == {"test"}


def test_other_annotations_and_archive_leftovers_are_left_alone(root: Path) -> None:
    before = WMH.load(root)
    for stray in (
        "additional_annotations/observer_o3/training/Utrecht/2",
        "__MACOSX/Utrecht/2/pre",
        "training/__MACOSX/GE3T/101",
        "training/.cache/2",
        "training/Utrecht/notes",
    ):
        (root / stray).mkdir(parents=True)
    (root / "training" / "Utrecht" / "7").touch()
    assert WMH.load(root) == before


def test_other_pathology_counts_as_background(root: Path) -> None:
    source = WMH.load(root)
    loaded = read_case(source.cases[0], source, slice_axis_of(source))
    on_file = np.asanyarray(nib.load(source.cases[0].label).dataobj).T
    assert set(np.unique(on_file)) == {0, 1, 2}
    np.testing.assert_array_equal(loaded.label, on_file == 1)
    assert loaded.image.shape[0] == 2
    assert loaded.spacing == pytest.approx((3.0, 0.95, 0.96))


def remove(*names: str) -> Callable[[Path], None]:
    return lambda root: [(root / name).unlink() for name in names] and None


SCAN = "training/Amsterdam/GE3T/101"
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "channel": (remove(f"{SCAN}/pre/T1.nii.gz"), r"GE3T/101: missing pre/T1\.nii\.gz$"),
    "label": (remove(f"{SCAN}/wmh.nii.gz"), r"GE3T/101: missing wmh\.nii\.gz$"),
    "preprocessed": (
        lambda root: shutil.rmtree(root / SCAN / "pre"),
        r"GE3T/101: missing pre/FLAIR\.nii\.gz, pre/T1\.nii\.gz$",
    ),
    "channel of a test scan": (
        lambda root: remove("test/Utrecht/1/pre/T1.nii.gz")(write_wmh(root, ["test/Utrecht/1"])),
        r"test/Utrecht/1: missing pre/T1\.nii\.gz$",
    ),
    "number twice": (
        lambda root: write_wmh(root, ["test/Utrecht/50"]),
        r"Utrecht/50: expected numbers that occur once, got also \S+/training/Singapore/50$",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_scan_is_named(root: Path, fault: str) -> None:
    break_it, message = FAULTS[fault]
    break_it(root)
    with pytest.raises(DataError, match=r"got 1 faulty scan\(s\)") as caught:
        WMH.load(root)
    assert re.search(rf"^  \S+{message}", str(caught.value), re.MULTILINE)
    assert "training/Utrecht/2:" not in str(caught.value)


@pytest.mark.parametrize("state", ["no such folder", "no scan folder in it"])
def test_an_empty_root_says_where_to_get_the_scans(tmp_path: Path, state: str) -> None:
    root = tmp_path / "wmh"
    if state == "no scan folder in it":
        (root / "training" / "Utrecht").mkdir(parents=True)
    with pytest.raises(DataError, match=f"expected root/training/.*; got {state}") as caught:
        WMH.load(root)
    for help_text in (str(root), "10.34894/AECRSD", "pre/FLAIR.nii.gz", "wmh.nii.gz", "dataset.root="):
        assert help_text in str(caught.value)
