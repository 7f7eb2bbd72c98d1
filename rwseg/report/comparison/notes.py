"""What a reader must know before believing the tables."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from rwseg.metrics.terminal_table import POLICY
from rwseg.report.comparison.comparison import Method, Run
from rwseg.report.comparison.convergence import COLLAPSED_BELOW, THRESHOLD_SHARE
from rwseg.report.comparison.guard import count_of
from rwseg.report.comparison.methods import names_without
from rwseg.report.comparison.significance import LEVEL, RESAMPLES
from rwseg.report.printed import NAMES

MOST_NAMED = 10


def left_out_notes(runs: Iterable[Run], folders: Mapping[str, str]) -> list[str]:
    """One note on the runs that are in no table, with their number by status and their reasons.

    `folders` says how the note names the folders of runs.
    """
    runs = list(runs)
    if not runs:
        return []
    counts = Counter(run.status for run in runs)
    said = []
    for run in runs:
        name = folders[str(run.folder)]
        reason = _first_line(run.reason).replace(str(run.folder), name) if run.reason else ""
        said.append(f"{name}: {run.status}{', ' + reason if reason else ''}")
    rest = [f"and {len(said) - MOST_NAMED} more"] if len(said) > MOST_NAMED else []
    by_status = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    return [
        f"Left out, because they have not finished: {count_of(len(runs), 'run')} ({by_status}). "
        "A run that broke off counts nowhere. " + "; ".join([*said[:MOST_NAMED], *rest]) + "."
    ]


def without_run_notes(runs: Iterable[Run], methods: Sequence[Method], compared: Sequence[str]) -> list[str]:
    """A note on methods that are in no table at all, because none of their runs has finished."""
    names = names_without(runs, methods, compared)
    return [f"In no table, because no run of it has finished: {'; '.join(names)}."] if names else []


def data_notes(
    methods: Sequence[Method], table: pd.DataFrame, tests: pd.DataFrame, missed: str, unit: str
) -> list[str]:
    """Notes on missed and spurious structures, units, runs, cases, devices and code."""
    runs = [run for method in methods for run in method.runs]
    notes = [
        f"Missed structures (in the reference alone): {table['missed'].sum()}; spurious structures (in the "
        f"prediction alone): {table['spurious'].sum()}, over all runs; {POLICY[missed]}."
    ]
    if unit == "px":
        notes.append("Distances are in pixels (px): these images have no physical spacing.")
    notes += [*_study_notes(runs), *_remark_notes(methods), *_run_notes(methods)]
    notes += _case_notes(table, tests)
    devices = Counter(f"{run.device} of {run.host}" for run in runs)
    if len(devices) > 1:
        where = ", ".join(f"{device} ({count_of(count, 'run')})" for device, count in devices.items())
        notes.append(f"The runs were made on different machines, so compare their cost with care: {where}.")
    unsure = sorted({run.commit for run in runs if run.commit.endswith("-dirty") or run.commit == "unknown"})
    if unsure:
        notes.append(
            f"Code version {', '.join(unsure)}: uncommitted changes or no git, so that the code of those "
            "runs cannot be told and may differ."
        )
    return notes


def _study_notes(runs: Sequence[Run]) -> list[str]:
    """Which runs nobody trained for this report."""
    stored = Counter(run.study for run in runs if run.study)
    return [
        f"{count_of(count, 'run')} of {len(runs)} are those of the stored study {name}."
        for name, count in stored.items()
    ]


def _remark_notes(methods: Sequence[Method]) -> list[str]:
    """What reading the runs had to say, each remark once."""
    said: dict[str, list[str]] = {}
    for method in methods:
        for remark in dict.fromkeys(remark for run in method.runs for remark in run.remarks):
            said.setdefault(remark, []).append(method.name)
    every = len(methods)
    return [
        f"{'Every method' if len(names) == every else '; '.join(names)}: {remark}."
        for remark, names in said.items()
    ]


def reference_note(methods: Sequence[Method], asked: str | None) -> list[str]:
    """Who the reference is, where nobody asked for it."""
    if asked is not None or len(methods) == 1:
        return []
    return [f"Tests are against {methods[0].name} (choose another with --reference)."]


def slow_note(threshold: float | None) -> str:
    """What a collapsed and a slow run is."""
    limit = f"{THRESHOLD_SHARE:g} of its method's median" if threshold is None else f"{threshold:g}"
    return (
        f"A run collapsed if a foreground class ends with a mean Dice below {COLLAPSED_BELOW:g}; it is slow "
        f"if none does, but its final mean Dice is below {limit} (--threshold)."
    )


def _run_notes(methods: Sequence[Method]) -> list[str]:
    notes = []
    if len(methods) == 1:
        notes.append(f"Only one method, {methods[0].name}: there is nothing to compare it with.")
    single = [method.name for method in methods if len(method.runs) == 1]
    if single:
        notes.append(f"One run only of {'; '.join(single)}: nothing here says how much luck there is in it.")
    counts = {len(method.runs) for method in methods}
    if len(counts) > 1:
        each = "; ".join(f"{method.name}: {len(method.runs)}" for method in methods)
        few = len(methods) <= MOST_NAMED // 2
        said = each if few else f"{min(counts)} to {max(counts)}"
        notes.append(f"The methods have different numbers of runs: {said}.")
    return notes


def _case_notes(table: pd.DataFrame, tests: pd.DataFrame) -> list[str]:
    notes = []
    cases, subjects = table["case"].nunique(), table["subject"].nunique()
    if subjects < cases:
        notes.append(
            f"{cases} cases come from {count_of(subjects, 'subject')}, and cases of a subject resemble one "
            "another. Intervals and Holm p take a subject as the unit. Stars and p take each case for "
            "itself, as the paper's do; such p-values come out too small."
        )
    return [*notes, *_power_notes(tests), *_pair_notes(tests)]


def _power_notes(tests: pd.DataFrame) -> list[str]:
    """Where so few subjects or so many tests cannot show any difference: p is 2 / 2 ** n at least."""
    hopeless: dict[str, list[str]] = {}
    for metric, same in tests[tests["subjects"] > 0].groupby("metric", sort=False):
        most = int(same["subjects"].max())
        smallest = min(1.0, len(same) * max(2 / 2**most, 1 / (RESAMPLES + 1)))
        if smallest >= LEVEL:
            said = (
                f"With {count_of(most, 'subject')} and {count_of(len(same), 'test')} no Holm p can fall "
                f"below {smallest:.2g}, however large the difference"
            )
            hopeless.setdefault(said, []).append(NAMES[str(metric)])
    return [f"{said} ({', '.join(metrics)})." for said, metrics in hopeless.items()]


def _pair_notes(tests: pd.DataFrame) -> list[str]:
    """Where pairs of cases are missing, because a structure is in one mask alone or in neither."""
    held = tests[tests["pairs"] < tests["pairs"].max()]
    if held.empty:
        return []
    fewest = int(held["pairs"].min())
    return [
        f"{len(held)} of {count_of(len(tests), 'test')} rest on fewer cases than the others, down to "
        f"{fewest}: a case without a value on one side drops out."
    ]


def _first_line(text: str) -> str:
    return text.splitlines()[0].rstrip(".")
