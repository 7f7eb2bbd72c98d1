"""hydra/launcher=slurm where there is no SLURM: what it refuses, how a job ends, and who notices.

A whole sweep on a real one: tests/integration/slurm.
"""

import os
import re
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import submitit
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from rwseg.core.errors import ConfigError, RunError, RwsegError
from rwseg.experiments import command
from rwseg.experiments import composition as cli
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.schema import Choices, TrainConfig
from rwseg.experiments.sweeps import slurm
from rwseg.experiments.sweeps.manifest import sweep_manifest
from rwseg.experiments.sweeps.slurm import OnNode, launch

SETTINGS = {
    "submitit_folder": "jobs/%j",
    "max_num_timeout": 1,
    "timeout_min": 5,
    "signal_delay_s": 60,
    "array_parallelism": 2,
    "nodes": 2,
    "tasks_per_node": 4,
    "account": None,
}


def submit(jobs: command.Jobs, **settings: object) -> None:
    launch(jobs, [["seed=0"], ["seed=1"]], 0, {**SETTINGS, **settings}, None, DictConfig({}))


def jobs_of(task: object, folder: Path) -> command.Jobs:
    sweep = sweep_manifest(cli.preflight("train", ["-m", f"output_root={folder}", "seed=0,1"]), [])
    return command.Jobs(task, command.SCHEMAS["train"], sweep, [])  # type: ignore[arg-type]


def nothing(cfg: TrainConfig, choices: Choices) -> None:
    """Train nothing."""


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_its_settings_are_checked_with_the_others(tmp_path: Path) -> None:
    words = ["-m", "hydra/launcher=slurm", f"output_root={tmp_path}", "seed=0,1"]
    assert len(cli.preflight("train", [*words, "hydra.launcher.partition=gpu"])) == 2
    with pytest.raises(ConfigError, match="partitoin"):
        cli.preflight("train", [*words, "hydra.launcher.partitoin=gpu"])


def test_without_slurm_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RwsegError, match="expected the program sbatch, found none; submit on a node"):
        submit(jobs_of(nothing, tmp_path))


def test_only_a_sweep_is_submitted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a sweep"):
        submit(replace(jobs_of(nothing, tmp_path), sweep=None))


def test_what_sbatch_refuses_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "sbatch", "echo 'sbatch: error: invalid partition specified: gpu' >&2; exit 1")
    program(tmp_path, "srun", "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(RwsegError, match=r"could not be submitted: (.|\n)*invalid partition specified: gpu"):
        submit(jobs_of(nothing, tmp_path), submitit_folder=str(tmp_path / "%j"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"timeout_min": "a day"}, "the jobs could not be submitted: "),
        ({"setup": "module load cuda"}, "the jobs could not be submitted: "),
        ({"partitoin": "gpu"}, "the jobs could not be submitted: "),
        ({"tasks_per_node": 1}, "trainer.devices=2: expected the tasks of a node, got "),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    setting: dict[str, object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sbatch", "srun"):
        program(tmp_path, name, "echo Submitted batch job 7")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    words = ["-m", f"output_root={tmp_path}", "seed=0,1", "trainer.devices=2"]
    sweep = sweep_manifest(cli.preflight("train", words), words)
    task = command.Jobs(nothing, command.SCHEMAS["train"], sweep, [])
    settings = {"tasks_per_node": 2, **setting, "submitit_folder": str(tmp_path / "%j")}
    with pytest.raises(RwsegError, match=re.escape(message)):
        submit(task, **settings)


def test_nodes_and_tasks_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "sbatch", f'cp "$1" {tmp_path}/script; echo "sbatch: error: enough" >&2; exit 1')
    program(tmp_path, "srun", "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(RwsegError, match="enough"):
        submit(jobs_of(nothing, tmp_path), submitit_folder=str(tmp_path / "%j"), partition="gpu")
    script = (tmp_path / "script").read_text()
    for line in ("--nodes=2", "--ntasks-per-node=4", "--partition=gpu", "--array=0-1%2", "--time=5"):
        assert f"#SBATCH {line}\n" in script
    assert "account" not in script


def on_node(task: object, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> str | None:
    cfg, choices = cli.compose("train", ["loss=rrw", *overrides])
    setup = SimpleNamespace(
        overrides=SimpleNamespace(task=["loss=rrw"], hydra=[]),
        runtime=SimpleNamespace(choices=choices),
        job=SimpleNamespace(num=0),
        mode=command.RunMode.MULTIRUN,
    )
    monkeypatch.setattr(HydraConfig, "get", staticmethod(lambda: setup))
    return OnNode(command.Jobs(task, command.SCHEMAS["train"], None, []))(cfg)  # type: ignore[arg-type]


def test_a_job_returns_why_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(cfg: TrainConfig, choices: Choices) -> None:
        raise RunError("the disk is full")

    assert on_node(fails, monkeypatch) == "the disk is full"
    assert on_node(nothing, monkeypatch) is None


@pytest.mark.parametrize(("restarts", "again"), [("0", True), ("2", False)])
def test_a_job_that_is_queued_again_does_not_start_over_again(
    restarts: str, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
    on_node(lambda cfg, choices: seen.append(cfg.force), monkeypatch, "force=true")
    assert seen == [again]


def test_sigterm_ends_a_job_in_order_although_submitit_would_ignore_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def is_told(cfg: TrainConfig, choices: Choices) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit) as left:
            on_node(is_told, monkeypatch)
        assert left.value.code == 143
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass
class Job:
    """What is asked of submitit's jobs; `after` looks it has ended."""

    job_id: str
    returned: object
    after: int = 1
    state: str = "OUT_OF_MEMORY"
    paths: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(stderr="its.err"))

    def task(self, number: int) -> "Job":
        assert number == 0  # the others' results do not count
        return self

    def done(self) -> bool:
        self.after -= 1
        return self.after <= 0

    def result(self) -> SimpleNamespace:
        if isinstance(self.returned, Exception):
            raise self.returned
        return SimpleNamespace(return_value=self.returned)


BROKEN = submitit.core.utils.FailedJobError(
    "Job (task=0) failed during processing with trace:\n----------------------\n"
    "Traceback (most recent call last):\n  File ...\nModuleNotFoundError: No module named 'rwseg'\n\n"
    "----------------------\nYou can check full logs with 'job.stderr(0)' and 'job.stdout(0)'"
    "or at paths:\n  - its.err\n  - its.out"
)
LOST = submitit.core.utils.UncompletedJobError("Job 7_3 (task: 0) with path ... has not produced any output")


def test_every_end_of_a_job_is_told_and_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "SECONDS_BETWEEN_LOOKS", 0)
    returned = [None, "no such loss", BROKEN, LOST, LOST]
    jobs = {number: Job(f"7_{number}", value, 6 - number) for number, value in enumerate(returned)}
    sweep = SimpleNamespace(is_finished=lambda number: number in (0, 4))
    ended = list(slurm._ended(jobs, sweep))  # type: ignore[arg-type]
    assert [number for number, _ in ended] == [4, 3, 2, 1, 0]  # in the order of their ends
    assert dict(ended) == {
        0: None,
        1: "no such loss",
        2: "ModuleNotFoundError: No module named 'rwseg'; see its.err",
        3: "it ended without a result (OUT_OF_MEMORY); see its.err",
        4: None,  # its result is not to be seen, but its run is finished
    }


@pytest.mark.parametrize(
    ("script", "keeps"), [("exit 0", True), ("echo disabled >&2; exit 1", False), (None, False)]
)
def test_whether_there_is_an_account(
    script: str | None, keeps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if script:
        program(tmp_path, "sacct", script)
    assert slurm._keeps_account() is keeps


def test_the_preset_is_there() -> None:
    assert (CONF / "hydra" / "launcher" / "slurm.yaml").is_file()
