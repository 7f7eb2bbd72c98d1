"""hydra/launcher=gpu_queue: slots, memory, and whole sweeps on the CPU."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher

from rwseg import cli
from rwseg.config import CONF
from rwseg.errors import ConfigError, RwsegError
from rwseg.gpus import Gpu
from rwseg.jobs import Slot
from rwseg.launch import FreeMemory, launch, slots_of
from rwseg.report.sweep_state import look
from rwseg.sweep import plan_sweep

QUEUE = ["-m", "hydra/launcher=gpu_queue", "hydra.launcher.stagger=0"]
SETTINGS = {"jobs_per_gpu": 1, "jobs": 2, "free_gib": 6.0, "stagger": 0}
GPUS = [Gpu(0, "GPU-a", 70.0, 80.0), Gpu(1, "GPU-b", 2.0, 80.0)]


def test_slots_take_turns_over_the_gpus() -> None:
    assert [(slot.name, slot.environment["CUDA_VISIBLE_DEVICES"]) for slot in slots_of(GPUS, 2, 5)] == [
        ("GPU 0 slot 1", "GPU-a"),
        ("GPU 1 slot 1", "GPU-b"),
        ("GPU 0 slot 2", "GPU-a"),
        ("GPU 1 slot 2", "GPU-b"),
    ]
    assert [slot.name for slot in slots_of(GPUS, 1, 5)] == ["GPU 0", "GPU 1"]
    assert slots_of([], 1, 2) == [Slot(f"CPU slot {n}", {"CUDA_VISIBLE_DEVICES": ""}) for n in (1, 2)]


def test_a_full_gpu_is_waited_for_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rwseg.launch.SECONDS_BETWEEN_LOOKS", 0)
    now = list(GPUS)
    memory = FreeMemory(6.0, lambda: now)
    first, second = slots_of(GPUS, 1, 1)
    assert memory.is_enough(first)
    assert [memory.is_enough(second) for _ in range(3)] == [False] * 3
    assert capsys.readouterr().out == (
        "waiting: GPU 1 has 2.0 of 80.0 GiB free, 6 are wanted (hydra.launcher.free_gib)\n"
    )
    now[1] = Gpu(1, "GPU-b", 6.0, 80.0)
    assert memory.is_enough(second)
    assert FreeMemory(6.0, lambda: []).is_enough(slots_of([], 1, 1)[0])


def test_a_wait_that_cannot_end_is_an_error() -> None:
    slot = slots_of(GPUS, 1, 1)[0]
    with pytest.raises(ConfigError, match=r"free_gib=90: expected at most the 80\.0 GiB that GPU 0 has"):
        FreeMemory(90.0, lambda: GPUS).is_enough(slot)
    with pytest.raises(RwsegError, match="GPU GPU-a: nvidia-smi does not list it any more"):
        FreeMemory(6.0, lambda: []).is_enough(slot)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("jobs", "two", "hydra.launcher.jobs: expected a whole number of 1 or more, got two"),
        ("jobs_per_gpu", 0, "hydra.launcher.jobs_per_gpu: expected a whole number of 1 or more, got 0"),
        ("stagger", -1, "hydra.launcher.stagger: expected a number of 0 or more, got -1"),
        ("free_gib", None, "hydra.launcher.free_gib: expected a number of 0 or more, got None"),
    ],
)
def test_settings_that_do_not_fit_are_refused(key: str, value: object, message: str, tmp_path: Path) -> None:
    jobs = cli.preflight("train", ["-m", f"output_root={tmp_path}", "seed=0,1"])
    task = cli.Jobs(lambda cfg, choices: None, cli.SCHEMAS["train"], plan_sweep(jobs, ["train.py"]), [])
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        launch(task, [["seed=0"], ["seed=1"]], 0, [], {**SETTINGS, key: value})
    with pytest.raises(ConfigError, match=r"expected a sweep of train\.py"):
        launch(cli.Jobs(task.task, task.schema, None, []), [["seed=0"]], 0, [], SETTINGS)


def test_hydra_finds_the_launcher() -> None:
    found = Plugins.instance().discover(Launcher)
    assert "hydra_plugins.gpu_queue.GpuQueue" in {f"{item.__module__}.{item.__name__}" for item in found}


SCRIPT = """
import json
from rwseg.cli import main
from rwseg.errors import DataError
from rwseg.rundir import run_path, save_config
from rwseg.sweep import plan_sweep

def task(cfg, choices):
    if cfg.seed == 1:
        raise DataError("no data of patient 7")
    run = run_path(cfg, choices)
    save_config(run, cfg)
    (run / "run.json").write_text(json.dumps({"status": "finished", "seconds": 60.0}))

main(task, "train", plan_sweep)
"""


def test_a_failure_is_told_at_the_end_and_alone_tried_again(tmp_path: Path) -> None:
    """A task that trains nothing, and so starts fast."""
    (tmp_path / "train.py").write_text(SCRIPT)
    command = [sys.executable, "train.py", *QUEUE, "seed=0,1,2", "workers=1"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(CONF.parent)}

    def start() -> list[str]:
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert (ended.returncode, ended.stderr.splitlines()) == (
            2,
            [
                "train.py: 1 of the sweep's jobs failed:",
                "seed=1 workers=1: no data of patient 7",
            ],
        )
        return sorted(
            re.sub(r", about \S+ left|slot [12]|\d:\d\d", "", line) for line in ended.stdout.splitlines()
        )

    assert start() == [
        "done in : seed=0 workers=1",
        "done in : seed=2 workers=1",
        "failed after : seed=1 workers=1: no data of patient 7 (all it said: "
        "outputs/default/.sweeps/logs/phantom/rrw/alone/seed1.log)",
        "run 1 of 3, on CPU : seed=0 workers=1",
        "run 2 of 3, on CPU : seed=1 workers=1",
        "run 3 of 3, on CPU : seed=2 workers=1",
    ]
    assert start()[1:] == [
        "run 1 of 3 is finished: seed=0 workers=1",
        "run 2 of 3, on CPU : seed=1 workers=1",
        "run 3 of 3 is finished: seed=2 workers=1",
    ]


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def sweep(tiny: list[str], tmp_path: Path) -> Start:
    """Start train.py with the queue on the CPU."""

    def start(*overrides: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(CONF.parent / "train.py"), *QUEUE, *tiny, *overrides],
            cwd=tmp_path,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


@pytest.mark.slow
def test_of_two_trainings_one_that_cannot_be_built_does_not_stop_the_other(
    sweep: Start, tiny: list[str], tmp_path: Path
) -> None:
    overrides = ["schedule.epochs=1", "loss=rw_boundary", "loss.region_map=boundary,bondary"]
    output, _ = (process := sweep(*overrides)).communicate(timeout=500)
    assert process.returncode == 2, output
    assert re.search(r"^done in \d+:\d\d: .*region_map=boundary$", output, re.MULTILINE)
    summary = output[output.index("train.py: 1 of the sweep's jobs failed:") :]
    assert "region_map=bondary: " in summary
    assert "got 'bondary'" in summary
    state = look([tmp_path / "outputs"])
    (good,) = [run for run in state.runs if run.status == "finished"]
    assert len(pd.read_csv(good.folder / "metrics" / "cases.csv")) == 12
    assert not state.running
    again = plan_sweep(cli.preflight("train", ["-m", *tiny, *overrides]), ["train.py"])
    assert [again.is_finished(number) for number in (0, 1)] == [True, False]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_leaves_runs_that_resume(
    number: signal.Signals, sweep: Start, tmp_path: Path
) -> None:
    overrides = ["seed=0,1,2", "schedule.epochs=60"]
    process = sweep(*overrides)
    root = tmp_path / "outputs"
    while sum(len(path.read_text().splitlines()) > 2 for path in root.rglob("metrics/epochs.csv")) < 2:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + number, output
    assert "give the same command again to go on" in output
    state = look([root])
    assert [run.status for run in state.runs] == ["interrupted", "interrupted"]
    assert (len(state.waiting), state.running) == (1, [])
    output, _ = (again := sweep(*overrides)).communicate(timeout=600)
    assert again.returncode == 0, output
    assert look([root]).is_done
    logs = [path.read_text() for path in root.rglob(".sweeps/logs/**/*.log")]
    assert sum("resuming" in log for log in logs) == 2
