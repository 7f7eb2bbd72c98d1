"""Plans of sweeps: what they hold, how they are found again, and what a sweep says while it goes on."""

import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rwseg.core.errors import DataError, RunError
from rwseg.experiments import command
from rwseg.experiments import composition as cli
from rwseg.experiments.config.schema import Choices, TrainConfig
from rwseg.experiments.sweeps.manifest import FOLDER, Sweep, find_manifests, sweep_manifest
from rwseg.report.comparison.runs import find_runs


def planned(root: Path, *overrides: str) -> Sweep:
    arguments = ["-m", f"output_root={root}", *overrides]
    return sweep_manifest(cli.preflight("train", arguments), arguments)


def finish(run: Path, seconds: float) -> None:
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"status": "finished", "seconds": seconds}))


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run a task under `main` in an empty folder; returns the exit status."""

    def start(task: Callable[[TrainConfig, Choices], object], *arguments: str) -> int:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        monkeypatch.setattr("logging.basicConfig", lambda **_: None)  # pytest's own handlers stay
        try:
            command.run_command(task, "train", sweep_manifest)
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return start


def test_a_plan_lies_beside_the_runs_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "outputs"
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setattr(sys, "orig_argv", ["python3", "train.py"])
    planned(root, "loss=rrw,ce", "seed=range(2)", "force=true")
    (path,) = (root / "default" / FOLDER).iterdir()
    content = json.loads(path.read_text())
    methods = [f"phantom/{loss}/alone" for loss in ("rrw", "ce")]
    assert content["runs"] == [f"{method}/seed{seed}" for method in methods for seed in (0, 1)]
    place = (os.getcwd(), socket.gethostname(), os.getpid())
    assert (content["folder"], content["host"], content["pid"]) == place
    assert content["command"] == f"python3 train.py -m output_root={root} loss=rrw,ce 'seed=range(2)'"
    for folder, count in [(tmp_path, 4), (root, 4), (root / "default", 4), (root / "default/phantom/ce", 2)]:
        (plan,) = find_manifests(folder)
        names = [path.relative_to(root / "default").as_posix() for path in plan.runs]
        assert names == content["runs"][-count:]
    assert find_manifests(root / "other") == []
    with pytest.raises(RunError, match="found none"):
        find_runs([tmp_path])  # a plan is no run


def test_the_same_sweep_has_one_plan_and_others_stay(tmp_path: Path) -> None:
    planned(tmp_path, "seed=0,1").fail(1, "no space")
    (plan,) = find_manifests(tmp_path)
    assert list(plan.failed.items()) == [(plan.runs[1], "no space")]
    planned(tmp_path, "seed=1,0,1")
    (plan,) = find_manifests(tmp_path)
    assert (len(plan.runs), plan.failed) == (2, {})
    planned(tmp_path, "seed=range(3)")
    assert sorted(len(plan.runs) for plan in find_manifests(tmp_path)) == [2, 3]


def test_a_sweep_over_experiments_has_a_plan_in_each(tmp_path: Path) -> None:
    planned(tmp_path, "experiment=phantom_quick,acdc_small", "seed=0,1")
    for name in ("phantom_quick", "acdc_small"):
        (plan,) = find_manifests(tmp_path / name)
        assert len(plan.runs) == 2


def test_a_job_is_introduced_with_its_number_and_the_time_left(tmp_path: Path) -> None:
    sweep = planned(tmp_path, "seed=range(4)")
    assert sweep.begin(0) == "run 1 of 4"
    finish(sweep.runs[0], 100)
    finish(sweep.runs[3], 300)  # of an earlier attempt
    assert sweep.begin(1) == "run 2 of 4, about 6:40 left"
    (sweep.runs[3] / "run.json").write_text("{")
    assert sweep.begin(1) == "run 2 of 4, about 5:00 left"
    assert planned(tmp_path, "seed=range(4)", "force=true").begin(0) == "run 1 of 4, about 6:40 left"


def test_faulty_jobs_are_noted_and_jobs_are_counted_as_hydra_does(
    sweep: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    def task(cfg: TrainConfig, choices: Choices) -> None:
        if cfg.seed == 3:
            raise DataError("no data")

    assert sweep(task, "-m", "seed=0,1", "loss=rrw,ce", "seed=2,3") == 2  # the last seeds count
    jobs = [(2, "rrw"), (2, "ce"), (3, "rrw"), (3, "ce")]
    assert re.findall(r"run \d of .*", capsys.readouterr().out) == [
        f"run {number} of 4: seed={seed} loss={loss}" for number, (seed, loss) in enumerate(jobs, 1)
    ]
    (plan,) = find_manifests(Path("outputs"))
    assert [path.parts[-3:] for path in plan.failed] == [(loss, "alone", "seed3") for loss in ("rrw", "ce")]
    assert set(plan.failed.values()) == {"no data"}


@pytest.mark.slow
def test_a_sweep_that_is_ended_says_how_much_is_left(
    sweep: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    def task(cfg: TrainConfig, choices: Choices) -> None:
        if cfg.seed == 1:
            signal.raise_signal(signal.SIGTERM)
        if cfg.seed == 0:
            raise DataError("no data")
        finish(Path("outputs", "default", "phantom", "rrw", "alone", f"seed{cfg.seed}"), 10)

    assert sweep(task, "-m", "seed=3,0,1,2") == 143
    assert "terminated; 3 of the sweep's runs are left; give the same" in capsys.readouterr().err
    assert sweep(task, "-m", "seed=3,1,2", "force=true") == 143
    assert "terminated; 2 of the sweep's runs are left; give the same" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["seed=1"], ["--cfg", "job"]])
def test_without_a_sweep_there_is_no_plan(
    sweep: Callable[..., int], arguments: list[str], tmp_path: Path
) -> None:
    assert sweep(lambda cfg, choices: None, *arguments) == 0
    assert not list(tmp_path.iterdir())


def test_a_plan_that_cannot_be_written_stops_the_sweep_at_the_door(
    sweep: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "outputs").touch()
    started: list[int] = []
    assert sweep(lambda cfg, choices: started.append(cfg.seed), "-m", "seed=0,1") == 2
    assert not started
    assert "outputs/default: expected a folder that can be written" in capsys.readouterr().err


def test_a_reason_that_cannot_be_written_does_not_stop_the_sweep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sweep = planned(tmp_path, "seed=0,1")
    (path,) = (tmp_path / "default" / FOLDER).iterdir()
    path.unlink()
    path.mkdir()
    (path / "in the way").touch()
    sweep.fail(0, "no space")
    assert "the reason could not be noted" in caplog.text


NUL = '{"runs": ["a\\u0000"], "failed": {}, "command": "", "host": "", "pid": 1}'


@pytest.mark.parametrize("text", ["{", "[]", '{"runs": 3, "failed": {}}', '{"runs": ["a"]}', NUL])
def test_a_damaged_plan_is_named(tmp_path: Path, text: str) -> None:
    planned(tmp_path, "seed=0,1")
    (path,) = (tmp_path / "default" / FOLDER).iterdir()
    path.write_text(text)
    with pytest.raises(RunError, match=rf"{path}: expected a sweep's manifest in JSON, got.*delete it"):
        find_manifests(tmp_path)
