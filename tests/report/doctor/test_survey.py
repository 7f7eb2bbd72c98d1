"""What the doctor says of data: each fault and each oddity in its own words, and nothing of sound data."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rwseg.data.case import IGNORE, Case, Remark, Source, plain_labels
from rwseg.data.io.nifti import write_volume
from rwseg.report.doctor.findings import Finding
from rwseg.report.doctor.survey import Seen, findings, look, shares, spread

CLASSES = ("background", "organ", "tumour")


def seen(name: str, split: str = "train", subject: str = "", voxels: tuple[int, ...] = (90, 8, 2)) -> Seen:
    case = Case(name, subject or name, "", split, (Path(f"{name}.nii.gz"),), Path(f"{name}_gt.nii.gz"))
    return Seen(case, "", (4, 30, 20), (5.0, 1.0, 1.0), voxels, 0, fingerprint=name)


def source(*items: Seen) -> Source:
    return Source(tuple(item.case for item in items), CLASSES, ("MRI",), plain_labels(3))


def told(items: list[Seen], subjects: int | None = None) -> list[Finding]:
    return [found for found in findings(items, source(*items), subjects) if found.level != "ok"]


SOUND = [seen("a"), seen("b"), seen("c", "val")]
D = seen("d")


def test_sound_data_has_neither_faults_nor_notes() -> None:
    assert told(SOUND, subjects=3) == []


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        (lambda s: [replace(s[0], fault="a.nii.gz: truncated"), *s[1:]], "fault", "a.nii.gz: truncated"),
        (lambda s: s[:2], "fault", "split 'val': expected at least one case"),
        (lambda s: [replace(s[0], case=replace(s[0].case, label=None)), *s[1:]], "fault", "missing for a"),
        (lambda s: [*s, seen("d", "val", subject="a")], "fault", "subjects in more than one split: a"),
        (lambda s: [*s, replace(seen("d"), fingerprint="a")], "note", "several names, 1 time(s): a, d"),
        (lambda s: [*s[:2], seen("c", "val", voxels=(95, 5, 0))], "note", "no voxel of class 'tumour'"),
        (lambda s: [*s, seen("d", voxels=(100, 0, 0))], "note", "1 references without any foreground: d"),
        (lambda s: [*s, replace(D, native_spacing=(5.0, 1.0, 2.5))], "note", "is the slice axis right"),
        (lambda s: [*s, replace(D, native_spacing=(25.0, 1.0, 1.0))], "note", "the median in 1 case(s): d"),
        (lambda s: [*s, replace(D, remarks=(Remark("an odd thing", "d.nii"),))], "note", "odd thing in 1 "),
        (lambda s: s, "note", "3 of the 9 labelled subjects"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(change: Callable[[list[Seen]], list[Seen]], level: str, words: str) -> None:
    found = told(change(list(SOUND)), subjects=9 if "labelled subjects" in words else None)
    assert [item.level for item in found if words in item.text] == [level]


def test_a_fold_of_all_cases_needs_none_to_validate() -> None:
    levels = [found.level for found in findings(SOUND[:2], source(*SOUND[:2]), None, needed=("train",))]
    assert "fault" not in levels
    assert "fault" in [found.level for found in findings(SOUND[2:], source(*SOUND[2:]), None, ("train",))]


def test_many_names_are_not_all_listed() -> None:
    items = [seen(f"n{number:02}", voxels=(100, 0, 0)) for number in range(30)] + SOUND
    (text,) = [item.text for item in told(items) if "without any foreground" in item.text]
    assert "n07 and 22 more" in text
    assert "n08" not in text


def test_shares_are_percent_of_what_was_labelled() -> None:
    items = [replace(seen("a", voxels=(60, 30, 10)), ignored=900), seen("b", voxels=(100, 0, 0))]
    assert shares(items) == pytest.approx([80, 15, 5])


@pytest.mark.parametrize(("count", "names"), [(1, "a"), (2, "ac"), (3, "abc"), (9, "abc")])
def test_cases_shown_are_spread_over_the_listing(count: int, names: str) -> None:
    broken = replace(seen("x"), fault="broken")
    assert "".join(item.case.name for item in spread([broken, *SOUND], count)) == names


def test_a_case_is_read_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    label = rng.choice([0, 1, 4, 9], (3, 12, 7)).astype(np.uint8)
    paths = tmp_path / "a.nii.gz", tmp_path / "a_gt.nii.gz"
    write_volume(paths[0], rng.normal(size=label.shape).astype(np.float32), (8.0, 1.5, 1.0))
    write_volume(paths[1], label, (8.0, 1.5, 1.0))
    case = Case("a", "a", "", "train", (paths[0],), paths[1])
    where = Source((case,), CLASSES, ("MRI",), ((0,), (1,), (4,)), ignore=9)
    found = look(where, 2, case)
    assert (found.fault, found.shape) == ("", (3, 12, 7))
    assert found.native_spacing == pytest.approx((8.0, 1.5, 1.0))
    assert found.voxels == tuple(int((label == value).sum()) for value in (0, 1, 4))
    assert found.ignored == (label == 9).sum()
    assert IGNORE not in range(len(CLASSES))

    paths[1].write_bytes(paths[1].read_bytes()[:-9])
    assert "a_gt.nii.gz" in look(where, 2, case).fault
