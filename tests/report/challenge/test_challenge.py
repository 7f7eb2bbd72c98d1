"""The ACDC challenge: the files of a submission, what is wrong with one, and Table 5's shape."""

import gzip
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from rwseg.commands.challenge import main
from rwseg.core.errors import ConfigError, DataError
from rwseg.models.inference.whole_volumes import COLUMNS
from rwseg.report.challenge.submission import export, faults_of, submission_cases
from rwseg.report.challenge.table import TABLE_5, phase_table

# ES comes before ED in patient102: the phase is Info.cfg's, not the order of the frames
FRAMES = {"patient101": {"ED": 1, "ES": 12}, "patient102": {"ED": 9, "ES": 4}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number, (patient, frames) in enumerate(FRAMES.items()):
        folder = tmp_path / "acdc" / "testing" / patient
        folder.mkdir(parents=True)
        lines = [f"{phase}: {frame}" for phase, frame in frames.items()]
        (folder / "Info.cfg").write_text(
            "\n".join([*lines, "Group: DCM", "Height: 180", "NbFrame: 30", "Weight: 70"])
        )
        for frame in frames.values():
            affine = np.diag([-1.5, -1.5, 10, 1])
            affine[:3, 3] = rng.normal(size=3)
            image = nib.Nifti1Image(rng.integers(0, 500, (9 + number, 7, 3)).astype(np.int16), affine)
            image.header.set_xyzt_units("mm")
            nib.save(image, folder / f"{patient}_frame{frame:02d}.nii.gz")
    return tmp_path / "acdc"


@pytest.fixture
def evaluation(root: Path, tmp_path: Path) -> Path:
    """What evaluate.py leaves of this test set; a frame has as many voxels of label 1 as its number."""
    folder = tmp_path / "evaluation" / "test" / "predictions"
    folder.mkdir(parents=True)
    for patient, frames in FRAMES.items():
        for frame in frames.values():
            name = f"{patient}_frame{frame:02d}.nii.gz"
            source = nib.load(root / "testing" / patient / name)
            labels = np.zeros(source.shape, np.uint8)
            labels.flat[:frame] = 1
            labels[-1, -1] = (0, 2, 3)
            nib.save(nib.Nifti1Image(labels, source.affine), folder / name)
    return folder.parent


def test_files_are_named_by_the_phases_of_info_cfg(root: Path) -> None:
    cases = submission_cases(root)
    assert {name: case.name for name, case in cases.items()} == {
        "patient101_ED.nii.gz": "patient101_frame01",
        "patient101_ES.nii.gz": "patient101_frame12",
        "patient102_ED.nii.gz": "patient102_frame09",
        "patient102_ES.nii.gz": "patient102_frame04",
    }


@pytest.mark.parametrize("given", ["evaluation", "predictions"])
def test_an_export_is_complete_and_sound(
    root: Path, evaluation: Path, tmp_path: Path, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = evaluation if given == "evaluation" else evaluation / "predictions"
    out = tmp_path / "submission"
    assert main(["export", str(folder), "--root", str(root), "-o", str(out)]) == 0
    assert "wrote 4 label maps" in capsys.readouterr().out
    for patient, frames in FRAMES.items():
        for phase, frame in frames.items():
            written = np.asarray(nib.load(out / f"{patient}_{phase}.nii.gz").dataobj)
            assert (written == 1).sum() == frame
    assert len(list(out.iterdir())) == 4
    assert main(["check", str(out), "--root", str(root)]) == 0
    assert "complete and sound" in capsys.readouterr().out


def changed(path: Path, change: str) -> None:
    """Write `path` again with one thing wrong."""
    image = nib.load(path)
    array, affine = np.asarray(image.dataobj), image.affine
    if change == "label":
        array = array.copy()
        array[0, 0, 0] = 4
    elif change == "type":
        array = array.astype(np.int16)
    elif change == "shape":
        array = array[1:]
    elif change == "affine":
        affine = affine + 2 * np.eye(4, k=3)
    elif change == "flipped":
        affine = affine @ np.diag([-1, 1, 1, 1])
    nib.save(nib.Nifti1Image(array, affine), path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("label", r"patient101_ES\.nii\.gz: expected labels 0 to 3, got 4"),
        ("type", r"patient101_ES\.nii\.gz: expected unsigned 8-bit integers \(uint8\), got int16"),
        ("shape", r"patient101_ES\.nii\.gz: expected shape .*\(9, 7, 3\).*got \(8, 7, 3\)"),
        ("affine", r"patient101_ES\.nii\.gz: expected the affine of patient101_frame12\.nii\.gz"),
        ("flipped", r"patient101_ES\.nii\.gz: expected the affine of patient101_frame12\.nii\.gz"),
    ],
)
def test_each_fault_has_its_message(
    root: Path,
    evaluation: Path,
    tmp_path: Path,
    change: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "submission"
    export(evaluation, root, out)
    changed(out / "patient101_ES.nii.gz", change)
    assert main(["check", str(out), "--root", str(root)]) == 1
    shown = capsys.readouterr()
    [line] = shown.err.splitlines()
    assert re.search(message, line), line
    assert "1 faults" in shown.out


def test_missing_foreign_and_damaged_files_are_all_listed(
    root: Path, evaluation: Path, tmp_path: Path
) -> None:
    out = tmp_path / "submission"
    export(evaluation, root, out)
    (out / "patient101_ED.nii.gz").unlink()
    (out / "patient103_ED.nii.gz").touch()
    (out / "notes").mkdir()
    damaged = out / "patient102_ED.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    faults = faults_of(out, root)
    assert len(faults) == 4
    text = "\n".join(faults)
    assert "patient101_ED.nii.gz: missing; expected the prediction of patient101_frame01" in text
    assert "patient102_ED.nii.gz: expected a complete gzip file" in text
    for name in ("patient103_ED.nii.gz", "notes"):
        assert f"{name}: expected nothing but" in text
    assert faults_of(tmp_path / "nowhere", root) == [f"{tmp_path / 'nowhere'}: expected a folder, found none"]


def test_voxel_sizes_are_those_of_the_image(root: Path, evaluation: Path, tmp_path: Path) -> None:
    out = tmp_path / "submission"
    export(evaluation, root, out)
    path = out / "patient102_ES.nii.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[80:84] = np.float32(3.0).tobytes()  # pixdim[1]; the affine stays
    path.write_bytes(gzip.compress(bytes(content)))
    [fault] = faults_of(out, root)
    assert "patient102_ES.nii.gz: expected a header as the image's, got a pixdim that disagrees with" in fault
    assert "voxels of 3 x 1.5 x 10 by pixdim, of 1.5 x 1.5 x 10 by sform" in fault


def test_an_incomplete_export_writes_nothing(
    root: Path, evaluation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (evaluation / "predictions" / "patient102_frame04.nii.gz").unlink()
    out = tmp_path / "submission"
    assert main(["export", str(evaluation), "--root", str(root), "-o", str(out)]) == 2
    assert (
        "4 test volumes, 1 missing: patient102_frame04.nii.gz; run rwseg evaluate" in capsys.readouterr().err
    )
    assert not out.exists()


def test_other_files_and_other_data_are_refused(root: Path, evaluation: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"mine: expected a new folder, found thesis\.tex in it"):
        export(evaluation, root, out)
    shutil.move(root / "testing", root / "training")
    with pytest.raises(DataError):
        submission_cases(root)


def cases_csv(folder: Path, missed: bool) -> Path:
    rows = []
    for case, phase, offset in (("a", "ED", 0.0), ("b", "ED", 0.02), ("c", "ES", 0.1)):
        for label, name in enumerate(("RV", "myocardium", "LV"), start=1):
            lost = missed and (case, label) == ("b", 3)
            values = (
                (0.0, np.nan, np.nan, "mm", 9, 0, 1, 0)
                if lost
                else (0.9 - offset, 10 + label + 10 * offset, 5, "mm", 9, 9, 0, 0)
            )
            rows.append((case, case, phase, label, name, *values))
    folder.mkdir(parents=True)
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(folder / "cases.csv", index=False)
    return folder / "cases.csv"


def test_the_table_has_the_shape_of_the_papers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = cases_csv(tmp_path / "run" / "evaluation" / "val", missed=True)
    assert main(["table", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    header, rule, own, *rest = lines
    assert [cell.strip() for cell in header.strip("|").split("|")][1:5] == [
        "RV Dice ED",
        "RV Dice ES",
        "RV HD mm ED",
        "RV HD mm ES",
    ]
    assert rule.count("---") == 13
    cells = [cell.strip() for cell in own.strip("|").split("|")]
    assert cells[0] == path.parent.as_posix()
    # by hand: ED is the mean of 0.90 and 0.88, of 11.0 and 11.2; b's LV is missed: (0.90 + 0) / 2, 13.0 alone
    assert cells[1:5] == ["0.89", "0.80", "11.1", "12.0"]
    assert cells[9:] == ["0.45", "0.80", "13.0", "14.0"]
    assert rest[0].split("|")[2:6] == [" 0.95 ", " 0.89 ", " 12.0 ", " 13.9 "]
    assert (
        "2 cases at ED, 1 at ES; 1 structures missed, 0 spurious: they count with Dice 0 and no Hausdorff"
        in "\n".join(rest)
    )
    assert "Table 5" in rest[-1]


def test_the_papers_rows_are_its_table_5() -> None:
    assert all(len(row.split()) == 12 for row in TABLE_5.values())
    paper = Path(__file__).parents[4] / "shared" / "paper" / "region-wise-loss.txt"
    if not paper.is_file():
        pytest.skip(f"the paper's text is not at {paper}")
    text = paper.read_text(encoding="utf-8")
    for row in TABLE_5.values():
        assert row in text


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    path = cases_csv(tmp_path / "one", missed=False)
    assert "0 structures missed, 0 spurious.\n" in phase_table([path])
    table = pd.read_csv(path)
    table.assign(phase="").to_csv(tmp_path / "kits.csv", index=False)
    with pytest.raises(DataError, match=r"kits\.csv: expected ACDC's phases ED and ES"):
        phase_table([path, tmp_path / "kits.csv"])
    table.drop(columns="spurious").to_csv(tmp_path / "old.csv", index=False)
    with pytest.raises(DataError, match=r"old\.csv: expected a cases\.csv .*evaluate the run again"):
        phase_table([tmp_path / "old.csv"])
    with pytest.raises(DataError, match=r"none\.csv: expected a cases\.csv"):
        phase_table([tmp_path / "none.csv"])
