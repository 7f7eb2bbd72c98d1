"""Stored studies beside new runs: a new loss is compared by training only its own seeds."""

import re
from pathlib import Path

import pytest
from synthetic import write_run

from rwseg.commands.report import main
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.experiments.run_directory import comparable
from rwseg.report import baselines
from rwseg.report.comparison.comparison import Run
from rwseg.report.comparison.runs import find_runs
from rwseg.report.pack import pack

pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report's figures take most of the time, and nobody looks at them here."""
    monkeypatch.setattr("rwseg.report.files.draw_figures", lambda comparison, folder: {})


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study `heart` of two methods over three seeds; its run directories are gone."""
    for loss, dice in (("rrw", 0.9), ("ce", 0.8)):
        for seed in range(3):
            write_run(tmp_path / "old", loss, seed=seed, dice=dice)
    pack(find_runs([tmp_path / "old"]), tmp_path / "studies" / "heart")
    monkeypatch.setattr(baselines, "BASELINES", tmp_path / "studies")
    return tmp_path


def new_runs(root: Path, **settings: object) -> None:
    for seed in range(2):
        facts = {"git_commit": "f" * 40, "device": "Fast GPU", "precision": "32-true"}
        write_run(root / "new", "focal", seed=seed, dice=0.85, facts=facts, settings=settings)


def test_a_new_loss_is_placed_among_the_stored_ones(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new_runs(stored)
    assert main([str(stored / "new"), "--baseline", "heart", "-o", str(stored / "out")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "focal is number 2 of 3 by mean Dice. * Smallest" in printed
    assert re.search(r"they differ by 0\.057 \[-0\.\d{3}, 0\.\d{3}\] Dice over them and 4 patients", printed)
    assert "6 runs of 8 are those of the stored study heart." in printed
    assert (
        "Accepted although the runs differ in it: commit: 0123456789ab in ce (3 runs), rrw (3 runs); fff"
        in printed
    )
    assert "Accepted although the runs differ in it: device: cpu in ce (3 runs)" in printed


def test_a_new_loss_below_the_first_two_is_compared_with_the_first(
    stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(stored / "new", "dice", dice=0.5)
    assert main([str(stored / "new"), "--baseline", "heart", "-o", str(stored / "out")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "dice is number 3 of 3 by mean Dice. * Whether the loss of rrw is better than that of dice" in printed
    )


def test_a_stored_study_is_reported_by_itself(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--baseline", "heart", "-o", str(stored / "out")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Best mean Dice: rrw" in printed
    assert " by mean Dice." not in printed


def test_another_configuration_is_not_compared(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new_runs(stored, **{"schedule.learning_rate": 0.5})
    assert main([str(stored / "new"), "--baseline", "heart", "-o", str(stored / "out")]) == 2
    assert (
        "schedule.learning_rate: 0.001 in ce (3 runs), rrw (3 runs); 0.5 in focal (2 runs)"
        in capsys.readouterr().err
    )


def test_an_unknown_study_is_told_with_those_there_are(
    stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--baseline", "haert"]) == 2
    assert "--baseline haert: expected one of the studies heart, got another name; did you mean 'heart'?" in (
        capsys.readouterr().err
    )


def test_nothing_to_report_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "the following arguments are required: DIR" in capsys.readouterr().err


@pytest.mark.slow
def test_every_study_that_comes_with_rwseg_can_be_read() -> None:
    folders = sorted(path.parent for path in baselines.BASELINES.glob("*/runs.csv.gz"))
    assert folders
    for folder in folders:
        assert {run.study for run in find_runs([folder])} == {folder.name}


@pytest.mark.parametrize(
    ("study", "experiment"), [("acdc-small", "acdc_small"), ("phantom-convergence", "phantom_convergence")]
)
def test_the_command_of_a_study_trains_what_can_be_compared_with_it(study: str, experiment: str) -> None:
    cfg, _ = compose("train", [f"experiment={experiment}"])
    unlike = ("seed", "trainer.accelerator")  # the device is compared instead
    asked = {key: text for key, text in comparable(check(cfg)).items() if key not in unlike}
    stored = next(run for run in find_runs([baselines.BASELINES / study]) if is_rrw(run))
    assert asked == stored.settings


def is_rrw(run: Run) -> bool:
    return (run.choices["loss"], run.choices["strategy"]) == ("rrw", "alone")
