import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from rwseg.core.errors import DataError
from rwseg.data.case import Case
from rwseg.data.datasets.acdc import ACDC, CLASSES
from rwseg.data.io.cases import read_case, write_labels


def by_name(cases: Sequence[Case]) -> dict[str, Case]:
    return {case.name: case for case in cases}


@pytest.fixture
def root(tmp_path: Path, phantom_root: Path) -> Path:
    """A copy of the phantom, patients 1 to 4, that a test may break."""
    return Path(shutil.copytree(phantom_root, tmp_path / "acdc"))


def test_even_patients_train_and_odd_ones_validate(root: Path) -> None:
    source = ACDC.load(root)
    cases = source.cases
    assert [(case.subject, case.phase, case.split) for case in cases] == [
        (f"patient00{number}", phase, "train" if number % 2 == 0 else "val")
        for number in (1, 2, 3, 4)
        for phase in ("ED", "ES")
    ]
    first = cases[0]
    assert first.name == "patient001_frame01"
    assert first.images == (root / "training/patient001/patient001_frame01.nii.gz",)
    assert first.label == root / "training/patient001/patient001_frame01_gt.nii.gz"
    assert (source.classes, source.channels) == (CLASSES, ("MRI",))
    assert (source.label_values, source.slice_axis, source.folds) == (((0,), (1,), (2,), (3,)), 2, ())


def test_phases_come_from_info_cfg_and_cases_are_sorted_by_frame(root: Path) -> None:
    folder = root / "training" / "patient001"
    late = next(
        int(line.split(":")[1]) for line in (folder / "Info.cfg").read_text().splitlines() if "ES" in line
    )
    (folder / "Info.cfg").write_text(f"Group: NOR\r\nES:1\r\n  ED : {late:02d} \r\n\r\n")
    cases = [case for case in ACDC.load(root).cases if case.subject == "patient001"]
    assert [(case.name, case.phase) for case in cases] == [
        ("patient001_frame01", "ES"),
        (f"patient001_frame{late:02d}", "ED"),
    ]


def test_the_group_is_the_diagnosis_or_empty_where_none_is_given(root: Path) -> None:
    info = root / "training" / "patient002" / "Info.cfg"
    info.write_text(info.read_text().replace("Group: NOR", " Group : HCM "))
    info = root / "training" / "patient003" / "Info.cfg"
    info.write_text(info.read_text().replace("Group: NOR\n", ""))
    groups = {(case.subject, case.group) for case in ACDC.load(root).cases}
    assert groups == {("patient001", "NOR"), ("patient002", "HCM"), ("patient003", ""), ("patient004", "NOR")}


def test_testing_patients_may_lack_labels(root: Path) -> None:
    (root / "testing").mkdir()
    for number, has_labels in ((101, False), (102, True)):
        folder = Path(
            shutil.copytree(root / "training" / "patient002", root / "testing" / f"patient{number}")
        )
        for path in folder.glob("*.nii.gz"):
            path.rename(folder / path.name.replace("patient002", folder.name))
        if not has_labels:
            for path in folder.glob("*_gt.nii.gz"):
                path.unlink()
    source = ACDC.load(root)
    cases = [case for case in source.cases if case.split == "test"]
    assert [(case.subject, case.label is not None) for case in cases] == [
        ("patient101", False),
        ("patient101", False),
        ("patient102", True),
        ("patient102", True),
    ]
    assert read_case(cases[0], source, 2).label is None
    shutil.rmtree(root / "training")
    assert {case.split for case in ACDC.load(root).cases} == {"test"}


@pytest.mark.parametrize("state", ["no such folder", "no patient folder in it"])
def test_a_root_without_patients_says_where_to_get_acdc(tmp_path: Path, state: str) -> None:
    root = tmp_path / "acdc"
    if state == "no patient folder in it":
        (root / "training").mkdir(parents=True)
    with pytest.raises(DataError, match=f"{re.escape(str(root))}: expected root/training.*{state}") as caught:
        ACDC.load(root)
    for help_text in (ACDC.homepage, "Info.cfg", "dataset.root=", "RWSEG_DATA"):
        assert help_text in str(caught.value)


def rewrite(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "Info.cfg").write_text(text)


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no Info.cfg": (lambda folder: (folder / "Info.cfg").unlink(), r"Info\.cfg: this file is missing"),
    "Info.cfg is a folder": (
        lambda folder: ((folder / "Info.cfg").unlink(), (folder / "Info.cfg").mkdir()),
        r"Info\.cfg: cannot be read: Is a directory",
    ),
    "no ES": (rewrite("ED: 1\n"), r"Info\.cfg: expected the lines .*, got no ES"),
    "no integer": (rewrite("ED: one\nES: 8.5\n"), r"Info\.cfg: expected .*, got ED: one, ES: 8\.5"),
    "binary": (
        lambda folder: (folder / "Info.cfg").write_bytes(b"\xff\xfe\x00"),
        r"Info\.cfg: expected .*, got no ED, no ES",
    ),
    "one frame": (rewrite("ED: 1\nES: 1\n"), r"Info\.cfg: expected different frames .*, got 1"),
    "no image": (
        lambda folder: (folder / "patient003_frame01.nii.gz").unlink(),
        r"patient003: missing patient003_frame01\.nii\.gz",
    ),
    "no label": (
        lambda folder: (folder / "patient003_frame01_gt.nii.gz").unlink(),
        r"patient003: missing patient003_frame01_gt\.nii\.gz",
    ),
    "name": (
        lambda folder: folder.rename(folder.with_name("patient_3")),
        r"patient_3: expected a folder name",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_patient_is_named(root: Path, fault: str) -> None:
    break_it, message = FAULTS[fault]
    break_it(root / "training" / "patient003")
    with pytest.raises(DataError, match=rf"got 1 faulty patient\(s\):\n  .*{message}") as caught:
        ACDC.load(root)
    assert "patient004" not in str(caught.value)


def test_many_patients_with_one_fault_are_a_line(root: Path) -> None:
    for number in range(2, 26):
        folder = root / "training" / f"patient{number:03d}"
        folder.mkdir(exist_ok=True)
        (folder / "Info.cfg").unlink(missing_ok=True)
    with pytest.raises(DataError, match=r"got 24 faulty patient\(s\)") as caught:
        ACDC.load(root)
    _, line, *advice = str(caught.value).splitlines()
    assert "patient002/Info.cfg: this file is missing" in line
    assert "(the same of 23 more: patient003/Info.cfg, " in line
    assert line.endswith("patient010/Info.cfg and 15 more)")
    assert len(advice) == 1


def test_real_acdc_has_the_split_and_phases_of_the_paper(acdc_root: Path) -> None:
    cases = ACDC.load(acdc_root).cases
    assert Counter(case.split for case in cases) == {"train": 100, "val": 60}
    assert Counter(case.phase for case in cases) == {"ED": 80, "ES": 80}
    assert {int(case.subject[-3:]) % 2 for case in cases if case.split == "train"} == {0}
    found = by_name(cases)
    assert (found["patient090_frame04"].phase, found["patient090_frame11"].phase) == ("ED", "ES")
    assert [case.name for case in cases] == sorted(found)
    assert Counter(case.group for case in cases) == dict.fromkeys(("DCM", "HCM", "MINF", "NOR", "RV"), 32)


def test_real_acdc_is_read_with_its_geometry_and_its_phases_fit(acdc_root: Path, tmp_path: Path) -> None:
    source = ACDC.load(acdc_root)
    found = by_name(source.cases)
    diastole, systole = found["patient090_frame04"], found["patient090_frame11"]
    loaded = read_case(diastole, source, 2)
    assert loaded.image.shape == (1, 7, 224, 154)
    np.testing.assert_allclose(loaded.spacing, (10, 1.78571, 1.78571))
    cavities = [(read_case(case, source, 2).label == 3).sum() for case in (diastole, systole)]
    assert cavities[0] > cavities[1] > 0
    assert loaded.label is not None
    write_labels(tmp_path / "copy.nii.gz", loaded.label, like=diastole.images[0], slice_axis=2)
    copy, source = nib.load(tmp_path / "copy.nii.gz"), nib.load(diastole.label)
    np.testing.assert_array_equal(np.asanyarray(copy.dataobj), np.asanyarray(source.dataobj))
    np.testing.assert_array_equal(copy.affine, source.affine)
