"""hydra/launcher=ray on one machine, with GPUs that Ray only believes in."""

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from ray_sweeps import cluster, ended, exists, most_at_once, notes, quick, start, wait

from rwseg.core.errors import ConfigError, RwsegError
from rwseg.core.program import COMMANDS
from rwseg.experiments import command
from rwseg.experiments import composition as cli
from rwseg.experiments.sweeps.manifest import sweep_manifest
from rwseg.experiments.sweeps.ray_sweep import command_of, launch

pytestmark = pytest.mark.xdist_group("ray_launcher")

SETTINGS: dict[str, Any] = {
    "address": None,
    "num_cpus": 1,
    "num_gpus": None,
    "max_retries": 3,
    "local": {"num_cpus": None, "num_gpus": None},
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of one node with eight cores and two GPUs."""
    with cluster(num_cpus=8, num_gpus=2) as found:
        yield f"hydra.launcher.address={found.address}"


@pytest.mark.slow
def test_eight_runs_share_two_gpus_four_at_a_time(address: str, tmp_path: Path) -> None:
    program = quick(tmp_path, "time.sleep(2)")
    sweep = start(program, tmp_path, address, "hydra.launcher.num_gpus=0.5", "seed=range(8)", MARK="mine")
    lines, errors = ended(sweep, 0)
    assert errors == ""
    begun, over = (
        notes(tmp_path, "begin"),
        {seed: float(when) for seed, _, when, *_ in notes(tmp_path, "end")},
    )
    assert sorted(over) == [f"seed={seed}" for seed in range(8)]
    assert {mark for *_, mark in begun} == {"mine"}  # the environment of the command
    spans = {gpu: [(float(w), over[s]) for s, _, w, own, *_ in begun if own == gpu] for gpu in ("0", "1")}
    assert sum(map(len, spans.values())) == 8  # each has one of the two, and no other
    assert [most_at_once(own) for own in spans.values()] == [2, 2]
    assert most_at_once([*spans["0"], *spans["1"]]) == 4
    told = {seed: gpu for line in lines for gpu, seed in re.findall(r"^run \d.*on GPU (\d): (seed=\d)", line)}
    assert told == {seed: gpu for seed, _, _, gpu, *_ in begun}
    assert sum(line.startswith("done in ") for line in lines) == 8


@pytest.mark.slow
def test_a_run_of_several_devices_is_started_by_torchrun(address: str, tmp_path: Path) -> None:
    program = quick(tmp_path, "pass")
    words = ["trainer.devices=2", "seed=0"]
    lines, _ = ended(start(program, tmp_path, address, *words), 0)
    assert sorted((own, rank) for _, _, _, own, rank, _ in notes(tmp_path, "begin")) == [
        ("0,1", "0"),
        ("0,1", "1"),
    ]
    assert ", on GPU 0,1: " in lines[0]


SCRIPT = """
import json, os
from rwseg.experiments.command import run_command
from rwseg.core.errors import DataError
from rwseg.experiments.run_directory import run_path, save_config
from rwseg.experiments.sweeps.manifest import sweep_manifest

def task(cfg, choices):
    if os.environ["CUDA_VISIBLE_DEVICES"]:
        raise DataError("num_gpus=0, and yet it sees one")
    if cfg.seed == 1:
        raise DataError("no data of patient 7")
    run = run_path(cfg, choices)
    save_config(run, cfg)
    (run / "run.json").write_text(json.dumps({"status": "finished", "seconds": 60.0}))

run_command(task, "train", sweep_manifest)
"""


@pytest.mark.slow
def test_a_failure_is_told_at_the_end_and_alone_tried_again(address: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)

    def lines() -> list[str]:
        words = [address, "hydra.launcher.num_gpus=0", "seed=0,1,2", "workers=1"]
        told, errors = ended(start("train.py", tmp_path, *words), 2)
        assert errors.splitlines() == [
            "train.py: 1 of the sweep's jobs failed:",
            "seed=1 workers=1: no data of patient 7",
        ]
        *lines, comparison = told
        assert comparison.startswith("to compare them: ")
        assert comparison.endswith("report outputs/default")
        return sorted(re.sub(r", about \S+ left|\d:\d\d", "", line) for line in lines)

    assert lines() == [
        "done in : seed=0 workers=1",
        "done in : seed=2 workers=1",
        "failed after : seed=1 workers=1: no data of patient 7 (all it said: "
        "outputs/default/.sweeps/logs/phantom/rrw/alone/seed1.log)",
        "run 1 of 3, on CPU: seed=0 workers=1",
        "run 2 of 3, on CPU: seed=1 workers=1",
        "run 3 of 3, on CPU: seed=2 workers=1",
    ]
    assert lines()[1:] == [
        "run 1 of 3 is finished: seed=0 workers=1",
        "run 2 of 3, on CPU: seed=1 workers=1",
        "run 3 of 3 is finished: seed=2 workers=1",
    ]


def ray_processes(root: int) -> set[int]:
    """The processes below `root`, and those below them."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, more = {root}, {root}
    while more:
        more = {pid for pid, parent in parents.items() if parent in more}
        found |= more
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_leaves_no_process(number: signal.Signals, tmp_path: Path) -> None:
    """A Ray of its own, and Ctrl-C as a terminal sends it: to the whole group."""
    body = (
        "import signal; signal.signal(signal.SIGTERM, lambda *_: (note('asked'), sys.exit(143))); "
        "time.sleep(99)"
    )
    local = [
        "hydra.launcher.local.num_cpus=2",
        "hydra.launcher.local.num_gpus=1",
        "hydra.launcher.num_gpus=0.5",
    ]
    sweep = start(quick(tmp_path, body), tmp_path, *local, "seed=range(5)")
    wait(lambda: len(notes(tmp_path, "begin")) == 2, sweep)
    everything = ray_processes(sweep.pid)
    assert {int(pid) for _, pid, *_ in notes(tmp_path, "begin")} < everything
    os.killpg(sweep.pid, number)
    _, errors = ended(sweep, 128 + number)
    told = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[number]
    assert errors == (
        f"train.py: {told}; 5 of the sweep's runs are left; give the same command again to go on\n"
    )
    assert len(notes(tmp_path, "asked")) == len(notes(tmp_path, "begin")) == 2
    until = time.monotonic() + 20  # Ray's own are ended, not waited for
    while any(map(exists, everything)) and time.monotonic() < until:
        time.sleep(0.2)
    assert not [pid for pid in everything if exists(pid)]


@pytest.mark.slow
def test_runs_end_with_a_sweep_that_is_killed(address: str, tmp_path: Path) -> None:
    sweep = start(quick(tmp_path, "time.sleep(99)"), tmp_path, address, "seed=0,1")
    wait(lambda: len(notes(tmp_path, "begin")) == 2, sweep)
    sweep.kill()
    sweep.communicate()
    pids = [int(pid) for _, pid, *_ in notes(tmp_path, "begin")]
    until = time.monotonic() + 30
    while any(map(exists, pids)) and time.monotonic() < until:
        time.sleep(0.2)
    assert not any(map(exists, pids))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["hydra.launcher.num_gpus=3"],
            r"a machine with 1 CPUs and 3 GPUs for a run, got machines with 8 and 2",
        ),
        (
            ["hydra.launcher.num_gpus=0.5", "trainer.devices=2"],
            r"hydra\.launcher\.num_gpus=0\.5: expected a whole number with trainer\.devices=2",
        ),
        (["hydra.launcher.address=127.0.0.1:1"], r"expected a Ray cluster at hydra\.launcher\.address=127"),
    ],
)
def test_what_the_cluster_does_not_have_is_refused(
    overrides: list[str], words: str, address: str, tmp_path: Path
) -> None:
    _, errors = ended(start(quick(tmp_path, "pass"), tmp_path, address, *overrides, "seed=0"), 2)
    assert re.search(words, errors)
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"address": 7}, "hydra.launcher.address: expected null, auto or host:port, got 7"),
        ({"num_cpus": 0}, "hydra.launcher.num_cpus: expected a number above 0, got 0"),
        (
            {"num_gpus": 1.5},
            "hydra.launcher.num_gpus: expected null, a part of one GPU such as 0.5, or a whole ",
        ),
        (
            {"num_gpus": -1},
            "hydra.launcher.num_gpus: expected null, a part of one GPU such as 0.5, or a whole ",
        ),
        ({"max_retries": True}, "hydra.launcher.max_retries: expected a whole number of 0 or more, got True"),
        (
            {"local": {"num_cpus": "two", "num_gpus": 1}},
            "hydra.launcher.local.num_cpus: expected null, or a whole number above 0, got two",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        launch(jobs_of(tmp_path), [["seed=0"], ["seed=1"]], 0, [], {**SETTINGS, **changed})


def jobs_of(folder: Path) -> command.Jobs:
    jobs = cli.preflight("train", ["-m", f"output_root={folder}", "seed=0,1"])
    sweep = sweep_manifest(jobs, [])
    return command.Jobs(lambda cfg, choices: None, command.SCHEMAS["train"], sweep, [])


def test_only_a_sweep_goes_to_ray(tmp_path: Path) -> None:
    alone = command.Jobs(lambda cfg, choices: None, command.SCHEMAS["train"], None, [])
    with pytest.raises(ConfigError, match=r"expected a sweep of trainings"):
        launch(alone, [["seed=0"]], 0, [], SETTINGS)


def test_without_ray_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RwsegError, match=r"pip install 'rwseg\[ray\]'"):
        launch(jobs_of(tmp_path), [["seed=0"], ["seed=1"]], 0, [], SETTINGS)


def test_hydra_finds_the_launcher_and_imports_no_ray() -> None:
    found = Plugins.instance().discover(Launcher)
    assert "hydra_plugins.rwseg_ray.RayLauncher" in {f"{item.__module__}.{item.__name__}" for item in found}


def test_the_command_is_the_users_own_but_for_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", "seed=0,1"])
    assert command_of(["seed=0"], 1) == (sys.executable, "train.py", "seed=0")
    assert command_of(["seed=0"], 3)[1:5] == (
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=3",
    )
    monkeypatch.setattr(sys, "argv", [str(COMMANDS / "train.py"), "-m", "seed=0,1"])
    assert command_of(["seed=0"], 1) == (sys.executable, "-m", "rwseg.commands.train", "seed=0")
    assert command_of(["seed=0"], 3)[5:] == ("-m", "rwseg.commands.train", "seed=0")
