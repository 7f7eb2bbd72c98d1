"""A queue of processes: so many at a time, each in a slot; one that fails stops no other."""

import os
import re
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

POLL_SECONDS = 0.2
GRACE_SECONDS = 60.0
"""A process that is asked to stop has so long to write its state before it is killed."""

TIMES_ASKED = 3

LONGEST_REASON = 300


@dataclass(frozen=True)
class Slot:
    """A place for one process at a time, and the variables that are added to its environment."""

    name: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Job:
    """A command, and the file that gets all it prints."""

    number: int
    command: Sequence[str]
    log: Path


class Listener(Protocol):
    """What hears how far the queue is."""

    def started(self, job: Job, slot: Slot) -> None:
        """`job` has just begun."""

    def ended(self, job: Job, seconds: float, reason: str | None) -> None:
        """`job` is over; `reason` says why it failed, and is None if it did not."""


@dataclass(frozen=True)
class _Running:
    job: Job
    slot: Slot
    process: "subprocess.Popen[bytes]"
    since: float


def run_queue(
    jobs: Sequence[Job],
    slots: Sequence[Slot],
    listener: Listener,
    can_use: Callable[[Slot], bool],
    stagger: float,
) -> None:
    """Run all `jobs` in their order, one per slot at a time, starts at least `stagger` seconds apart.

    `can_use(slot)` says whether a job may start in a free slot now. Whatever exception ends this function,
    Ctrl-C too, asks the processes to stop as Ctrl-C does, and waits for them.
    """
    waiting, running = deque(jobs), list[_Running]()
    next_start = time.monotonic()
    try:
        while waiting or running:
            for child in [child for child in running if child.process.poll() is not None]:
                running.remove(child)
                listener.ended(child.job, time.monotonic() - child.since, _reason(child))
            if waiting and time.monotonic() >= next_start:
                busy = {child.slot.name for child in running}
                free = (slot for slot in slots if slot.name not in busy)
                slot = next((slot for slot in free if can_use(slot)), None)
                if slot is not None:
                    running.append(_start(waiting.popleft(), slot))
                    listener.started(running[-1].job, slot)
                    next_start = time.monotonic() + stagger
                    continue
            time.sleep(POLL_SECONDS)
    except BaseException:
        _stop(running)
        raise


def reason_of(status: int, text: str) -> str | None:
    """Why a command failed, by its exit status and what it printed; None for status 0.

    The words of a command that ends with `name.py: message` (status 2), else the last line.

    >>> reason_of(2, "some lines\\ntrain.py: no data")
    'no data'
    >>> reason_of(1, "Traceback (most recent call last):\\nMemoryError: no more of it\\n")
    'MemoryError: no more of it'
    >>> reason_of(-9, "epoch 3")
    'killed by SIGKILL'
    """
    if status == 0:
        return None
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    said = re.findall(r"^[\w.-]+\.py: (.+?)\s*\Z", text, re.DOTALL | re.MULTILINE) if status == 2 else []
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    return (said[-1] if said else last)[-LONGEST_REASON:] or f"exit status {status}"


def _start(job: Job, slot: Slot) -> _Running:
    """Start a process in a session of its own: Ctrl-C on the terminal reaches it through `_stop` alone."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with open(job.log, "wb") as log:
        process = subprocess.Popen(
            job.command,
            env={**os.environ, **slot.environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return _Running(job, slot, process, time.monotonic())


def _reason(child: _Running) -> str | None:
    return reason_of(child.process.returncode, child.job.log.read_text(encoding="utf-8", errors="replace"))


def _stop(running: Sequence[_Running]) -> None:
    """Ask all processes to stop, and kill what is left after `GRACE_SECONDS` or a second Ctrl-C or SIGTERM.

    They are asked three times: Python loses an interrupt that comes while an object is taken down.
    """
    # What was started in the background of a shell ignores SIGINT, and so do its children.
    polite = signal.SIGTERM if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else signal.SIGINT
    try:
        for _ in range(TIMES_ASKED):
            for child in running:
                _signal(child, polite)
            _wait(running, GRACE_SECONDS / TIMES_ASKED)
    finally:
        for child in running:
            _signal(child, signal.SIGKILL)
            child.process.wait()


def _wait(running: Sequence[_Running], seconds: float) -> None:
    """Wait so long at most until all processes have ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(child.process.poll() is None for child in running):
        time.sleep(POLL_SECONDS)


def _signal(child: _Running, number: signal.Signals) -> None:
    if child.process.poll() is None:
        os.killpg(child.process.pid, number)
