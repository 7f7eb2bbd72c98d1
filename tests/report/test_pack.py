"""The packed data of a study hold what its runs measured, and are reported like the runs themselves."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import COMMIT, HEART, write_run, write_unfinished

from rwseg.commands.report import main
from rwseg.core.errors import RunError
from rwseg.report.comparison.compare import compare
from rwseg.report.comparison.runs import find_runs
from rwseg.report.pack import pack


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
    assert len(list((tmp_path / "packed").iterdir())) == 4


def test_nothing_finished_is_told(tmp_path: Path) -> None:
    write_unfinished(tmp_path, "failed")
    with pytest.raises(RunError, match="expected finished runs to pack, got 1 of which none has finished"):
        pack(find_runs([tmp_path]), tmp_path / "packed")


def test_packed_runs_are_reported_like_the_runs_themselves(runs: Path, tmp_path: Path) -> None:
    pack(find_runs([runs]), tmp_path / "packed")
    whole, packed = (
        compare(find_runs([folder]), allowed=["schedule"]) for folder in (runs, tmp_path / "packed")
    )
    assert [method.name for method in packed.methods] == [method.name for method in whole.methods]
    for name in ("summary", "over_seeds", "ranks", "convergence", "curves", "cost", "settings"):
        pd.testing.assert_frame_equal(
            getattr(packed, name), getattr(whole, name), rtol=1e-3, atol=1e-5, obj=name
        )
    for first, second in zip(packed.methods, whole.methods, strict=True):
        for run, source in zip(first.runs, second.runs, strict=True):
            assert run.settings == source.settings
            assert run.choices == source.choices
            assert (run.data_digest, run.split_digest, run.commit) == ("d" * 32, "5" * 16, COMMIT)


def test_packed_runs_and_new_ones_pack_as_all_of_them_at_once(runs: Path, tmp_path: Path) -> None:
    at_once = pack(find_runs([runs]), tmp_path / "once")
    late = runs / "ce" / "alone" / "seed1"
    late.rename(tmp_path / "late")
    pack(find_runs([runs]), tmp_path / "early")
    merged = pack(find_runs([tmp_path / "early", tmp_path / "late"]), tmp_path / "merged")
    assert [path.read_bytes() for path in merged] == [path.read_bytes() for path in at_once]


def test_a_setting_of_one_run_stays_its_own(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "rrw", seed=0)
    write_run(tmp_path / "runs", "rrw", seed=1, settings={"schedule.learning_rate": 0.01})
    pack(find_runs([tmp_path / "runs"]), tmp_path / "packed")
    first, second = find_runs([tmp_path / "packed"])
    rates = [run.settings["schedule.learning_rate"] for run in (first, second)]
    assert rates[1] == "0.01" != rates[0]
    assert len(first.settings) == len(second.settings)


def test_columns_of_epochs_that_a_run_lacks_stay_absent(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "runs", "rrw")
    write_run(tmp_path / "runs", "rrw", "gradual_dice")
    path = folder / "metrics" / "epochs.csv"
    pd.read_csv(path).drop(columns="train/loss_gap").to_csv(path, index=False)
    pack(find_runs([tmp_path / "runs"]), tmp_path / "packed")
    for run, source in zip(find_runs([tmp_path / "packed"]), find_runs([tmp_path / "runs"]), strict=True):
        assert run.epochs is not None
        assert source.epochs is not None
        assert list(run.epochs) == list(source.epochs)
        assert np.allclose(run.epochs, source.epochs, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("settings.json", None, "settings.json: expected the settings of the packed runs, found none"),
        ("settings.json", "{", "settings.json: expected the settings of the packed runs, got"),
        ("machines.csv", None, "machines.csv: expected the table beside runs.csv.gz"),
        ("machines.csv", "method,seed\n", "machines.csv: expected columns .* found no seconds"),
        ("runs.csv.gz", "no table", "runs.csv.gz: expected a table in CSV"),
    ],
)
def test_a_faulty_packed_study_is_named(
    runs: Path, tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    packed = tmp_path / "packed"
    pack(find_runs([runs]), packed)
    (packed / name).unlink() if content is None else (packed / name).write_text(content)
    with pytest.raises(RunError, match=message):
        find_runs([packed])


def test_a_run_without_its_cases_or_settings_is_named(runs: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    pack(find_runs([runs]), packed)
    facts = pd.read_csv(packed / "machines.csv")
    facts.loc[0, "seed"] = 77
    facts.to_csv(packed / "machines.csv", index=False)
    with pytest.raises(RunError, match="expected the cases of ce, seed 77, found none"):
        find_runs([packed])
    content = json.loads((packed / "settings.json").read_text())
    del content["methods"]["ce"]
    (packed / "settings.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"settings.json: expected the settings .*, found none of ce"):
        find_runs([packed])
