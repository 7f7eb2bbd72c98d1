"""The packed data of a study hold what its runs measured."""

from pathlib import Path

import pandas as pd
import pytest
from synthetic import COMMIT, HEART, write_run, write_unfinished

from rwseg.commands.report import main
from rwseg.core.errors import RunError
from rwseg.report.comparison.runs import find_runs
from rwseg.report.study import pack


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    root = tmp_path / "outputs"
    for loss in ("rrw", "ce"):
        for seed in range(2):
            write_run(root, loss, seed=seed, facts={"processor": "a kind, AVX2"})
    write_run(root, "rw_boundary", "gradual_dice", settings={"schedule.learning_rate": 0.01})
    write_unfinished(root, "running", loss="dice")
    return root


def test_every_case_of_every_finished_run_is_there(runs: Path, tmp_path: Path) -> None:
    pack(find_runs([runs]), tmp_path / "packed")
    table = pd.read_csv(tmp_path / "packed" / "runs.csv.gz", dtype={"subject": str})
    assert list(table) == [
        "method", "loss", "strategy", "seed", "case", "subject", "phase", "class_name", "dice", "hausdorff",
        "hausdorff95", "unit", "missed", "spurious",
    ]  # fmt: skip
    assert set(table["method"]) == {"rrw", "ce", "rw_boundary + dice, gradual"}
    own = table[(table["loss"] == "ce") & (table["seed"] == 1)].reset_index(drop=True)
    source = pd.read_csv(runs / "ce" / "alone" / "seed1" / "metrics" / "cases.csv", dtype={"subject": str})
    pd.testing.assert_frame_equal(own[list(own)[4:]], source[list(own)[4:]], rtol=1e-5)
    assert set(own["class_name"]) == set(HEART)


def test_epochs_and_machines_are_named(runs: Path, tmp_path: Path) -> None:
    pack(find_runs([runs]), tmp_path)
    epochs, facts = pd.read_csv(tmp_path / "epochs.csv.gz"), pd.read_csv(tmp_path / "machines.csv")
    assert epochs.groupby(["method", "seed"]).size().tolist() == [6] * 5
    source = pd.read_csv(runs / "rrw" / "alone" / "seed0" / "metrics" / "epochs.csv")
    own = epochs[(epochs["loss"] == "rrw") & (epochs["seed"] == 0)].reset_index(drop=True)
    pd.testing.assert_frame_equal(own[list(source)], source, rtol=1e-5, check_dtype=False)
    assert facts["commit"].tolist() == [COMMIT] * 5
    assert sorted(facts["processor"].unique()) == ["a kind, AVX2", "unknown"]
    assert facts.set_index("loss").loc["rw_boundary", "learning_rate"] == 0.01


def test_the_same_runs_give_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    first, second = (pack(find_runs([runs]), tmp_path / name) for name in ("one", "two"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_command_packs_without_a_report(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(runs), "--pack", str(tmp_path / "packed")]) == 0
    assert "runs.csv.gz" in capsys.readouterr().out
    assert len(list((tmp_path / "packed").iterdir())) == 3


def test_nothing_finished_is_told(tmp_path: Path) -> None:
    write_unfinished(tmp_path, "failed")
    with pytest.raises(RunError, match="expected finished runs to pack, got 1 of which none has finished"):
        pack(find_runs([tmp_path]), tmp_path / "packed")
