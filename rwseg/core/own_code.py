"""Code that is not rwseg's, named by a dotted path: `mine.MyLoss` of a `mine.py` in the current folder."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any


class OwnCodeError(Exception):
    """A path leads nowhere, or what it leads to cannot be imported; the message says why."""


@contextmanager
def calling_own_code() -> Iterator[None]:
    """Raise `OwnCodeError` with the words and the place of whatever the block raises: it may be anything."""
    try:
        yield
    except Exception as error:
        raise OwnCodeError(told(error)) from error


def import_from_current_folder() -> None:
    """Let Python find modules of the current folder, after those that are installed."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)


def named_object(path: str) -> Any:
    """Import what a dotted path names; raises `OwnCodeError` with what was expected and found."""
    parts = path.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise OwnCodeError("expected MODULE.NAME, such as mine.MyLoss for class MyLoss of mine.py, got that")
    found: Any = _imported(parts[0])
    known = parts[0]
    for part in parts[1:]:
        deeper = f"{known}.{part}"
        if not hasattr(found, part) and isinstance(found, ModuleType) and _is_module(deeper):
            found = _imported(deeper)
        elif not hasattr(found, part):
            raise OwnCodeError(_without(found, known, part))
        else:
            found = getattr(found, part)
        known = deeper
    return found


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _imported(name: str) -> ModuleType:
    """The module of this name; `OwnCodeError` where there is none, or its own code fails."""
    if "." not in name and not _is_module(name):
        near = get_close_matches(name, [file.stem for file in Path().glob("*.py")], n=1)
        meant = f"; did you mean {near[0]}?" if near else f"; {name}.py would stand there"
        raise OwnCodeError(f"expected a module '{name}' in {Path.cwd()} or installed, found none{meant}")
    try:
        module = import_module(name)
    except Exception as error:
        raise OwnCodeError(f"expected a module that can be imported, got {told(error)}") from error
    hidden = next((file for file in (Path(f"{name}.py"), Path(name, "__init__.py")) if file.is_file()), None)
    origin = getattr(module, "__file__", None)
    if hidden is not None and origin is not None and Path(origin).resolve() != hidden.resolve():
        raise OwnCodeError(
            f"expected the module of {hidden.absolute()}, got an installed one of that name, {origin}; give "
            "your file another name"
        )
    return module


def told(error: BaseException) -> str:
    """An error with its last place that lies in no installed package: `NameError: ... (mine.py, line 3)`."""
    text = f"{type(error).__name__}: {error}"
    places = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and not is_installed(frame.filename)
    ]
    if isinstance(error, SyntaxError) or not places:
        return text  # it names its place itself
    return f"{text} ({Path(places[-1].filename).name}, line {places[-1].lineno})"


def is_installed(file: str) -> bool:
    """Whether a file belongs to Python, an installed package or rwseg."""
    path = Path(file).resolve()
    ours, python = Path(__file__).resolve().parents[1], Path(os.__file__).resolve().parent
    return (
        not {"site-packages", "dist-packages"}.isdisjoint(path.parts)
        or path.is_relative_to(ours)
        or path.is_relative_to(python)
    )


def _without(found: Any, known: str, part: str) -> str:
    names = [name for name in vars(found) if not name.startswith("_")] if hasattr(found, "__dict__") else []
    near = get_close_matches(part, names, n=1)
    where = f" ({found.__file__})" if getattr(found, "__file__", None) else ""
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"expected a '{part}' in {known}{where}, found none{meant}"
