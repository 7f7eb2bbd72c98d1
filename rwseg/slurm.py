"""The jobs of a sweep on a SLURM cluster, by submitit: an array of jobs, each of which trains one run.

What a job needs to go on after it was preempted, killed or out of time is its run directory (contract C5).
submitit's part is to write the batch script, to start the job again and to say what became of it; how a job
is called is hydra-submitit-launcher's.
"""

import logging
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

from rwseg.cli import TERMINATED, Jobs, Sweep
from rwseg.errors import ConfigError, RwsegError
from rwseg.signals import Terminated, terminable

SECONDS_BETWEEN_LOOKS = 15.0
"""Between two questions to the queue, which all users of a cluster share."""

LOOKS_WITHOUT = 5
"""How often a job must be missing in the queue before it has ended: file systems may show its result late."""

REFUSALS = (RuntimeError, subprocess.SubprocessError, AssertionError, TypeError, NameError, ValueError)
"""What submitit raises for settings of a wrong name, type or value, and for what sbatch says."""


@dataclass(frozen=True)
class Submission:
    """What to submit jobs with: `sbatch` by the names of hydra-submitit-launcher, and Hydra's own state."""

    folder: str
    max_num_timeout: int
    sbatch: Mapping[str, Any]
    hydra_context: Any
    config: DictConfig


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


def launch(task: Jobs, job_overrides: Sequence[Sequence[str]], first: int, submission: Submission) -> None:
    """Submit every job that has not finished, wait for all, and note in `task` which ones failed and why.

    `first` is the number of the first job. Whoever waits may be interrupted: the jobs go on without. Raises
    `RwsegError` where there is no SLURM, or it does not take the jobs.
    """
    numbers = range(first, first + len(job_overrides))
    sweep = _checked(task, submission, numbers)
    names = {number: " ".join(overrides) for number, overrides in enumerate(job_overrides, first)}
    waiting = {}
    for number, overrides in enumerate(job_overrides, first):
        if sweep.is_finished(number):
            _say(f"run {number + 1} of {first + len(job_overrides)} is finished: {names[number]}")
        else:
            waiting[number] = list(overrides)
    if not waiting:
        return
    jobs = dict(zip(waiting, _submitted(task, waiting, submission), strict=True))
    array = next(iter(jobs.values())).job_id.partition("_")[0]
    _say(
        f"submitted {len(jobs)} of {len(names)} runs as SLURM job {array}; "
        f"what they print: {submission.folder.replace('%j', '<job>')}"
    )
    try:
        for count, (number, reason) in enumerate(_ended(jobs, array, sweep), 1):
            text = "done" if reason is None else "failed"
            _say(f"{text} ({count} of {len(jobs)}): {names[number]}{'' if reason is None else f': {reason}'}")
            if reason is not None:
                task.fail(number, names[number], reason)
    except BaseException:
        _say(f"the jobs go on without this command; scancel {array} ends them")
        raise


def _checked(task: Jobs, submission: Submission, numbers: range) -> Sweep:
    if task.sweep is None:
        raise ConfigError("hydra/launcher=slurm: expected a sweep of train.py; leave it out here")
    for program in ("sbatch", "squeue", "srun"):
        if shutil.which(program) is None:
            raise RwsegError(
                f"hydra/launcher=slurm: expected the program {program}, found none; submit on a node of a "
                "SLURM cluster, or take hydra/launcher=gpu_queue on this machine"
            )
    for key in ("timeout_min", "signal_delay_s", "array_parallelism"):
        if submission.sbatch.get(key) is None:
            raise ConfigError(f"hydra.launcher.sbatch.{key}: expected a number, got null")
    gpus, devices = submission.sbatch.get("gpus_per_node"), max(map(task.sweep.devices, numbers))
    if gpus is not None and devices > gpus:
        raise ConfigError(
            f"trainer.devices={devices}: expected at most the GPUs of a job, got "
            f"hydra.launcher.sbatch.gpus_per_node={gpus}; raise it"
        )
    return task.sweep


def _submitted(task: Jobs, jobs: Mapping[int, list[str]], submission: Submission) -> list[Any]:
    """One SLURM array of all `jobs`, as submitit's jobs in the same order."""
    try:
        import submitit
        from hydra.core.singleton import Singleton
        from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
    except ImportError as error:
        raise RwsegError(
            "hydra/launcher=slurm: expected the packages of the extra 'slurm', found none; "
            "pip install -c constraints.txt -e '.[slurm]'"
        ) from error
    on_node = OnNode(replace(task, sweep=None, failed=[]))
    called = SlurmLauncher()
    called.setup(hydra_context=submission.hydra_context, task_function=on_node, config=submission.config)
    state = Singleton.get_state()
    words = [(overrides, "hydra.sweep.dir", number, str(number), state) for number, overrides in jobs.items()]
    try:
        executor = submitit.AutoExecutor(
            folder=submission.folder, cluster="slurm", slurm_max_num_timeout=submission.max_num_timeout
        )
        executor.update_parameters(name="rwseg", nodes=1, tasks_per_node=1, **_named(submission.sbatch))
        submitted = executor.map_array(called, *zip(*words, strict=True))
    except REFUSALS as error:
        raise RwsegError(f"hydra/launcher=slurm: the jobs could not be submitted: {error}") from error
    return list(submitted)


def _named(sbatch: Mapping[str, Any]) -> dict[str, Any]:
    """The settings by submitit's names: those that every kind of cluster has are called as they are."""
    common = ("timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb")
    given = {key: value for key, value in sbatch.items() if value is not None}
    return {key if key in common else f"slurm_{key}": value for key, value in given.items()}


def _ended(jobs: Mapping[int, Any], array: str, sweep: Sweep) -> Iterator[tuple[int, str | None]]:
    """The number of each job as it ends, with the reason if it failed.

    A job that was killed leaves no result, and not every cluster keeps account of past jobs: it has ended
    when the queue does not know it any more.
    """
    left, missing = dict(jobs), dict.fromkeys(jobs, 0)
    while left:
        queued = _queued(array)
        for number, job in list(left.items()):
            if job.paths.result_pickle.exists():
                yield number, _reason(job)
                del left[number]
                continue
            if queued is not None:
                missing[number] = 0 if job.job_id in queued else missing[number] + 1
            if missing[number] > LOOKS_WITHOUT:
                finished = sweep.is_finished(number)
                yield number, None if finished else f"it ended without a result; see {job.paths.stderr}"
                del left[number]
        if left:
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _reason(job: Any) -> str | None:
    """Why a job failed that left a result; None if it did not."""
    try:
        reason: str | None = job.result().return_value
    except Exception as error:  # noqa: BLE001 -- whatever became of the job, the others' results are wanted
        # submitit's text: the traceback of the job between two lines, and advice after it
        trace = re.search(r"^-{9,}$\n(.*?)^-{9,}$", str(error), re.DOTALL | re.MULTILINE)
        lines = (trace[1] if trace else str(error)).strip().splitlines() or [type(error).__name__]
        return f"{lines[-1]} (see {job.paths.stderr})"
    return reason


def _queued(array: str) -> set[str] | None:
    """The jobs of an array that wait or run, as `array_index`; None where the queue gave no answer."""
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={array}"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return None
    if ended.returncode and "Invalid job id" not in ended.stderr:  # which says that SLURM forgot them
        logging.warning("squeue: %s", ended.stderr.strip())
        return None
    return set(ended.stdout.split())


def _say(text: str) -> None:
    print(text, flush=True)
