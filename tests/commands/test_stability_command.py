"""The figure of wrong signs over training, from real tiny runs."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from made_run import make_run
from trainings import run

from rwseg.commands.stability import epochs_of, main
from rwseg.core.errors import RunError
from rwseg.training.callbacks.epoch_table import EpochTable


@pytest.mark.slow
def test_the_figure_compares_runs_by_what_they_measured(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boundary = [*tiny, "schedule.epochs=2", "loss=rw_boundary"]
    folders = [run([*tiny, "schedule.epochs=2"]), run(boundary), run([*boundary, "loss.rectify=true"])]
    tables = [pd.read_csv(folder / "metrics" / "epochs.csv") for folder in folders]
    first = [float(table["train/wrong_sign"][0]) for table in tables]
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


@pytest.fixture
def alike(tmp_path: Path) -> list[Path]:
    """Two runs of one name, the second one not validated yet."""
    folders = [make_run(tmp_path / name / "seed0", ["loss=rrw"]) for name in ("first", "second")]
    for folder, dice in zip(folders, ("0.5", ""), strict=True):
        (folder / "metrics").mkdir()
        table = f"epoch,train/wrong_sign,val/dice\n0,0.25,{dice}\n"
        (folder / "metrics" / "epochs.csv").write_text(table)
    return folders


def test_runs_of_one_name_are_told_apart(
    alike: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*map(str, alike), "-o", str(tmp_path / "signs.svg")]) == 0
    first, second, _ = capsys.readouterr().out.splitlines()
    assert f"seed 0 ({alike[0]}): wrong signs in the first epoch 25.0 %" in first
    assert first.endswith("final mean Dice 0.500")
    assert f"({alike[1]})" in second
    assert second.endswith("not validated yet")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["first/seed0", "first/../first/seed0", "-o", "a.png"], "expected each run once, got"),
        (["first/seed0", "-o", "figure"], "figure: expected the ending of a picture, such as .png"),
        (["first/seed0", "-o", "first/seed0/config.yaml/a.png"], "a.png: cannot be written: "),
    ],
)
def test_what_cannot_be_drawn_is_told(
    words: list[str], message: str, alike: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_a_class_that_is_never_predicted_is_warned_of(
    tiny: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    # what users of unrectified maps see: with a large step the first epochs already lose the right ventricle
    large = ["loss=rw_boundary", "schedule.learning_rate=0.02", "schedule.batches_per_epoch=8", "seed=3"]
    large.append("schedule.epochs=6")
    with caplog.at_level("WARNING"):
        folder = run([*tiny, *large])
    cases = pd.read_csv(folder / "metrics" / "cases.csv")
    lost = [name for name, rows in cases.groupby("class_name") if rows["predicted_voxels"].sum() == 0]
    assert "RV" in lost
    assert "class 'RV' is in the reference but was predicted nowhere in 3 validations in a row" in caplog.text
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["silent_validations"]["RV"] >= 3


@pytest.mark.parametrize("text", ["", "epoch\n0,1\n0,1,2\n", "epoch,a\nx,\0\n"])
def test_a_damaged_table_of_epochs_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics" / "epochs.csv"
    path.parent.mkdir()
    path.write_text(text)
    trainer = SimpleNamespace(is_global_zero=True, current_epoch=1)
    with pytest.raises(RunError, match=r"epochs\.csv: expected the table of a training, got: .*force=true"):
        EpochTable(path).on_train_start(trainer, None)  # type: ignore[arg-type]
    with pytest.raises(RunError, match=r"epochs\.csv: expected "):
        epochs_of(tmp_path)
