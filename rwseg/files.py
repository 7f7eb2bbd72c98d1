"""Writing that never leaves half a file behind: a temporary name first, then a rename."""

import io
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rwseg.errors import DataError


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
    """Write `array` as NPY. Not atomic: for folders that are renamed as a whole (`rwseg.building`).

    NumPy's own writer reports a full disk without its error number; writing the bytes ourselves keeps it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    with open(path, "wb") as file:
        file.write(buffer.getbuffer())


def relative(path: Path, root: Path) -> str:
    """`path` as seen from `root`, with forward slashes; a file elsewhere begins with `../`."""
    return Path(os.path.relpath(path, root)).as_posix()
