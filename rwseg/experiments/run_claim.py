"""Who may write a run directory (contract C5), and what is left of one whose setup failed."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

from rwseg.core.errors import RunError
from rwseg.core.lease import LEASE_DURATION, Lease

log = logging.getLogger(__name__)

LOCK = ".lock"
"""File of a run directory that says who writes it: `rwseg.core.lease`."""


@contextmanager
def claimed(folder: Path, lease_duration: float = LEASE_DURATION) -> Iterator[Lease]:
    """Be the only process that writes `folder`; the lease says whether that still holds.

    `RunError` names host and process of another one that does. One of another machine is watched for up to
    `lease_duration` seconds, and its lease taken over where it shows no heartbeat. A lease that was lost in
    the block raises `ClaimLostError` at its end.
    """
    lease = Lease(folder / LOCK, lease_duration)
    try:
        _take(folder, lease)
    except OSError as error:
        raise RunError(
            f"{folder}: expected a folder that can be written, got: {error}; give another output_root"
        ) from error
    try:
        with lease:
            yield lease
            lease.check()
    finally:
        with suppress(OSError):  # unless it is as empty as it was made here
            folder.rmdir()


@contextmanager
def gone_unless_begun(folder: Path) -> Iterator[Event]:
    """Remove a claimed run directory that was new where the block fails before it sets what it is given.

    Of a setup that failed nothing is left that would look like a run.
    """
    is_new, begun = not _content(folder), Event()
    try:
        yield begun
    except BaseException:
        if is_new and not begun.is_set():
            clear(folder)
        raise


def _take(folder: Path, lease: Lease) -> None:
    told = False
    while not lease.take():
        if lease.shows_heartbeat:
            raise RunError(f"{folder}: another process is writing this run: {lease}; wait for it or stop it")
        if not told:
            log.info(
                "%s is claimed by %s; watching for up to %.0f s whether it shows a heartbeat",
                folder,
                lease,
                lease.duration,
            )
            told = True
        lease.wait()


def clear(folder: Path) -> None:
    """Remove everything in a claimed run directory but its lock file, and those of contenders beside it."""
    for path in _content(folder):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _content(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(LOCK)]
