"""The command: its words, its picture, its exit status."""

import os
import re
import shutil
from importlib.metadata import requires
from pathlib import Path

import pytest
from PIL import Image

from rwseg.commands.doctor import main
from rwseg.report.doctor.installation import PREPARED, installation, packages


def overrides(root: Path, tmp_path: Path, prepared_root: Path) -> list[str]:
    return [
        "dataset=phantom",
        f"dataset.root={root}",
        f"output_root={tmp_path / 'outputs'}",
        f"prepared_root={prepared_root}",
        "trainer=cpu",
        "model.features=4",
        "dataset.patch_size=[32,48]",
        "dataset.batch_size=3",
        "evaluation.flips=false",
    ]


def test_sound_data_can_start(
    phantom_root: Path, prepared_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "sheet.png"
    status = main(["-o", str(picture), *overrides(phantom_root, tmp_path, prepared_root)])
    told = capsys.readouterr().out
    assert status == 0
    assert "a run can start" in told.splitlines()[-1]
    assert "8 cases: 4 train (2 subjects), 4 val (2 subjects)" in told
    assert "myocardium" in told
    assert "s per batch of 3x32x48" in told
    assert "6 epochs of 80 batches take about" in told
    with Image.open(picture) as drawn:
        assert min(drawn.size) > 400


@pytest.mark.slow
def test_the_challenge_which_trains_on_every_case_can_start(
    phantom_root: Path, prepared_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [
        item for item in overrides(phantom_root, tmp_path, prepared_root) if item != "dataset=phantom"
    ]
    small = ["dataset.patch_size=[64,64]", "dataset.spacing=null", "workers=1"]
    status = main(["experiment=acdc_challenge", *settings, *small])
    told = capsys.readouterr().out
    assert status == 0, told
    assert "8 train (4 subjects)" in told


@pytest.mark.slow
def test_what_a_centre_crop_loses_is_told(
    phantom_root: Path, prepared_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = overrides(phantom_root, tmp_path, prepared_root)
    assert main(["-o", str(tmp_path / "sheet.png"), *settings, "dataset.center_crop=[24,24]"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert re.search(r"note the crop cuts off \S+ % of the foreground \(RV \S+ %, myocardium", told), told


def test_damaged_data_cannot(
    phantom_root: Path, prepared_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "phantom"
    shutil.copytree(phantom_root, root)
    damaged = next(root.glob("training/*/*_frame01.nii.gz"))
    damaged.write_bytes(damaged.read_bytes()[:-40])
    picture = tmp_path / "sheet.png"
    assert main(["-o", str(picture), *overrides(root, tmp_path, prepared_root), "workers=1"]) == 1
    told = capsys.readouterr().out
    assert f"fault {damaged}" in told
    assert "1 faults: a run cannot start" in told
    assert "per batch" not in told
    assert picture.is_file(), "what can be read is drawn all the same"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dataset=acdc", "dataset.root=/nowhere"], "/nowhere"),
        (["datset=acdc"], "datset"),
        (["dataset=phantom", "schedule.epochs=0"], "schedule.epochs"),
        (["loss=rrw,ce"], "expected one run to examine, got 2; give one value of each"),
    ],
)
def test_a_wrong_question_is_answered_in_plain_words(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    assert words in capsys.readouterr().out


def test_without_a_dataset_only_the_installation_is_examined(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    told = capsys.readouterr().out
    assert "torch" in told
    assert "GiB free for runs" in told
    assert "cases" not in told


def test_versions_are_held_against_requirements() -> None:
    wanted = [*(requires("rwseg") or []), "torch>=99", "no-such-package-at-all>=1"]
    faults = [found.text for found in packages(wanted) if found.level == "fault"]
    assert [text.split(":")[0] for text in faults] == ["torch", "no-such-package-at-all>=1"]


def test_a_folder_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "outputs"
    found = [item for item in installation({"runs": folder}) if item.level == "fault"]
    assert [str(folder) in item.text for item in found] == [True]


def test_prepared_data_may_be_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode == os.W_OK and path == tmp_path))
    said = [
        item for item in installation({"runs": tmp_path, PREPARED: tmp_path}) if str(tmp_path) in item.text
    ]
    assert [item.level for item in said] == ["fault", "note"]
