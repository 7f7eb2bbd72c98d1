"""The figure of wrong signs over training, from real tiny runs."""

from pathlib import Path

import pandas as pd
import pytest

from rwseg.cli import compose
from rwseg.config import check
from rwseg.run import train_run
from rwseg.stability_figure import main


def run(overrides: list[str]) -> Path:
    cfg, choices = compose("train", overrides)
    return train_run(check(cfg), choices)


def test_the_figure_compares_runs_by_what_they_measured(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boundary = [*tiny, "schedule.epochs=2", "loss=rw_boundary"]
    folders = [run([*tiny, "schedule.epochs=2"]), run(boundary), run([*boundary, "loss.rectify=true"])]
    first = [float(pd.read_csv(folder / "metrics" / "epochs.csv")["train/wrong_sign"][0]) for folder in folders]
    assert first[0] == first[2] == 0
    assert first[1] > 0
    capsys.readouterr()
    assert main([*map(str, folders), "-o", str(tmp_path / "signs.png")]) == 0
    said = capsys.readouterr().out
    assert f"rw_boundary, seed 0: wrong signs in the first epoch {100 * first[1]:.1f} %" in said
    assert "rw_boundary rectified, seed 0: wrong signs in the first epoch 0.0 %" in said
    assert (tmp_path / "signs.png").stat().st_size > 10_000


def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "-o", str(tmp_path / "signs.png")]) == 2
    assert "expected a run directory" in capsys.readouterr().err


def test_a_class_that_is_never_predicted_is_warned_of_and_the_count_survives_a_resume(
    tiny: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a learning rate of almost nothing leaves the classes that the first weights do not predict without a voxel
    frozen = [*tiny, "schedule.learning_rate=1e-12", "stability.patience=3", "schedule.epochs=3"]
    with caplog.at_level("WARNING"):
        folder = run(frozen)
    cases = pd.read_csv(folder / "metrics" / "cases.csv")
    lost = [name for name, rows in cases.groupby("class_name") if rows["predicted_voxels"].sum() == 0]
    if not lost:
        pytest.fail("the first weights of this seed predict every class: choose another seed for this test")
    for name in lost:
        assert f"class '{name}' is in the reference but was predicted nowhere in 3 validations" in caplog.text
