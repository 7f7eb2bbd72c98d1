"""The composition of maps that a loss has, in words for tables and for names of folders."""

import json
import re
from collections.abc import Mapping
from typing import Any

SETTING = "loss.map"
"""The setting that holds one, flat."""


def described(parts: list[Any]) -> str:
    """`boundary rectify normalise=per_class` of a list as `rwseg.maps.composition` has it."""
    return " ".join(map(_described, parts))


def as_folder(text: str) -> str | None:
    """`boundary--rectify--normalise-per_class` of a list in JSON, or None if it is no list of named parts.

    Different lists have different names: words have no hyphens, and a list in a list stands between two `@`.
    """
    try:
        parts = json.loads(text)
        return "--".join(map(_folder, parts)) if isinstance(parts, list) and parts else None
    except ValueError:
        return None


def _described(part: Any) -> str:
    if not isinstance(part, Mapping):
        return str(part)
    return " ".join(f"{name}={_value(value)}" for name, value in part.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({', '.join(f'{key} {_value(one)}' for key, one in value.items())})"
    if isinstance(value, list):
        words = any(isinstance(one, str | Mapping) for one in value)
        return f"[{described(value)}]" if words else "/".join(map(str, value))
    return str(value)


def _folder(part: Any) -> str:
    """`ValueError` for what is no part."""
    if isinstance(part, Mapping) and len(part) == 1:
        ((name, value),) = part.items()
        given = value.items() if isinstance(value, Mapping) else [("", value)]
        return "-".join(
            [_word(name), *(f"{key and _word(key) + '-'}{_folder_value(one)}" for key, one in given)]
        )
    return _word(part)


def _folder_value(value: Any) -> str:
    if isinstance(value, list):
        is_composed = any(isinstance(one, str | Mapping) for one in value)
        inner = ("--" if is_composed else "x").join(map(_folder if is_composed else _folder_value, value))
        return f"@{inner}@" if is_composed else inner
    return str(value) if type(value) in (int, float) else _word(value)


def _word(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z]\w*", value, re.ASCII):
        raise ValueError(value)
    return value
