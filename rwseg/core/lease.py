"""Who may write a folder that processes of several machines share: filelock's lease, watched and checked."""

import os
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from filelock import LeaseSettingsMismatch, OwnerRecord, SoftFileLease, Timeout

from rwseg.core.errors import ClaimLostError, RunError

LEASE_DURATION = 120.0
"""Seconds without a heartbeat after which a lease may be taken over; the same for all contenders."""

HEARTBEATS, POLLS = 8, 240
"""In that time. A heartbeat that is late, as when a server restarts, costs nobody a lease."""


class Lease:
    """The lease of a lock file: once `take` took it, a context manager that gives it back.

    `holder` is who held it when last polled; `shows_heartbeat` whether that one does so, or
    is a living process of this machine.
    """

    def __init__(self, path: Path, duration: float = LEASE_DURATION) -> None:
        self.path = path
        self.duration = duration
        self.holder: OwnerRecord | None = None
        self.shows_heartbeat = False
        self.token: str | None = None
        self._lock = _lock(path, duration)
        self._lost = False
        self._seen: tuple[OwnerRecord | None, int, int, int] = (None, 0, 0, 0)
        self._since = 0.0

    def take(self) -> bool:
        """Poll once: whether this process holds it now. `OSError`; `RunError` for another lease duration."""
        self.holder = self._lock.owner or self.holder
        try:
            self._lock.acquire()
        except Timeout:
            with suppress(FileNotFoundError):  # given back meanwhile
                self._watch()
        except LeaseSettingsMismatch as error:
            raise RunError(
                f"{self.path}: expected the lease duration of this version of rwseg, got: {error}; wait for "
                f"{self} or stop it, and delete the file if it is gone"
            ) from error
        self.token = self._lock.token
        return self.token is not None

    def _watch(self) -> None:
        """See whether the holder lives, and break the lock of one that does not, where filelock cannot.

        It takes over by exchanging two files, which NFS and SMB refuse, and leaves empty files alone.
        """
        self.holder, status, now = self._lock.owner, os.stat(self.path), time.monotonic()
        seen = (self.holder, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
        lives = holder_lives(self.path, self.duration) if self.holder else None
        if seen != self._seen:
            self.shows_heartbeat = seen[:2] == self._seen[:2]
            self._seen, self._since = seen, now
        self.shows_heartbeat = self.shows_heartbeat or lives is True
        is_over = lives is False or now - self._since > self.duration
        if is_over and self._lock.owner == self.holder:
            self._lock.force_break()

    def wait(self) -> None:
        """Let a moment pass before the next poll."""
        time.sleep(self.duration / POLLS)

    @property
    def follows_the_dead(self) -> bool:
        """Whether the holder before was a process of this machine that has ended."""
        own, before = self._lock.owner, self.holder
        is_here = own and before and own.hostname == before.hostname
        return bool(is_here and before and not process_exists(before.pid))

    @property
    def is_lost(self) -> bool:
        """Whether another process has taken the lease over, or its lock file is gone or cannot be touched."""
        self._lost = self._lost or self._lock.compromise is not None or not self._is_ours()
        return self._lost

    def _is_ours(self) -> bool:
        """Reads the file itself: the heartbeat of a process that stood still has not found out yet."""
        for pause in (0.0, 0.05, 0.1):  # a contender may exchange the file for a moment, and put it back
            time.sleep(pause)
            owner = self._lock.owner
            if owner and owner.token == self.token:
                return True
        return False

    def check(self) -> None:
        """Raise `ClaimLostError` where the lease is lost: nothing may be written any more."""
        if self.is_lost:
            raise ClaimLostError(
                f"{self.path.parent}: expected to be its only writer, but another process took it over "
                "while this one showed no heartbeat, or its lock file was deleted; this process writes "
                "nothing more. If the other one is not wanted, stop it and start again"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # what is left is given back all the same, by this process ending
            self._lock.release()

    def __str__(self) -> str:
        if self.holder is None:
            return "an unknown process"
        return f"host {self.holder.hostname.partition('?')[0]}, process {self.holder.pid}"


def holder_lives(path: Path, duration: float = LEASE_DURATION) -> bool | None:
    """Whether the process in the lock file `path` lives; None where this machine cannot tell.

    False also where there is no file. filelock is asked on a copy, because asking means taking.
    """
    pid = None
    try:
        content = path.read_bytes()
    except OSError as error:
        return False if isinstance(error, FileNotFoundError) else None
    try:
        with TemporaryDirectory() as folder:
            Path(folder, "copy").write_bytes(content)
            copy = _lock(Path(folder, "copy"), duration)
            pid = copy.pid
            with copy:
                return False
    except Timeout as refused:  # its message names a holder exactly where this machine cannot tell
        is_here = str(refused) == str(Timeout(refused.lock_file))
        return process_exists(pid) if pid and is_here else None
    except (OSError, LeaseSettingsMismatch):  # no room for a copy, or another version of rwseg
        return None


def process_exists(pid: int) -> bool:
    """Whether this machine has a process of this number that has not ended, whosever it is."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2]
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's, or a system that does not tell
    return not state.startswith("Z")  # it ended, and nobody has asked about it yet


def _lock(path: Path, duration: float) -> SoftFileLease:
    """Not thread-local, so that any thread may ask whether it is lost."""
    return SoftFileLease(
        path,
        lease_duration=duration,
        heartbeat_interval=duration / HEARTBEATS,
        thread_local=False,
        blocking=False,
    )
