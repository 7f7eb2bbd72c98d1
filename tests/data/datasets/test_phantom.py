import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rwseg.core.errors import DataError
from rwseg.data.datasets.acdc import ACDC
from rwseg.data.datasets.phantom import PHANTOM, SUBJECTS, draw_hearts, write_phantom
from rwseg.data.datasets.phantom_geometry import LV, MYOCARDIUM, RV, label_volume
from rwseg.data.io.cases import read_case


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }


def test_load_writes_the_whole_phantom_once_in_the_layout_of_acdc(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "phantom"
    source = PHANTOM.load(root)
    splits = [case.split for case in source.cases]
    assert splits.count("train") == splits.count("val") == SUBJECTS == PHANTOM.subjects
    written = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert PHANTOM.load(root) == source == ACDC.load(root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == written
    assert [path.name for path in root.parent.iterdir()] == ["phantom"], "nothing temporary stays"


def test_files_hold_the_geometry_that_the_marker_tells(phantom_root: Path) -> None:
    marker = json.loads((phantom_root / "phantom.json").read_text())
    source = ACDC.load(phantom_root)
    for case in source.cases:
        loaded, heart = read_case(case, source, 2), draw_hearts(int(case.subject[-3:]))[case.phase]
        told = marker["subjects"][case.subject][case.phase]
        assert (tuple(told["shape"]), tuple(told["spacing"])) == (heart.shape, heart.spacing)
        assert told["cavity"] == {"radius": heart.cavity.radius, "length": heart.cavity.length}
        assert loaded.image.shape == (1, *heart.shape)
        np.testing.assert_allclose(loaded.spacing, heart.spacing, rtol=1e-6)
        np.testing.assert_array_equal(loaded.label, label_volume(heart))


def test_blood_is_brighter_than_muscle_but_no_threshold_separates_the_heart(phantom_root: Path) -> None:
    source = ACDC.load(phantom_root)
    for case in source.cases:
        loaded = read_case(case, source, 2)
        image, label = loaded.image[0], loaded.label
        assert image[label == LV].mean() > 1.7 * image[label == MYOCARDIUM].mean()
        assert image[label == RV].mean() > 1.7 * image[label == MYOCARDIUM].mean()
        best = 0.0
        for threshold in np.percentile(image, np.arange(50, 100)):
            bright, blood = image > threshold, (label == LV) | (label == RV)
            best = max(best, 2 * (bright & blood).sum() / (bright.sum() + blood.sum()))
        assert best < 0.75


def test_writing_twice_gives_the_same_bytes_whatever_the_number_of_subjects(
    tmp_path: Path, phantom_root: Path
) -> None:
    write_phantom(tmp_path / "again", subjects=4)
    assert contents(tmp_path / "again") == contents(phantom_root)
    write_phantom(tmp_path / "fewer", subjects=2)
    fewer = {name: data for name, data in contents(tmp_path / "fewer").items() if name != "phantom.json"}
    assert len(fewer) == 2 * 5
    assert all(contents(phantom_root)[name] == data for name, data in fewer.items())


@pytest.mark.slow
def test_processes_that_start_together_end_with_one_phantom(tmp_path: Path, phantom_root: Path) -> None:
    root = tmp_path / "phantom"
    program = (
        "import sys, time; from pathlib import Path; from rwseg.data.datasets.phantom import write_phantom\n"
        "print('ready', flush=True); sys.stdin.readline(); write_phantom(Path(sys.argv[1]), subjects=4)"
    )
    command = [sys.executable, "-c", program, str(root)]
    pipe = subprocess.PIPE
    writers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [writer.communicate(timeout=60)[1] for writer in writers] == ["", ""]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert contents(root) == contents(phantom_root)
    assert [path.name for path in tmp_path.iterdir()] == ["phantom"]


def test_a_slower_writer_leaves_the_faster_ones_phantom(tmp_path: Path) -> None:
    write_phantom(tmp_path / "phantom", subjects=2)
    before = contents(tmp_path / "phantom")
    write_phantom(tmp_path / "phantom", subjects=3)
    assert contents(tmp_path / "phantom") == before
    assert [path.name for path in tmp_path.iterdir()] == ["phantom"]


def set_marker(root: Path, **values: object) -> None:
    marker = json.loads((root / "phantom.json").read_text())
    (root / "phantom.json").write_text(json.dumps(marker | values))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no marker": (
        lambda root: (root / "phantom.json").unlink(),
        r"got a folder without phantom\.json; if the data in it are yours, say how they lie: dataset=folder",
    ),
    "broken marker": (lambda root: (root / "phantom.json").write_text("{"), "file that cannot be read"),
    "empty marker": (lambda root: (root / "phantom.json").write_text("{}"), "file that cannot be read"),
    "list as marker": (lambda root: (root / "phantom.json").write_text("[]"), "file that cannot be read"),
    "older format": (lambda root: set_marker(root, format=0), r"expected \(format, seed\) .*got \(0, "),
    "lost subject": (lambda root: shutil.rmtree(root / "training" / "patient003"), "missing patient003"),
    "lost label": (
        lambda root: (root / "training/patient002/patient002_frame01_gt.nii.gz").unlink(),
        r"missing patient002_frame01_gt\.nii\.gz",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_is_no_whole_phantom_is_refused_and_left_alone(
    tmp_path: Path, phantom_root: Path, fault: str
) -> None:
    root = Path(shutil.copytree(phantom_root, tmp_path / "phantom"))
    break_it, message = FAULTS[fault]
    break_it(root)
    before = contents(root)
    with pytest.raises(DataError, match=message) as caught:
        PHANTOM.load(root)
    is_ours = (root / "phantom.json").is_file()
    assert ("delete" in str(caught.value)) == is_ours, "what rwseg did not write is nobody's to delete"
    assert contents(root) == before


def test_a_phantom_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"phantom cannot be written: Not a directory.*dataset\.root"):
        write_phantom(tmp_path / "file" / "phantom", subjects=1)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
