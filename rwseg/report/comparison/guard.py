"""The fairness guard: runs that are compared agree in everything but what is compared."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from rwseg.core.errors import ConfigError, RunError
from rwseg.experiments.config.names import suggestion
from rwseg.report.comparison.comparison import Method, Run
from rwseg.report.comparison.methods import ABSENT, FACTS, belongs, facts, shown

CASES, CLASSES, COMMIT = "cases", "classes", "commit"
DIRTY = "-dirty"
"""The end of the commit of a run that was made with uncommitted changes."""


@dataclass(frozen=True)
class Difference:
    """A fact in which runs differ: its value, as text, to the number of runs of each method that have it."""

    key: str
    values: dict[str, dict[str, int]]

    def line(self) -> str:
        """`schedule.epochs: 12 in rrw (5 runs); 50 in ce (3 runs)`, the most frequent value first."""
        ranked = sorted(self.values.items(), key=lambda item: (-sum(item[1].values()), item[0]))
        parts = []
        for value, methods in ranked:
            where = ", ".join(f"{name} ({count_of(count, 'run')})" for name, count in methods.items())
            parts.append(f"{value} in {where}")
        return f"{self.key}: {'; '.join(parts)}"


def differences(methods: Sequence[Method]) -> list[Difference]:
    """What the runs of `methods` differ in: settings, `commit`, `data`, `split`, `cases`, `classes`."""
    runs = [run for method in methods for run in method.runs]
    keys = sorted({key for run in runs for key in facts(run)})
    found = [_difference(key, methods, _fact(key)) for key in keys]
    for key, column in ((CASES, "case"), (CLASSES, "class_name")):
        union = frozenset[str]().union(*(_names(run, column) for run in runs))
        found.append(_difference(key, methods, _held(column, union)))
    return [difference for difference in found if len(difference.values) > 1]


def check_fair(methods: Sequence[Method], compared: Sequence[str], allowed: Sequence[str]) -> list[str]:
    """Return a note for every difference that `allowed` accepts; `compared` ones need none.

    Raises `RunError` with all others, and for several runs of a commit with uncommitted changes, which may
    differ in code; `ConfigError` for a name in `compared` or `allowed` that no run has.
    """
    _check_names(methods, compared, allowed)
    found = [one for one in differences(methods) if not belongs(one.key, compared)]
    refused = [one for one in found if not belongs(one.key, allowed)]
    lines = [f"  - {one.line()}" for one in refused]
    if not belongs(COMMIT, [*compared, *allowed]) and COMMIT not in [one.key for one in refused]:
        lines += _unsure_code(methods)
    if lines:
        first = refused[0].key if refused else COMMIT
        raise RunError(
            "\n".join(
                [
                    f"the runs differ in more than what is compared ({', '.join(compared)}):",
                    *lines,
                    f"give runs that agree; or compare them also in it with --compare {first}; or accept the "
                    f"difference with --allow {first}, and the report will say so",
                ]
            )
        )
    return [f"Accepted although the runs differ in it: {one.line()}." for one in found]


def _unsure_code(methods: Sequence[Method]) -> list[str]:
    """The runs of a commit with uncommitted changes: one commit, but perhaps not one code."""
    runs = [run for method in methods for run in method.runs]
    dirty = [run for run in runs if run.commit.endswith(DIRTY)]
    if len(runs) < 2 or not dirty:
        return []
    return [
        f"  - {COMMIT}: {shown(COMMIT, dirty[0].commit)} in {count_of(len(dirty), 'run')}, made with "
        "uncommitted changes, so that their code may differ"
    ]


def common_rows(methods: Sequence[Method]) -> pd.DataFrame:
    """The cases and classes that every run has, as columns `case` and `class_name`.

    Raises `RunError` if there are none: runs on different datasets have nothing to compare.
    """
    runs = [run for method in methods for run in method.runs]
    rows = frozenset.intersection(*(_rows(run) for run in runs))
    if not rows:
        raise RunError(
            "expected runs that validated the same cases, got no case and class that all have in common: "
            "runs on different datasets or splits cannot be compared; report each by itself"
        )
    return pd.DataFrame(sorted(rows), columns=["case", "class_name"])


def count_of(count: int, thing: str) -> str:
    """`1 run`, `3 runs`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _difference(key: str, methods: Iterable[Method], value_of: Callable[[Run], str]) -> Difference:
    values: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for method in methods:
        for run in method.runs:
            values[value_of(run)][method.name] += 1
    return Difference(key, {value: dict(counts) for value, counts in values.items()})


def _fact(key: str) -> Callable[[Run], str]:
    return lambda run: shown(key, facts(run).get(key, ABSENT))


def _table(run: Run) -> pd.DataFrame:
    assert run.cases is not None, f"{run.folder}: only finished runs are compared"
    return run.cases


def _names(run: Run, column: str) -> frozenset[str]:
    return frozenset(_table(run)[column])


def _rows(run: Run) -> frozenset[tuple[str, str]]:
    return frozenset(zip(_table(run)["case"], _table(run)["class_name"], strict=True))


def _held(column: str, union: frozenset[str]) -> Callable[[Run], str]:
    """`57 (without a, b, c)` for a run: how many it has, and some that only other runs have."""

    def text(run: Run) -> str:
        held = _names(run, column)
        lacking = sorted(union - held)
        rest = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        return f"{len(held)} (without {', '.join(lacking[:3])}{rest})" if lacking else str(len(held))

    return text


def _check_names(methods: Sequence[Method], compared: Iterable[str], allowed: Iterable[str]) -> None:
    keys = sorted({key for method in methods for run in method.runs for key in facts(run)})
    groups = sorted({key.rpartition(".")[0] for key in keys} - {""})
    for option, names, known in (
        ("--compare", compared, [*keys, *groups]),
        ("--allow", allowed, [*keys, *groups, CASES, CLASSES]),
    ):
        unknown = [name for name in names if not any(belongs(key, [name]) for key in known)]
        if unknown:
            raise ConfigError(
                f"{option} {unknown[0]}: expected a setting of these runs, a group of settings, "
                f"{', '.join(FACTS)}, got something else{suggestion(unknown[0], known)}"
            )
