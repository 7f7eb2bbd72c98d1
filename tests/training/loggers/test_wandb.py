"""W&B beside the CSV files: offline runs, read back from what W&B wrote."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wandb
from wandb_files import config, epoch_rows, exit_codes, history, offline_files, records, started

from rwseg.core.errors import RunError
from rwseg.experiments.composition import compose
from rwseg.experiments.config.schema import Choices, TrainConfig
from rwseg.experiments.config.targets import displayed
from rwseg.experiments.config.validation import check, plain
from rwseg.experiments.loggers import tracked
from rwseg.experiments.run import train_run
from rwseg.experiments.run_identity import Identity
from rwseg.training.loggers.callbacks import Tracked

pytestmark = pytest.mark.usefixtures("offline")


def asked(*overrides: str) -> tuple[TrainConfig, Choices]:
    cfg, choices = compose("train", ["logger=wandb", *overrides])
    return check(cfg), choices


def begin(cfg: TrainConfig, folder: Path, choices: Choices) -> AbstractContextManager[list[Tracked]]:
    """The loggers of a training that begins."""
    folder.mkdir(exist_ok=True)
    identity = Identity(folder, displayed(cfg, choices), cfg.seed)
    return tracked(cfg.logger, identity, identity.settings(cfg), (0, 0))


RUNS = {"rrw": 0, "rw_boundary": 3}


def test_runs_of_one_process_are_described_tracked_and_ended_each_for_itself(tmp_path: Path) -> None:
    for loss, seed in RUNS.items():
        cfg, choices = asked(f"loss={loss}", f"seed={seed}", "strategy=equal_dice")
        with begin(cfg, tmp_path / loss, choices) as [tracker]:
            assert tracker.first_epoch == 0
            tracker.logger.log_metrics({"epoch": 0, "val/dice": 0.5}, step=9)
            tracker.logger.log_metrics({"epoch": 1, "val/dice": 0.75 + seed}, step=19)
        assert wandb.run is None
    ids = [(tmp_path / loss / "wandb_id.txt").read_text().strip() for loss in RUNS]
    assert ids[0] != ids[1]
    for (loss, seed), run_id in zip(RUNS.items(), ids, strict=True):
        (path,) = offline_files(tmp_path / loss)
        found = records(path)
        run = started(found)
        assert run.run_id == run_id
        assert (run.project, run.run_group) == ("rwseg-phantom", f"phantom/phantom/{loss}/equal_dice")
        assert (run.display_name, run.job_type) == (f"{loss}-equal_dice-s{seed}", "train")
        assert set(run.tags) == {"phantom", loss, "equal_dice", "default"}
        expected, _ = asked(f"loss={loss}", f"seed={seed}", "strategy=equal_dice")
        content = config(found)
        assert {key: content[key] for key in plain(expected)} == plain(expected)
        assert content["method"] == f"phantom/phantom/{loss}/equal_dice"
        assert content["run_json"] == str(tmp_path / loss / "run.json")
        rows = history(found)
        assert [rows[step]["val/dice"] for step in (0, 1)] == [0.5, 0.75 + seed]
        assert [rows[step]["trainer/global_step"] for step in (0, 1)] == [9, 19]
        assert exit_codes(found) == [0]


@pytest.mark.parametrize("error", [ValueError("no good"), KeyboardInterrupt()])
def test_a_failing_run_ends_with_status_1(tmp_path: Path, error: BaseException) -> None:
    cfg, choices = asked()
    with pytest.raises(type(error)), begin(cfg, tmp_path / "run", choices):
        raise error
    assert wandb.run is None
    (path,) = offline_files(tmp_path / "run")
    assert exit_codes(records(path)) == [1]


@pytest.mark.slow
def test_a_training_that_fails_goes_on_in_the_same_run_with_each_epoch_once(
    tiny: list[str], tmp_path: Path, fails_once: Callable[[int], None]
) -> None:
    cfg, choices = asked(*tiny)
    fails_once(6)  # epochs of 4 steps: in the second one
    with pytest.raises(RuntimeError, match="out of memory"):
        train_run(cfg, choices)
    (folder,) = (path.parent for path in tmp_path.rglob("wandb_id.txt"))
    (first,) = offline_files(folder)
    failed = records(first)
    assert sorted(epoch_rows(failed)) == [0]
    assert exit_codes(failed) == [1]
    make_older(first.parent)
    train_run(*asked(*tiny))
    (second,) = offline_files(folder)  # the first one is set aside
    found = records(second)
    assert started(found).run_id == started(failed).run_id
    assert exit_codes(found) == [0]
    rows = epoch_rows(found)
    assert sorted(rows) == [0, 1, 2]
    table = pd.read_csv(folder / "metrics" / "epochs.csv")
    np.testing.assert_allclose([rows[epoch]["train/loss"] for epoch in range(3)], table["train/loss"])


def make_older(start: Path) -> Path:
    """Two starts within a second would share a folder."""
    return start.rename(start.with_name(f"offline-run-20200101_000000-{start.name.rpartition('-')[2]}"))


@pytest.mark.parametrize("name", ["offline-run-20200101_000000", "run-20200101_000000"])
def test_after_a_start_that_was_sent_it_is_left_open_what_w_and_b_lacks(tmp_path: Path, name: str) -> None:
    cfg, choices = asked()
    folder = tmp_path / "run"
    with begin(cfg, folder, choices) as [tracker]:
        assert tracker.first_epoch == 0
    (path,) = offline_files(folder)
    sent = path.parent.rename(path.parent.with_name(f"{name}-{path.parent.name.rpartition('-')[2]}"))
    if name.startswith("offline"):
        (sent / f"{path.name}.synced").touch()  # what `wandb sync` leaves
    with begin(cfg, folder, choices) as [tracker]:
        assert tracker.first_epoch is None
    assert sent.is_dir()


def test_without_an_account_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr("sys.stdin", io.StringIO())  # no terminal to ask at
    cfg, choices = asked()
    with (
        pytest.raises(RunError, match=r"logger=wandb: expected an account .*set WANDB_MODE=offline, or"),
        begin(cfg, tmp_path / "run", choices),
    ):
        pytest.fail("a run without an account")
    assert wandb.run is None


def test_a_damaged_id_is_refused(tmp_path: Path) -> None:
    cfg, choices = asked()
    (tmp_path / "wandb_id.txt").write_text("../other")
    with (
        pytest.raises(RunError, match=r"wandb_id.txt: expected the id of a W&B run, found '../other'"),
        begin(cfg, tmp_path, choices),
    ):
        pytest.fail("a run under a damaged id")


def test_csv_alone_needs_no_tracker_and_no_files(tmp_path: Path) -> None:
    cfg, choices = compose("train", [])
    with begin(check(cfg), tmp_path, choices) as trackers:
        assert trackers == []
    assert {path.name for path in tmp_path.iterdir()} <= {"home"}
