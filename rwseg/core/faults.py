"""Faults of many files, told once for each kind: sixty masks with the same fault are one line."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

FEW = 3
MOST_NAMED = 8
MOST_LISTED = 20

_NAMES = re.compile(r"'[^']*'|\"[^\"]*\"|\S*[/\\]\S*|[^\s,()]+\.(?:nii\.gz|\w{2,4})\b")
_NUMBERS = re.compile(r"[-+]?\d[\w.+-]*")
_LISTS = re.compile(r"[@#](?:(?:, | x | and )(?:[@#]|\.\.\.))*(?: \(# values\))?")


def grouped(faults: Iterable[str]) -> list[str]:
    """`faults`, `NAME: what is wrong` each; more than `FEW` alike but for names and numbers become one line.

    The first of them stands there whole, with the number and the names of the others.
    """
    kinds: dict[str, list[str]] = defaultdict(list)
    for fault in faults:
        kinds[_kind(fault)].append(fault)
    return [line for alike in kinds.values() for line in (alike if len(alike) <= FEW else [_line(alike)])]


def listed(faults: Iterable[str], indent: str = "  - ") -> Iterator[str]:
    """A line for each kind of fault, at most `MOST_LISTED` of them, and one that says how many are left."""
    lines = grouped(faults)
    yield from (f"{indent}{line}" for line in lines[:MOST_LISTED])
    if len(lines) > MOST_LISTED:
        yield f"  and {len(lines) - MOST_LISTED} more"


def some(names: Iterable[str]) -> str:
    """The first few of `names`, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - MOST_NAMED} more" if len(every) > MOST_NAMED else ""
    return ", ".join(every[:MOST_NAMED]) + more


def _kind(fault: str) -> str:
    _, _, text = fault.partition(": ")
    if not text:
        return fault
    for pattern, sign in ((_NAMES, "@"), (_NUMBERS, "#"), (_LISTS, "#")):
        text = pattern.sub(sign, text)
    return text


def _line(alike: list[str]) -> str:
    heads = [re.split(r"[/\\]", fault.partition(": ")[0]) for fault in alike]
    depth = next((n for n in (1, 2, 3) if len({*map(tuple, (h[-n:] for h in heads))}) == len(heads)), 1)
    _, *others = dict.fromkeys("/".join(head[-depth:]) for head in heads)
    return f"{alike[0]} (the same of {len(alike) - 1} more{': ' if others else ''}{some(others)})"
