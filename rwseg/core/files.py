"""Writing that never leaves half a file behind: a temporary name first, then a rename."""

import io
import json
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from rwseg.core.errors import DataError


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
def told_unless_written(path: Path) -> Iterator[None]:
    """Raise `DataError` where what the user asks for cannot be written to `path`."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written: {error.strerror}; free space or choose another folder"
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically; `DataError` where it cannot be written."""
    with told_unless_written(path), replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON to `path` atomically; `ValueError` for NaN, which JSON lacks."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def from_json(kind: Any, value: Any) -> Any:
    """`value`, as JSON gave it, as `kind`: a dataclass, (named) tuple, dict, union, `Literal` or plain type.

    Raises `TypeError`, which names the key, for a value of another type, an unknown or missing key, and a
    number that is not finite.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return from_json(next((one for one in arguments if _fits(one, value)), arguments[0]), value)
    if is_dataclass(kind) and isinstance(value, dict):
        return _from_object(kind, value)
    if isinstance(value, list) and (origin is tuple or hasattr(kind, "_fields")):
        return _from_list(kind, arguments or tuple(_hints(kind).values()), value)
    if origin is dict and isinstance(value, dict):
        return {from_json(arguments[0], key): from_json(arguments[1], item) for key, item in value.items()}
    is_literal = origin is Literal and isinstance(value, str) and value in arguments
    is_number = type(value) in (int, float) and math.isfinite(value)
    if is_literal or (is_number if kind is float else type(value) is kind):
        return value
    raise TypeError(f"expected {kind if origin else kind.__name__}, got {value!r}")


_hints = cache(get_type_hints)


def _from_object(kind: Any, value: dict[str, Any]) -> Any:
    hints, found = _hints(kind), {}
    for key, item in value.items():
        if key not in hints:
            raise TypeError(f"unexpected key {key!r}")
        try:
            found[key] = from_json(hints[key], item)
        except TypeError as error:
            raise TypeError(f"{key}: {error}") from error
    return kind(**found)


def _from_list(kind: Any, parts: tuple[Any, ...], value: list[Any]) -> Any:
    if parts[-1:] == (...,):
        parts = parts[:1] * len(value)
    if len(parts) != len(value):
        raise TypeError(f"expected {len(parts)} values, got {value!r}")
    made = tuple(from_json(part, item) for part, item in zip(parts, value, strict=True))
    return kind(*made) if hasattr(kind, "_fields") else made


def _fits(kind: Any, value: Any) -> bool:
    try:
        from_json(kind, value)
    except TypeError:
        return False
    return True


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write `array` as NPY; `path` appears whole, but need not outlive a machine that goes down.

    NumPy's own writer reports a full disk without its error number; writing the bytes ourselves keeps it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    temporary = path.with_name(f".writing-{secrets.token_hex(4)}-{path.name}")
    with open(temporary, "wb") as file:
        file.write(buffer.getbuffer())
    os.replace(temporary, path)


def relative(path: Path, root: Path) -> str:
    """`path` as seen from `root`, with forward slashes; a file elsewhere begins with `../`."""
    return Path(os.path.relpath(path, root)).as_posix()
