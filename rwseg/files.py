"""Writing that never leaves half a file or folder behind: a temporary name first, then a rename."""

import errno
import io
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from rwseg.errors import DataError

log = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed onto `path`, on failure it is removed.

    The temporary name ends in that of `path`, because many writers choose the format by the suffix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".writing-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def building(folder: Path) -> Iterator[Path | None]:
    """Yield a temporary folder that becomes `folder` on success, or None where `folder` is there by now.

    Processes that build the same folder wait for one another; one that is killed lets the next begin anew.
    Raises `DataError` where the disk is full or the place cannot be written; what was written is removed.
    """
    temporary = folder.with_name(f".building-{folder.name}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            if folder.exists():
                yield None
                return
            # We hold the lock: what is there was left by a process that was killed.
            shutil.rmtree(temporary, ignore_errors=True)
            try:
                temporary.mkdir()
                yield temporary
                os.replace(temporary, folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise _cannot_build(folder, error) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically; `DataError` where it cannot be written."""
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written: {error.strerror}; free space or choose another folder"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON to `path` atomically; `ValueError` for NaN, which JSON lacks."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write `array` as NPY. Not atomic: meant for files inside a folder that is renamed as a whole.

    NumPy's own writer reports a full disk without its error number; writing the bytes ourselves keeps it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    with open(path, "wb") as file:
        file.write(buffer.getbuffer())


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder` between processes; the system releases that of a process that dies."""
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("another process is making %s; waiting for it", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _cannot_build(folder: Path, error: OSError) -> Exception:
    """What to tell the user; the error itself where it is not the user's to mend."""
    if error.errno in _FULL:
        there = next(parent for parent in folder.parents if parent.is_dir())
        free = shutil.disk_usage(there).free / 1e6
        return DataError(
            f"{folder.parent}: no space left while making {folder.name}; nothing of it was left behind, "
            f"{free:.1f} MB are free now. Free more or choose a folder on another disk (prepared_root=...)"
        )
    if error.errno in _NOT_WRITABLE:
        return DataError(
            f"{folder.parent}: expected a folder to write {folder.name} into, got: {error.strerror}; "
            "mend it or choose another folder (prepared_root=...)"
        )
    return error


def relative(path: Path, root: Path) -> str:
    """`path` as seen from `root`, with forward slashes; a file elsewhere begins with `../`."""
    return Path(os.path.relpath(path, root)).as_posix()
