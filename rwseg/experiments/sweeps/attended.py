"""A command that ends with the process that started it, however that ends, and why a command failed.

Between the two stands this file as a program. It reads a pipe that the process which started it holds: when
that is closed, by the process or because it is gone, the command is asked to stop. Linux asks it when this
program itself is killed: Ray does that to all that a worker started, when the worker ends.
"""

import ctypes
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when its parent ends."""

POLL_SECONDS = 0.2
GRACE_SECONDS = 60.0
"""A command that is asked to stop has so long to write its state before it is killed."""

TIMES_ASKED = 3

LONGEST_REASON = 300
LONGEST_TAIL = 100_000


def run_attended(command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path) -> int:
    """Run `command` in `folder`, what it prints added to `log`; its exit status, as `subprocess` has it.

    Whatever exception ends this function asks the command to stop, and waits for that.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while process.poll() is None:  # `wait` would not see an exception that another thread asks for
            time.sleep(POLL_SECONDS)
    finally:
        process.communicate()
    return process.returncode


def reason_of(status: int, text: str) -> str | None:
    """Why a command failed, by its exit status and what it printed; None for status 0.

    The words of a command that ends with `train.py: message` or `rwseg train: message` (status 2), else the
    last line.

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
    message = re.compile(r"^(?:[\w.-]+\.py|rwseg \w+): (.+?)\s*\Z", re.DOTALL | re.MULTILINE)
    said = message.findall(text) if status == 2 else []
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    return (said[-1] if said else last)[-LONGEST_REASON:] or f"exit status {status}"


def tail_of(log: Path, start: int) -> str:
    """The end of what stands in `log` after its first `start` bytes."""
    with open(log, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(start, size - LONGEST_TAIL))
        return stream.read().decode(errors="replace")


def _main(command: Sequence[str]) -> None:
    """Run `command` until it ends or the standard input does, and end as it did."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which the command would inherit
    libc = ctypes.CDLL(None)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=partial(libc.prctl, PR_SET_PDEATHSIG, signal.SIGTERM) if hasattr(libc, "prctl") else None,
    )
    threading.Thread(target=_stop_at_end_of_input, args=(child,), daemon=True).start()
    status = child.wait()
    if status >= 0:
        os._exit(status)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the command has left its own
    with suppress(OSError):
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)


def _stop_at_end_of_input(child: "subprocess.Popen[bytes]") -> None:
    """Ask several times: Python loses a signal that comes while an object is taken down."""
    while os.read(0, 1):
        pass
    for _ in range(TIMES_ASKED):
        _signal(child, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_SECONDS / TIMES_ASKED)
    _signal(child, signal.SIGKILL)


def _signal(child: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)


if __name__ == "__main__":
    _main(sys.argv[1:])
