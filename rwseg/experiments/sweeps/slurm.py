"""The jobs of a sweep on a SLURM cluster by hydra-submitit-launcher: an array of them, a run in each.

How a job is called and queued again is its launcher's. Here stands what that one lacks: finished runs are not
submitted, each job is told as it ends, and one that fails hides no other.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from omegaconf import DictConfig

from rwseg.core.errors import ConfigError, RwsegError
from rwseg.core.signals import Terminated, terminable
from rwseg.experiments.command import TERMINATED, Jobs
from rwseg.experiments.sweeps.manifest import Sweep

SECONDS_BETWEEN_LOOKS = 5.0

COMMON = (
    "timeout_min",
    "cpus_per_task",
    "gpus_per_node",
    "tasks_per_node",
    "mem_gb",
    "nodes",
    "name",
    "stderr_to_stdout",
)
"""Settings that submitit has for every kind of cluster; it knows the others as `slurm_...`."""

REFUSALS = (RuntimeError, subprocess.SubprocessError, AssertionError, TypeError, NameError, ValueError)
"""What submitit raises for settings of a wrong name, type or value, and for what sbatch says."""


@dataclass(frozen=True)
class OnNode:
    """What a job does: as in a sweep on one machine, but a failure is returned, for the one who submitted."""

    jobs: Jobs

    def __call__(self, cfg: DictConfig) -> str | None:
        """Train, and return why that failed; SIGTERM, which submitit would ignore, ends the run in order."""
        if int(os.environ.get("SLURM_RESTART_COUNT", "0")):
            cfg.force = False  # it has started over already
        try:
            with terminable():
                return self.jobs(cfg)
        except (Terminated, KeyboardInterrupt):  # the second: submitit leaves when the job's time ends
            print("interrupted; queued again, or by the same command, the run goes on", flush=True)
            sys.exit(TERMINATED)


def launch(
    task: Jobs,
    job_overrides: Sequence[Sequence[str]],
    first: int,
    settings: Mapping[str, Any],
    hydra_context: Any,
    config: DictConfig,
) -> None:
    """Submit every job that has not finished, wait for all, and note in `task` which ones failed and why.

    `first` is the number of the first job. Whoever waits may be interrupted: the jobs go on without. Raises
    `RwsegError` where there is no SLURM, or it does not take the jobs.
    """
    sweep = _checked(task, settings, range(first, first + len(job_overrides)))
    names = {number: " ".join(overrides) for number, overrides in enumerate(job_overrides, first)}
    waiting = {}
    for number, overrides in enumerate(job_overrides, first):
        if sweep.is_finished(number):
            _say(f"run {number + 1} of {first + len(job_overrides)} is finished: {names[number]}")
        else:
            waiting[number] = list(overrides)
    if not waiting:
        return
    jobs = _submitted(replace(task, sweep=None, failed=[]), waiting, settings, hydra_context, config)
    array = next(iter(jobs.values())).job_id.partition("_")[0]
    folder = str(settings["submitit_folder"]).replace("%j", "<job>")
    _say(f"submitted {len(jobs)} of {len(names)} runs as SLURM job {array}; what they print: {folder}")
    if not _keeps_account():
        _say("this SLURM keeps no account of its jobs (sacct): of one that is killed nothing is heard here")
    try:
        for count, (number, reason) in enumerate(_ended(jobs, sweep), 1):
            text = "done" if reason is None else "failed"
            _say(f"{text} ({count} of {len(jobs)}): {names[number]}{'' if reason is None else f': {reason}'}")
            if reason is not None:
                task.fail(number, names[number], reason)
    except BaseException:
        _say(f"the jobs go on without this command; scancel {array} ends them")
        raise


def _checked(task: Jobs, settings: Mapping[str, Any], numbers: range) -> Sweep:
    if task.sweep is None:
        raise ConfigError("hydra/launcher=slurm: expected a sweep of trainings; leave it out here")
    for program in ("sbatch", "srun"):
        if shutil.which(program) is None:
            raise RwsegError(
                f"hydra/launcher=slurm: expected the program {program}, found none; submit on a node of a "
                "SLURM cluster, or take hydra/launcher=ray on this machine"
            )
    tasks, devices = settings.get("tasks_per_node"), max(map(task.sweep.devices, numbers))
    if devices > 1 and devices != tasks:
        raise ConfigError(
            f"trainer.devices={devices}: expected the tasks of a node, got "
            f"hydra.launcher.tasks_per_node={tasks}; give both the same number, or leave trainer.devices out"
        )
    return task.sweep


def _submitted(
    task: Jobs,
    jobs: Mapping[int, list[str]],
    settings: Mapping[str, Any],
    hydra_context: Any,
    config: DictConfig,
) -> dict[int, Any]:
    """One SLURM array of all `jobs`: hydra-submitit-launcher's `launch`, up to where it begins to wait."""
    try:
        import submitit
        from hydra.core.singleton import Singleton
        from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
    except ImportError as error:
        raise RwsegError(
            "hydra/launcher=slurm: expected the packages of the extra 'slurm', found none; "
            "pip install 'rwseg[slurm]'"
        ) from error
    called = SlurmLauncher()
    called.setup(hydra_context=hydra_context, task_function=OnNode(task), config=config)
    given = {key: value for key, value in settings.items() if value is not None}
    folder, timeouts = given.pop("submitit_folder"), given.pop("max_num_timeout")
    named = {key if key in COMMON else f"slurm_{key}": value for key, value in given.items()}
    state = Singleton.get_state()
    words = [(overrides, "hydra.sweep.dir", number, str(number), state) for number, overrides in jobs.items()]
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=timeouts)
        executor.update_parameters(**named)
        submitted = executor.map_array(called, *zip(*words, strict=True))
    except REFUSALS as error:
        raise RwsegError(f"hydra/launcher=slurm: the jobs could not be submitted: {error}") from error
    return dict(zip(jobs, submitted, strict=True))


def _keeps_account() -> bool:
    """Whether sacct answers, by which alone submitit hears of a job that left no result."""
    try:
        return subprocess.run(["sacct", "--noheader"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _ended(jobs: Mapping[int, Any], sweep: Sweep) -> Iterator[tuple[int, str | None]]:
    """The number of each job as it ends, with the reason if it failed. Of its tasks the first one counts."""
    left = {number: job.task(0) for number, job in jobs.items()}
    while left:
        for number, job in [(number, job) for number, job in left.items() if job.done()]:
            reason = _reason(job)
            yield number, None if sweep.is_finished(number) else reason
            del left[number]
        if left:
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _reason(job: Any) -> str | None:
    """Why a job failed; None if it did not."""
    try:
        reason: str | None = job.result().return_value
    except Exception as error:  # noqa: BLE001 -- whatever became of the job, the others' results are wanted
        # submitit's text: the traceback of the job between two lines, and advice after it
        trace = re.search(r"^-{9,}$\n(.*?)^-{9,}$", str(error), re.DOTALL | re.MULTILINE)
        said = trace[1].strip().splitlines()[-1] if trace else f"it ended without a result ({job.state})"
        return f"{said}; see {job.paths.stderr}"
    return reason


def _say(text: str) -> None:
    print(text, flush=True)
