"""hydra/launcher=slurm where there is no SLURM: what it refuses, how a job ends, and who notices.

A whole sweep on a real one: tests/integration/slurm.
"""

import os
import re
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import submitit
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from rwseg import cli, slurm
from rwseg.config import CONF, Choices
from rwseg.errors import ConfigError, RunError, RwsegError
from rwseg.slurm import OnNode, Submission, launch
from rwseg.sweep import plan_sweep

SBATCH = {"timeout_min": 5, "signal_delay_s": 60, "array_parallelism": 2}
SUBMISSION = Submission("jobs/%j", 1, SBATCH, None, DictConfig({}))


def jobs_of(task: object, folder: Path) -> cli.Jobs:
    sweep = plan_sweep(cli.preflight("train", ["-m", f"output_root={folder}", "seed=0,1"]), ["train.py"])
    return cli.Jobs(task, cli.SCHEMAS["train"], sweep, [])  # type: ignore[arg-type]


def nothing(cfg: DictConfig, choices: Choices) -> None:
    """Train nothing."""


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_its_settings_are_checked_with_the_others(tmp_path: Path) -> None:
    words = ["-m", "hydra/launcher=slurm", f"output_root={tmp_path}", "seed=0,1"]
    assert len(cli.preflight("train", [*words, "hydra.launcher.sbatch.partition=gpu"])) == 2
    with pytest.raises(ConfigError, match="partitoin"):
        cli.preflight("train", [*words, "hydra.launcher.sbatch.partitoin=gpu"])


def test_without_slurm_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RwsegError, match="expected the program sbatch, found none; submit on a node"):
        launch(jobs_of(nothing, tmp_path), [["seed=0"]], 0, SUBMISSION)


def test_only_a_sweep_is_submitted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a sweep"):
        launch(replace(jobs_of(nothing, tmp_path), sweep=None), [["seed=0"]], 0, SUBMISSION)


def test_what_sbatch_refuses_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "sbatch", "echo 'sbatch: error: invalid partition specified: gpu' >&2; exit 1")
    program(tmp_path, "squeue", "exit 0")
    program(tmp_path, "srun", "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    submission = replace(SUBMISSION, folder=str(tmp_path / "%j"))
    with pytest.raises(RwsegError, match=r"could not be submitted: (.|\n)*invalid partition specified: gpu"):
        launch(jobs_of(nothing, tmp_path), [["seed=0"], ["seed=1"]], 0, submission)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"timeout_min": None}, "hydra.launcher.sbatch.timeout_min: expected a number, got null"),
        ({"timeout_min": "a day"}, "the jobs could not be submitted: "),
        ({"setup": "module load cuda"}, "the jobs could not be submitted: "),
        ({"gpus_per_node": 1}, "trainer.devices=2: expected at most the GPUs of a job, got "),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    setting: dict[str, object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sbatch", "squeue", "srun"):
        program(tmp_path, name, "echo Submitted batch job 7")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    submission = replace(SUBMISSION, folder=str(tmp_path / "%j"), sbatch={**SBATCH, **setting})
    words = ["-m", f"output_root={tmp_path}", "seed=0,1", "trainer=ddp"]
    sweep = plan_sweep(cli.preflight("train", words), ["train.py"])
    task = cli.Jobs(nothing, cli.SCHEMAS["train"], sweep, [])
    with pytest.raises(RwsegError, match=re.escape(message)):
        launch(task, [["seed=0"], ["seed=1"]], 0, submission)


def on_node(task: object, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> str | None:
    cfg, choices = cli.compose("train", ["loss=rrw", *overrides])
    setup = SimpleNamespace(
        overrides=SimpleNamespace(task=["loss=rrw"]),
        runtime=SimpleNamespace(choices=choices),
        job=SimpleNamespace(num=0),
        mode=cli.RunMode.MULTIRUN,
    )
    monkeypatch.setattr(HydraConfig, "get", staticmethod(lambda: setup))
    return OnNode(cli.Jobs(task, cli.SCHEMAS["train"], None, []))(cfg)  # type: ignore[arg-type]


def test_a_job_returns_why_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(cfg: DictConfig, choices: Choices) -> None:
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
    def is_told(cfg: DictConfig, choices: Choices) -> None:
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
    """What is asked of submitit's jobs."""

    job_id: str
    folder: Path
    returned: object

    @property
    def paths(self) -> SimpleNamespace:
        return SimpleNamespace(result_pickle=self.folder / f"{self.job_id}.pkl", stderr="its.err")

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


def test_every_end_of_a_job_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "SECONDS_BETWEEN_LOOKS", 0)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    # 7_3 is queued for five looks, then it is there no more; every other look the controller does not answer
    program(
        tmp_path,
        "squeue",
        f"echo x >> {tmp_path}/looks; n=$(wc -l < {tmp_path}/looks)\n"
        'if [ $((n % 2)) = 0 ]; then echo "Socket timed out" >&2; exit 1; fi\n'
        "if [ $n -lt 6 ]; then echo 7_3; fi",
    )
    jobs = {
        number: Job(f"7_{number}", tmp_path, returned)
        for number, returned in enumerate([None, "no such loss", BROKEN, None, None])
    }
    for number in (0, 1, 2):
        jobs[number].paths.result_pickle.touch()
    sweep = SimpleNamespace(is_finished=lambda number: number == 4)
    ended = dict(slurm._ended(jobs, "7", sweep))  # type: ignore[arg-type]
    assert ended == {
        0: None,
        1: "no such loss",
        2: "ModuleNotFoundError: No module named 'rwseg' (see its.err)",
        3: "it ended without a result; see its.err",
        4: None,  # its result is not to be seen yet, but its run is finished
    }
    assert len((tmp_path / "looks").read_text().split()) == 17  # missing at 7, 9, ..., 17


def test_a_job_that_slurm_forgot_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    program(tmp_path, "squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    assert slurm._queued("7") == set()


def test_the_preset_has_submitits_names() -> None:
    assert (CONF / "hydra" / "launcher" / "slurm.yaml").is_file()
    assert slurm._named({"timeout_min": 5, "partition": "gpu", "account": None}) == {
        "timeout_min": 5,
        "slurm_partition": "gpu",
    }
