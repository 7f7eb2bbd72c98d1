"""What a Ray worker does: run the command of one job, and tell the sweep that it began."""

import os
import socket
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rwseg.experiments.sweeps.attended import reason_of, run_attended, tail_of

BUSY = "another process is writing this run"
"""What a run says that finds its directory taken, as after its machine was lost a moment ago."""

SECONDS_BUSY = 300.0
"""How long that may last: until the other process has been asked to stop, or its claim is too old."""

SECONDS_BETWEEN_TRIES = 5.0


@dataclass(frozen=True)
class Job:
    """A command, the one to use after the first was lost, the file for all it prints, and where it runs."""

    number: int
    command: tuple[str, ...]
    again: tuple[str, ...]
    log: Path
    folder: Path
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Start:
    """A job began, for the first time or after its worker was lost (`attempt` above 0)."""

    number: int
    attempt: int
    host: str
    gpus: str


@dataclass(frozen=True)
class End:
    """How long a job took, and why it failed, if it did."""

    seconds: float
    reason: str | None


class News:
    """What the jobs tell the sweep, as Ray itself does not say when a job begins: an actor."""

    def __init__(self) -> None:
        self.attempts = Counter[int]()
        self.starts: list[Start] = []

    def started(self, number: int, host: str, gpus: str) -> None:
        """Take note that a job began, and how often it did before."""
        attempt = self.attempts[number]
        self.attempts[number] += 1
        self.starts.append(Start(number, attempt, host, gpus))

    def taken(self) -> list[Start]:
        """What began since the last call."""
        starts, self.starts = self.starts, []
        return starts


def run_job(job: Job, environment: Mapping[str, str], news: Any) -> End:
    """Run a job in the environment of the sweep's command, but with the GPUs and threads that Ray gives."""
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "") if job.gpus else ""
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    own = {"OMP_NUM_THREADS": threads, **environment, "CUDA_VISIBLE_DEVICES": gpus}
    # No answer is waited for: Ray would lend this job's CPU to another one meanwhile, and run one too many.
    news.started.remote(job.number, socket.gethostname(), gpus)
    began_before = job.log.exists()  # the sweep removed that of an earlier one
    command = job.again if began_before else job.command
    start = time.monotonic()
    while True:
        before = job.log.stat().st_size if job.log.exists() else 0
        status = run_attended(command, job.log, own, job.folder)
        reason = reason_of(status, tail_of(job.log, before))
        seconds = time.monotonic() - start
        if not began_before or reason is None or BUSY not in reason or seconds > SECONDS_BUSY:
            return End(seconds, reason)
        time.sleep(SECONDS_BETWEEN_TRIES)
