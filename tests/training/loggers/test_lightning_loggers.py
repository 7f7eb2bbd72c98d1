"""TensorBoard's event file and MLflow's store, read back with their own readers."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from trainings import run

from rwseg.core.errors import RunError
from rwseg.experiments.composition import compose
from rwseg.experiments.config.targets import displayed
from rwseg.experiments.config.validation import check
from rwseg.experiments.loggers import tracked
from rwseg.experiments.run_identity import Identity

pytestmark = pytest.mark.usefixtures("no_server")


def epochs(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "metrics" / "epochs.csv").set_index("epoch")


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }


def settings(folder: Path) -> bytes:
    """The line of TensorBoard's HParams table."""
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    plugins = events.PluginTagToContent("hparams")
    assert b"final/dice" in plugins["_hparams_/experiment"]
    return bytes(plugins["_hparams_/session_start_info"])


def mlflow_run(folder: Path) -> tuple[MlflowClient, Run]:
    client = MlflowClient((folder / "mlruns").as_uri())
    (experiment,) = (one for one in client.search_experiments() if one.name != "Default")
    assert experiment.name == "rwseg-phantom"
    (found,) = client.search_runs([experiment.experiment_id])
    return client, found


def metrics(folder: Path) -> dict[str, list[tuple[int, float]]]:
    client, found = mlflow_run(folder)
    return {
        key: [(metric.step, metric.value) for metric in client.get_metric_history(found.info.run_id, key)]
        for key in found.data.metrics
    }


READ = {"tensorboard": scalars, "mlflow": metrics}


def check_rows(found: dict[str, list[tuple[int, float]]], folder: Path) -> None:
    """Every value of `epochs.csv` once under its step, and the means of `cases.csv` after the last one."""
    table = epochs(folder).reset_index().set_index("step")
    for key in table.columns:
        expected = table[key].dropna()
        assert [step for step, _ in found.get(key, [])] == list(expected.index), key
        if not key.endswith("seconds"):  # of an epoch that ran again after it was sent
            np.testing.assert_allclose([value for _, value in found.get(key, [])], expected, rtol=1e-6)
    cases = pd.read_csv(folder / "metrics" / "cases.csv")
    ((step, dice),) = found["final/dice"]
    assert (step, dice) == (
        table.index[-1] + 1,
        pytest.approx(cases.groupby("class_name")["dice"].mean().mean()),
    )


KILLED = """
import os, signal, sys
from rwseg.experiments.composition import compose
from rwseg.experiments.config.targets import displayed
from rwseg.experiments.config.validation import check
from rwseg.experiments.run import train_run
from rwseg.training.loggers import callbacks

if sys.argv.pop(1) == "before":
    callbacks.LogEpochs.on_train_epoch_end = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
else:
    send = callbacks.LogEpochs._send
    callbacks.LogEpochs.on_train_epoch_end = lambda *_: (send(_[0]), os.kill(os.getpid(), signal.SIGKILL))
cfg, choices = compose("train", sys.argv[1:])
train_run(check(cfg), choices)
"""
"""A training whose process is killed before an epoch is sent, or after that and before it is saved."""


@pytest.mark.parametrize(
    ("logger", "when"),
    [
        pytest.param("tensorboard", "before", marks=pytest.mark.slow),
        pytest.param("mlflow", "after", marks=pytest.mark.slow),
        pytest.param("tensorboard", "after", marks=pytest.mark.slow),
        pytest.param("mlflow", "before", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_was_interrupted_twice_has_each_epoch_once(
    tiny: list[str], tmp_path: Path, logger: str, when: str, fails_once: Callable[[int], None]
) -> None:
    short = ["schedule.epochs=2", "stability.every=2"]
    overrides = [*tiny, *short, f"logger={logger}", "strategy=gradual_ce"]
    fails_once(6)  # epochs of 4 steps: in the second one
    with pytest.raises(RuntimeError, match="out of memory"):
        run(overrides)
    (folder,) = (path.parent for path in tmp_path.rglob("run.json"))
    assert [step for step, _ in READ[logger](folder)["train/loss"]] == [3]
    if logger == "mlflow":
        assert mlflow_run(folder)[1].info.status == "FAILED"

    command = [sys.executable, "-c", KILLED, when, *overrides]
    killed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 0
    sent = [3, 7] if when == "after" else [3]
    assert [step for step, _ in READ[logger](folder)["train/loss"]] == sent
    time.sleep(1.1)  # TensorBoard names its files by the second, and reads them in that order
    assert run(overrides) == folder
    check_rows(READ[logger](folder), folder)
    if logger == "mlflow":
        assert mlflow_run(folder)[1].info.status == "FINISHED"
    else:
        assert b"schedule/epochs" in settings(folder)


def log_one_epoch(folder: Path, *overrides: str) -> None:
    composed, choices = compose("train", ["logger=mlflow", *overrides])
    cfg = check(composed)
    folder.mkdir(exist_ok=True)
    identity = Identity(folder, displayed(cfg, choices), cfg.seed)
    with tracked(cfg.logger, identity, identity.settings(cfg), (0, 0)) as [tracker]:
        tracker.logger.log_metrics({"epoch": 0, "train/loss": 0.5}, step=0)


def test_mlflow_describes_runs_and_keeps_those_of_a_process_apart(tmp_path: Path) -> None:
    for loss in ("rrw", "ce"):
        log_one_epoch(tmp_path / loss, f"loss={loss}", "schedule.epochs=7")
    for loss in ("rrw", "ce"):
        _, found = mlflow_run(tmp_path / loss)
        assert found.info.run_name == f"{loss}-s0"
        assert found.data.tags["group"] == f"phantom/phantom/{loss}/alone"
        assert found.data.params["schedule/epochs"] == "7"
        assert found.data.params["run_json"] == str(tmp_path / loss / "run.json")
        assert (tmp_path / loss / "mlflow_id.txt").read_text() == found.info.run_id


def test_mlflow_uses_the_store_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.as_uri())
    for loss in ("rrw", "ce"):
        log_one_epoch(tmp_path / loss, f"loss={loss}")
        assert not (tmp_path / loss / "mlruns").exists()
    client = MlflowClient(store.as_uri())
    experiment = client.get_experiment_by_name("rwseg-phantom")
    assert experiment is not None
    names = {one.info.run_name for one in client.search_runs([experiment.experiment_id])}
    assert names == {"rrw-s0", "ce-s0"}


def test_an_id_that_the_store_does_not_know_is_refused(tmp_path: Path) -> None:
    log_one_epoch(tmp_path / "run")
    (tmp_path / "run" / "mlflow_id.txt").write_text("0" * 32)
    with pytest.raises(RunError, match=r"an MLflow store at file:.*, which knows the run of .*_id\.txt"):
        log_one_epoch(tmp_path / "run")


@pytest.mark.parametrize("logger", READ)
def test_a_missing_package_is_said(tiny: list[str], logger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, logger, None)
    with pytest.raises(
        RunError, match=rf"logger={logger}: expected the package '{logger}', .*rwseg\[{logger}\]"
    ):
        run([*tiny, f"logger={logger}"])
