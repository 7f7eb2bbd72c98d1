"""Finding and reading run directories: what counts as a run, and what is said of damaged ones."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lock_files import write_lock
from synthetic import DEAD_PROCESS, this_process, write_run, write_unfinished

from rwseg.core.errors import RunError
from rwseg.experiments.run_claim import claimed
from rwseg.models.inference import whole_volumes as volumes
from rwseg.report.comparison import run_tables
from rwseg.report.comparison.runs import find_runs, read_directory


def test_runs_are_found_at_and_below_the_folders_once_each(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / "a", "rrw"), write_run(tmp_path / "a" / "deep" / "er", "ce", seed=3)]
    write_run(tmp_path / ".hidden", "dice")
    (folders[0] / "evaluation" / "val").mkdir(parents=True)
    (folders[0] / "evaluation" / "val" / "config.yaml").write_text("seed: 1")  # inside a run is no run
    found = find_runs([tmp_path, folders[0], tmp_path / "a" / ".." / "a"])
    assert sorted(run.folder.resolve() for run in found) == sorted(folders)


def test_a_run_is_read_whole(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "rw_boundary", "equal_dice", seed=4, epochs=5)
    run = read_directory(folder)
    saved = json.loads((folder / "run.json").read_text())
    assert (run.status, run.seed, run.seconds) == ("finished", 4, 300.0)
    assert (run.commit, run.data_digest, run.split_digest) == (
        saved["git_commit"], saved["data_digest"], saved["split_digest"],
    )  # fmt: skip
    assert run.choices == saved["choices"]
    assert run.settings["loss.region_map"] == '"boundary"'
    assert run.settings["schedule.epochs"] == "5"
    assert "seed" not in run.settings
    assert not [key for key in run.settings if key.startswith(("output_root", "stability", "dataset.root"))]
    assert run.cases is not None
    assert run.epochs is not None
    np.testing.assert_allclose(run.cases["dice"], pd.read_csv(folder / "metrics" / "cases.csv")["dice"])
    assert run.cases["subject"].iloc[0] == "000"  # text, not the number 0
    assert len(run.epochs) == 5


def test_settings_of_another_version_are_read_too(tmp_path: Path) -> None:
    folder = write_run(tmp_path, settings={"schedule.warm_up": 3})
    assert read_directory(folder).settings["schedule.warm_up"] == "3"


def test_the_columns_are_those_that_training_writes() -> None:
    assert run_tables.COLUMNS == volumes.COLUMNS


def break_json(folder: Path) -> None:
    (folder / "run.json").write_text('{"status": "fin')


def drop_config(folder: Path) -> None:
    (folder / "config.yaml").unlink()


def break_config(folder: Path) -> None:
    (folder / "config.yaml").write_text("a: [1")


def drop_seed(folder: Path) -> None:
    (folder / "config.yaml").write_text("loss: 1")


def drop_cases(folder: Path) -> None:
    (folder / "metrics" / "cases.csv").unlink()


def change_cases(folder: Path, **columns: object) -> None:
    path = folder / "metrics" / "cases.csv"
    pd.read_csv(path).assign(**columns).to_csv(path, index=False)


def drop_column(folder: Path) -> None:
    path = folder / "metrics" / "cases.csv"
    pd.read_csv(path).drop(columns=["missed"]).to_csv(path, index=False)


def rename_to_the_old_columns(folder: Path) -> None:
    """As before `missed` was split."""
    path = folder / "metrics" / "cases.csv"
    table = pd.read_csv(path).drop(columns=["unit", "spurious"])
    names = {"hausdorff": "hausdorff_mm", "hausdorff95": "hausdorff95_mm"}
    table.rename(columns=names).to_csv(path, index=False)


def empty_table(folder: Path) -> None:
    (folder / "metrics" / "epochs.csv").write_text("")


def change_epochs(folder: Path, **columns: object) -> None:
    path = folder / "metrics" / "epochs.csv"
    pd.read_csv(path).assign(**columns).to_csv(path, index=False)


DAMAGES = [
    (break_json, "run.json: expected JSON"),
    (drop_config, "config.yaml: expected the run's configuration"),
    (break_config, "config.yaml: expected a configuration in YAML"),
    (drop_seed, "config.yaml: expected the configuration of a run with its seed"),
    (drop_cases, "expected metrics/cases.csv in a finished run"),
    (drop_column, "cases.csv: expected columns .* found no missed"),
    (lambda folder: change_cases(folder, dice="good"), "dice is not a number throughout"),
    (lambda folder: change_cases(folder, case="one"), "case one has a class twice"),
    (lambda folder: change_cases(folder, class_name=None), "a case or class has no name"),
    (lambda folder: change_cases(folder, dice=1.2), "dice is 1.2 in case 000_0"),
    (lambda folder: change_cases(folder, hausdorff=np.inf), "hausdorff is inf in case 000_0"),
    (lambda folder: change_cases(folder, hausdorff95=-1.0), "hausdorff95 is -1 in case 000_0"),
    (lambda folder: change_cases(folder, missed=2), "missed is 2 in case 000_0"),
    (lambda folder: change_cases(folder, spurious=2), "spurious is 2 in case 000_0"),
    (lambda folder: change_cases(folder, unit="inch"), "its unit is inch where it should be mm or px"),
    (
        rename_to_the_old_columns,
        "found no hausdorff, hausdorff95, unit, spurious; another version .* force=true",
    ),
    (
        lambda folder: change_cases(folder, reference_voxels=1e300),
        r"reference_voxels is 1e\+300 in case 000_0",
    ),
    (empty_table, "epochs.csv: expected a table in CSV"),
    (lambda folder: change_epochs(folder, seconds="x"), "epochs.csv: .*seconds is not a number throughout"),
    (lambda folder: change_epochs(folder, seconds=None), "epochs.csv: .*a row has no epoch or no seconds"),
    (lambda folder: change_epochs(folder, **{"val/dice": np.inf}), "epochs.csv: .*val/dice is inf in a row"),
]


@pytest.mark.parametrize(("damage", "sentence"), DAMAGES)
def test_a_damaged_run_says_what_is_wrong(tmp_path: Path, damage: object, sentence: str) -> None:
    folder = write_run(tmp_path)
    assert callable(damage)
    damage(folder)
    run = read_directory(folder)
    assert run.status == "damaged"
    assert str(folder) in run.reason
    with pytest.raises(RunError, match=sentence):
        raise RunError(run.reason)


def test_a_table_without_rows_is_damaged(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    path = folder / "metrics" / "cases.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert "it has no rows" in read_directory(folder).reason


@pytest.mark.parametrize("below", ["", "empty"])
def test_folders_without_runs_are_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"expected run directories that a training wrote.*found none"):
        find_runs([tmp_path / below])
    with pytest.raises(RunError, match="nowhere: expected a folder"):
        find_runs([tmp_path / "nowhere"])


def test_a_run_whose_process_is_gone_is_interrupted(tmp_path: Path) -> None:
    facts = {**this_process(), "pid": DEAD_PROCESS}
    run = read_directory(write_unfinished(tmp_path, "running", facts=facts))
    assert (run.status, run.reason) == ("interrupted", "its process ended without a word")


def test_a_killed_run_is_interrupted_though_its_claim_stays(tmp_path: Path) -> None:
    folder = write_unfinished(tmp_path, "running")
    code = (
        "import sys, time; from pathlib import Path; from rwseg.experiments.run_claim import claimed\n"
        "with claimed(Path(sys.argv[1])): print('claimed', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        saved = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps({**saved, **this_process(), "pid": process.pid}))
        assert read_directory(folder).status == "running"
        process.kill()
        process.wait()
    assert (folder / ".lock").is_file()
    assert read_directory(folder).status == "interrupted"


def test_a_living_process_runs_only_while_it_holds_the_claim(tmp_path: Path) -> None:
    folder = write_unfinished(tmp_path, "running", facts=this_process())
    assert read_directory(folder).status == "interrupted"  # its number was given to another process
    with claimed(folder):
        assert read_directory(folder).status == "running"
    assert read_directory(folder).status == "interrupted"
    with claimed(folder):
        pass  # looking has not kept the lock


def test_a_run_of_another_host_is_taken_at_its_word(tmp_path: Path) -> None:
    folder = write_unfinished(tmp_path, "running", facts={"host": "elsewhere", "pid": DEAD_PROCESS})
    assert read_directory(folder).status == "interrupted", "nobody claims it"
    write_lock(folder / ".lock", 120.0, host="elsewhere", pid=DEAD_PROCESS)
    before = (folder / ".lock").stat().st_mtime_ns
    assert read_directory(folder).status == "running"
    assert (folder / ".lock").stat().st_mtime_ns == before, "looking shows no heartbeat"


def test_a_failed_run_keeps_its_reason_and_what_it_measured(tmp_path: Path) -> None:
    facts = {"reason": "ValueError: too large"}
    run = read_directory(write_unfinished(tmp_path, "failed", done=2, facts=facts))
    assert (run.status, run.reason, run.cases) == ("failed", "ValueError: too large", None)
    assert run.epochs is not None
    assert len(run.epochs) == 2


def test_a_run_without_run_json_was_interrupted(tmp_path: Path) -> None:
    folder = write_unfinished(tmp_path, "running")
    (folder / "run.json").unlink()
    assert read_directory(folder).status == "interrupted"


@pytest.mark.parametrize(
    ("facts", "asked", "had"),
    [
        ({"device": "cpu", "precision": "bf16-mixed"}, "auto", "bf16-mixed"),
        ({"device": "cpu"}, "auto", "32-true"),  # before run.json had it
        ({"device": "Fast GPU"}, "auto", "16-mixed"),
        ({"device": "Fast GPU"}, "32-true", "32-true"),
    ],
)
def test_the_precision_of_a_run_is_the_one_it_had(
    facts: dict[str, str], asked: str, had: str, tmp_path: Path
) -> None:
    settings = {"trainer.precision": asked, "trainer.accelerator": "auto"}
    (run,) = find_runs([write_run(tmp_path, facts=facts, settings=settings)])
    assert run.settings["trainer.precision"] == f'"{had}"'
    assert "trainer.accelerator" not in run.settings, "the device is compared, whoever asked for it"
