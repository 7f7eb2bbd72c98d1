"""Paths as users write them: with `~` for the home directory."""

import os
import re
from pathlib import Path

_AT_HOME = re.compile(r"~[\w.-]*(/.*)?", re.DOTALL)


def is_at_home(text: str) -> bool:
    """Whether `text` is a path that begins with `~` or `~user`; `~3 mm` is none."""
    return _AT_HOME.fullmatch(text) is not None


def from_home(text: str) -> str:
    """`text` with the home directory for a leading `~` or `~user`; all else stays as it is.

    Raises `ValueError` where there is no such user: the folder would get the name `~user`.
    """
    path = os.path.expanduser(text) if is_at_home(text) else text
    if is_at_home(path):
        user = text.partition("/")[0]
        raise ValueError(f"expected a path, got '{text}', but {user} is nobody's home; give the whole path")
    return path


def user_path(text: str) -> Path:
    """A path of a command line: shells leave the `~` of `--root=~/data` and of quoted words as it is."""
    return Path(from_home(text))
