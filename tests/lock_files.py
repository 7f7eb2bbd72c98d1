"""Leases for tests: taken here, held by another process, and lock files of processes that are nowhere."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import SoftFileLease

from rwseg.core.lease import Lease

NO_PROCESS = 2**22 + 1
"""Beyond the highest number of a process."""


def write_lock(path: Path, duration: float, **changes: object) -> None:
    """The lock file that this process would write, with other values in its lines; None: without the line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, SoftFileLease(Path(folder, "own"), lease_duration=duration) as own:
        first, *lines = Path(own.lock_file).read_text().splitlines()
    fields = {**dict(line.split("=") for line in lines), "token": "0a1b", **changes}
    kept = [f"{key}={value}\n" for key, value in fields.items() if value is not None]
    path.write_text("".join([f"{first}\n", *kept]))


SHORT = 0.4
"""Seconds of a lease where nobody has to keep it."""

KEPT = 1.0
"""Seconds of a lease with a heartbeat: one every 125 ms, so that a busy machine is in time."""

HOLD = """
import sys
from pathlib import Path
from rwseg.core.errors import ClaimLostError
from rwseg.core.lease import Lease
lease = Lease(Path(sys.argv[1]), float(sys.argv[2]))
assert lease.take()
print("holds", flush=True)
sys.stdin.readline()
try:
    lease.check()
    print("writes", flush=True)
except ClaimLostError:
    print("told", flush=True)
"""


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def take(path: Path, duration: float = KEPT) -> Lease:
    lease = Lease(path, duration)
    assert lease.take()
    return lease


def seconds_until_taken(path: Path, duration: float = SHORT) -> float:
    lease, started = Lease(path, duration), time.monotonic()
    while not lease.take():
        assert time.monotonic() - started < 30
        lease.wait()
    seconds = time.monotonic() - started
    with lease:
        lease.check()
    return seconds


@contextmanager
def holding_process(*arguments: Path | float, code: str = HOLD) -> Iterator["subprocess.Popen[str]"]:
    """A process that runs `code` and has said that it holds what it takes."""
    line = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        try:
            yield process
        finally:
            process.kill()
