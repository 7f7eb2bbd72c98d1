"""Which process somebody is, told so that another machine can read it, and whether it is certainly gone."""

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ENDED = ("Z", "X")
"""States of a process that has ended, and that nobody has asked about yet."""


@dataclass(frozen=True)
class Process:
    """A process of some host.

    `machine` is the boot and the container that its number counts in, `started` its start in clock ticks of
    that boot: with both, a number that was given again is no confusion. None where the system does not tell.
    """

    host: str
    pid: int
    machine: str | None
    started: str | None

    def __str__(self) -> str:
        return f"host {self.host}, process {self.pid}"


def this_process() -> Process:
    """The one that asks."""
    return Process(socket.gethostname(), os.getpid(), _machine(), _start(os.getpid()))


def is_here(process: Process) -> bool:
    """Whether its number counts on this very system, so that `process_exists` can answer for it."""
    return process.machine is not None and (process.host, process.machine) == (
        socket.gethostname(),
        _machine(),
    )


def is_gone(process: Process) -> bool:
    """Whether the process has certainly ended; False where nothing here can tell."""
    if not is_here(process):
        return False
    if not process_exists(process.pid):
        return True
    found = _start(process.pid)  # None also where the system hides the processes of others
    return found is not None and process.started is not None and found != process.started


def process_exists(pid: int) -> bool:
    """Whether this host has a process of this number that has not ended, whosever it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it is there, and somebody else's
    facts = _facts(pid)
    return not facts or facts[0] not in ENDED


@cache
def _machine() -> str | None:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None  # not Linux


def _start(pid: int) -> str | None:
    facts = _facts(pid)
    return facts[19] if facts else None


def _facts(pid: int) -> list[str]:
    """What Linux says of a process, from its state on (proc(5): the name before it may hold anything)."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return []
