"""What a reader must know before believing the tables."""

from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from rwseg.report.comparison import Method, Run
from rwseg.report.convergence import THRESHOLD_SHARE
from rwseg.report.guard import count_of
from rwseg.report.samples import MEAN
from rwseg.report.significance import LEVEL
from rwseg.tables import POLICY

MOST_NAMED = 10
FEWEST_PAIRS = 6
"""Fewer pairs than these have 2 / 2 ** n >= 0.05: no difference can be significant."""


def left_out_notes(runs: Iterable[Run]) -> list[str]:
    """One note on the runs that are in no table, with their number by status and their reasons."""
    runs = list(runs)
    if not runs:
        return []
    counts = Counter(run.status for run in runs)
    said = [
        f"{run.folder}: {run.status}{', ' + _first_line(run.reason) if run.reason else ''}" for run in runs
    ]
    rest = [f"and {len(said) - MOST_NAMED} more"] if len(said) > MOST_NAMED else []
    by_status = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    return [
        f"Left out, because they have not finished: {count_of(len(runs), 'run')} ({by_status}). "
        "A run that broke off counts neither as converged nor as failed. "
        + "; ".join([*said[:MOST_NAMED], *rest])
        + "."
    ]


def data_notes(methods: Sequence[Method], table: pd.DataFrame, tests: pd.DataFrame, missed: str) -> list[str]:
    """Notes on missed structures, runs, cases, devices and code."""
    runs = [run for method in methods for run in method.runs]
    number = int(table.loc[table["class_name"] == MEAN, "missed"].sum())
    notes = [f"Missed structures (only one side has them): {number} over all runs; {POLICY[missed]}."]
    notes += _run_notes(methods)
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


def reference_note(methods: Sequence[Method], asked: str | None) -> list[str]:
    """Who the reference is, where nobody asked for it."""
    if asked is not None or len(methods) == 1:
        return []
    return [f"Tests are against {methods[0].name} (choose another with --reference)."]


def threshold_note(limit: float, asked: float | None) -> list[str]:
    """Where the threshold of convergence comes from."""
    source = f"{THRESHOLD_SHARE:g} of the best method's median" if asked is None else "as asked"
    return [
        f"A run failed to converge if its final mean Dice is below {limit:.3f} ({source}; see --threshold)."
    ]


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
        notes.append(f"The methods have different numbers of runs: {each}.")
    return notes


def _case_notes(table: pd.DataFrame, tests: pd.DataFrame) -> list[str]:
    notes = []
    cases, subjects = table["case"].nunique(), table["subject"].nunique()
    if subjects < cases:
        notes.append(
            f"{cases} cases come from {subjects} subjects. The tests take each case for itself, as the "
            "paper's do; cases of a subject resemble one another, so that p-values come out too small and "
            "intervals too narrow."
        )
    fewest = int(tests["pairs"].min()) if len(tests) else FEWEST_PAIRS
    if fewest < FEWEST_PAIRS:
        notes.append(
            f"Some tests have {count_of(fewest, 'pair')} of cases only: with fewer than {FEWEST_PAIRS} no "
            f"p-value can fall below {LEVEL:g}, however large the difference."
        )
    return notes


def _first_line(text: str) -> str:
    return text.splitlines()[0].rstrip(".")
