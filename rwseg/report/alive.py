"""Whether the process that writes a run directory still lives."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout


def is_alive(folder: Path, facts: Mapping[str, Any]) -> bool:
    """Whether the process named in `run.json` (its content: `facts`) still writes `folder`.

    A run of another host counts as alive: nothing here can tell. On this host its process must exist and the
    run's lock be held; the lock is tried only then, so that looking never takes it from a run that starts.
    """
    if facts.get("host") != socket.gethostname():
        return True
    pid = facts.get("pid")
    if not isinstance(pid, int) or not process_exists(pid):
        return False
    if not (folder / ".lock").is_file():
        return False
    try:
        with FileLock(folder / ".lock").acquire(timeout=0):
            return False  # another process has got the number of the one that died
    except (Timeout, OSError):
        return True


def process_exists(pid: int) -> bool:
    """Whether this host has a process of this number, whosever it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is there, and somebody else's
    return True
