"""Folders that are made once, however many processes want them, and that appear whole or not at all."""

import errno
import glob
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from rwseg.core.errors import DataError, KilledError, ReadOnlyError
from rwseg.core.lease import LEASE_DURATION, Lease
from rwseg.core.signals import Terminated

log = logging.getLogger(__name__)

BESIDE = "dataset.cache=... or prepared_root"
"""What names another folder for what would lie below `prepared_root`."""
CACHE = "dataset.cache"

TakeOver = Callable[[Path, Path], None]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY)


def build_once(
    folder: Path,
    make: Callable[[Path], None],
    setting: str = BESIDE,
    lease_duration: float = LEASE_DURATION,
    take_over: TakeOver | None = None,
) -> None:
    """Have `make` fill a private folder that then becomes `folder`, unless that is there.

    Of several processes, on whatever machines, one makes it and the others wait; where it is killed, or shows
    no heartbeat for `lease_duration` seconds, another one begins anew, or, with `take_over`, goes on:
    `take_over(left, private)` is called before `make` for each folder that was begun and left, and may link
    from it what is whole. Two that make it at once after all do no harm: the first result stays. What `make`
    raises is raised here, and what it wrote removed, but for what `take_over` can use after a `KilledError`
    or an end by a signal. Raises `DataError` where the disk is full, `ReadOnlyError` where the place cannot
    be written; `setting` is what names another one.
    """
    lease, told = Lease(folder.with_name(f".{folder.name}.lock"), lease_duration), False
    try:
        while not folder.is_dir():
            if lease.take():
                with lease:
                    _build_anew(folder, make, lease, take_over)
                continue
            if not told:
                log.info("another process is making %s; waiting for it (%s)", folder, lease)
                told = True
            lease.wait()
    except OSError as error:
        raise _cannot_build(folder, setting, error) from error


def _build_anew(folder: Path, make: Callable[[Path], None], lease: Lease, take_over: TakeOver | None) -> None:
    if folder.is_dir():  # made since it was last looked for
        return
    dead = str(lease.holder.token) if lease.follows_the_dead and lease.holder else None
    if dead and take_over is None:  # it cannot come back to what it left
        _remove(folder, dead)
    temporary = folder.with_name(f".building-{folder.name}-{lease.token}")
    keep = False
    try:
        left = _begun(folder, "*")
        temporary.mkdir()
        if take_over is not None:
            for before in left:
                take_over(before, temporary)
        if dead:
            _remove(folder, dead)
        make(temporary)
        _publish(temporary, folder)
        _remove(folder, "*")  # only now: one that stood still may be alive, and would finish half a folder
    except (OSError, DataError) as error:
        keep = isinstance(error, KilledError)
        if not lease.is_lost:
            raise
        log.warning("another process took over making %s while this one stood still", folder)
    except (KeyboardInterrupt, Terminated):
        keep = True
        raise
    finally:
        if keep and take_over is not None:
            log.info("%s keeps what is finished: the same command goes on with it", temporary)
        else:
            shutil.rmtree(temporary, ignore_errors=True)


def _begun(folder: Path, which: str) -> list[Path]:
    return sorted(folder.parent.glob(f".building-{glob.escape(folder.name)}-{which}"))


def _remove(folder: Path, which: str) -> None:
    """Remove what was begun and is not wanted any more."""
    for left in _begun(folder, which):
        shutil.rmtree(left, ignore_errors=True)


def _publish(temporary: Path, folder: Path) -> None:
    try:
        os.rename(temporary, folder)
    except OSError as error:
        if error.errno not in _TAKEN or not folder.is_dir():
            raise


def _cannot_build(folder: Path, setting: str, error: OSError) -> Exception:
    """What to tell the user; the error itself where it is not the user's to mend."""
    if error.errno in _FULL:
        there = next(parent for parent in folder.parents if parent.is_dir())
        free = shutil.disk_usage(there).free / 1e6
        return DataError(
            f"{folder.parent}: no space left while making {folder.name}; nothing of it was left behind, "
            f"{free:.1f} MB are free now. Free more or choose a folder on another disk ({setting}=...)"
        )
    if error.errno in _NOT_WRITABLE:
        return ReadOnlyError(
            f"{folder.parent}: expected a folder to write {folder.name} into, got: {error.strerror}; "
            f"mend it or choose another folder ({setting}=...)"
        )
    return error
