"""The jobs of a sweep as processes of their own: which slots there are, what is said, what is kept."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rwseg.cli import Jobs, Sweep
from rwseg.errors import ConfigError, RwsegError
from rwseg.gpus import Gpu, list_gpus, visible_gpus
from rwseg.jobs import Job, Slot, run_queue
from rwseg.progress import duration

SECONDS_BETWEEN_LOOKS = 10.0
OWN = ("hydra/launcher", "hydra.launcher", "hydra.mode", "hydra.sweep")
"""Settings of Hydra that are the sweep's and not its jobs'."""


def launch(
    task: Jobs,
    job_overrides: Sequence[Sequence[str]],
    first: int,
    hydra_overrides: Sequence[str],
    settings: Mapping[str, Any],
) -> None:
    """Run every job that has not finished in a process, and note in `task` which ones failed and why.

    `first` is the number of the first job. Raises `RwsegError` where a setting or the GPUs do not fit.
    """
    if task.sweep is None:
        raise ConfigError("hydra/launcher=gpu_queue: expected a sweep of train.py; leave it out here")
    checked = _checked(settings)
    visible = visible_gpus(list_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    slots = slots_of(visible, checked["jobs_per_gpu"], checked["jobs"])
    most = max(map(task.sweep.devices, range(first, first + len(job_overrides))))
    if visible and most > 1:
        raise ConfigError(
            f"trainer.devices={most}: expected 1 with hydra/launcher=gpu_queue, which gives each run a GPU; "
            "leave the launcher out"
        )
    kept = [text for text in hydra_overrides if not text.startswith(OWN)]
    jobs, names = [], {}
    for number, overrides in enumerate(job_overrides, first):
        names[number] = " ".join(overrides)
        if task.sweep.is_finished(number):
            _say(f"run {number + 1} of {first + len(job_overrides)} is finished: {names[number]}")
            continue
        command = [sys.executable, sys.argv[0], *overrides, *kept]
        jobs.append(Job(number, command, task.sweep.log(number)))
    listener = _Voice(task, task.sweep, names, len(slots))
    free = FreeMemory(checked["free_gib"], list_gpus)
    run_queue(jobs, slots, listener, free.is_enough, checked["stagger"])


def slots_of(gpus: Sequence[Gpu], jobs_per_gpu: int, jobs: int) -> list[Slot]:
    """`jobs_per_gpu` slots on each GPU, by turns so that all GPUs get a job first; without one, `jobs`."""
    if not gpus:
        return [Slot(f"CPU slot {place}", {"CUDA_VISIBLE_DEVICES": ""}) for place in range(1, jobs + 1)]
    places = range(1, jobs_per_gpu + 1)
    return [
        Slot(f"GPU {gpu.index}" + (f" slot {place}" if jobs_per_gpu > 1 else ""),
             {"CUDA_VISIBLE_DEVICES": gpu.uuid})
        for place in places for gpu in gpus
    ]  # fmt: skip


@dataclass
class FreeMemory:
    """Whether a GPU has `wanted` GiB free, by `look()`; what it waits for is said once."""

    wanted: float
    look: Callable[[], Sequence[Gpu]]
    _seen: Mapping[str, Gpu] = field(default_factory=dict)
    _when: float = float("-inf")
    _said: set[str] = field(default_factory=set)

    def is_enough(self, slot: Slot) -> bool:
        """Whether a job may start in `slot`; one without a GPU always may."""
        uuid = slot.environment["CUDA_VISIBLE_DEVICES"]
        if not uuid:
            return True
        if time.monotonic() - self._when >= SECONDS_BETWEEN_LOOKS:
            self._seen, self._when = {gpu.uuid: gpu for gpu in self.look()}, time.monotonic()
        gpu = self._seen.get(uuid)
        if gpu is None:
            raise RwsegError(f"GPU {uuid}: nvidia-smi does not list it any more; start the machine again")
        if gpu.total_gib < self.wanted:
            raise ConfigError(
                f"hydra.launcher.free_gib={self.wanted:g}: expected at most the {gpu.total_gib:.1f} GiB that "
                f"GPU {gpu.index} has"
            )
        if gpu.free_gib >= self.wanted:
            self._said.discard(uuid)
            self._when = float("-inf")  # a run starts and takes some of it: look again for the next one
            return True
        if uuid not in self._said:
            self._said.add(uuid)
            _say(
                f"waiting: GPU {gpu.index} has {gpu.free_gib:.1f} of {gpu.total_gib:.1f} GiB free, "
                f"{self.wanted:g} are wanted (hydra.launcher.free_gib)"
            )
        return False


@dataclass(frozen=True)
class _Voice:
    """Says a line for every job that begins or ends, and notes what failed."""

    task: Jobs
    sweep: Sweep
    names: Mapping[int, str]
    at_once: int

    def started(self, job: Job, slot: Slot) -> None:
        intro = self.sweep.begin(job.number, self.at_once)
        _say(f"{intro}, on {slot.name}: {self.names[job.number]}")

    def ended(self, job: Job, seconds: float, reason: str | None) -> None:
        name = self.names[job.number]
        if reason is None:
            _say(f"done in {duration(seconds)}: {name}")
            return
        _say(f"failed after {duration(seconds)}: {name}: {reason} (all it said: {job.log})")
        self.task.fail(job.number, name, reason)


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, or a `ConfigError` with a line for each that does not fit."""
    kinds: Mapping[str, tuple[Any, int]] = {
        "jobs_per_gpu": (int, 1),
        "jobs": (int, 1),
        "free_gib": ((int, float), 0),
        "stagger": ((int, float), 0),
    }
    faults = [
        f"hydra.launcher.{key}: expected a {'whole ' if kind is int else ''}number of {least} or more, "
        f"got {settings[key]}"
        for key, (kind, least) in kinds.items()
        if isinstance(settings[key], bool) or not isinstance(settings[key], kind) or settings[key] < least
    ]
    if faults:
        raise ConfigError("\n".join(faults))
    return dict(settings)


def _say(text: str) -> None:
    print(text, flush=True)
