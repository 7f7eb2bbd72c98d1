"""`compare`: all numbers of a report from a list of runs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from rwseg.core.errors import ConfigError, RunError
from rwseg.experiments.config.names import suggestion
from rwseg.report.comparison.calibration import calibration_tables
from rwseg.report.comparison.comparison import FINISHED, Comparison, Method, Run, folders_below
from rwseg.report.comparison.convergence import (
    convergence_table,
    curve_table,
    distribution_table,
    final_dice,
)
from rwseg.report.comparison.guard import check_fair, count_of, differences
from rwseg.report.comparison.methods import COMPARED, group, swept
from rwseg.report.comparison.notes import (
    data_notes,
    left_out_notes,
    reference_note,
    slow_note,
    without_run_notes,
)
from rwseg.report.comparison.over_seeds import over_seeds_table
from rwseg.report.comparison.ranks import rank_table
from rwseg.report.comparison.samples import (
    COUNTS,
    METRICS,
    case_means,
    counts,
    long_table,
    mean_std,
    missed_policy,
    run_means,
    unit_of,
)
from rwseg.report.comparison.significance import significance_table
from rwseg.report.comparison.training import training_table

DEFAULT_REFERENCE = "rrw"


def compare(
    runs: Sequence[Run],
    reference: str | None = None,
    threshold: float | None = None,
    compared: Sequence[str] = (),
    allowed: Sequence[str] = (),
    title: str | None = None,
) -> Comparison:
    """Compare the finished ones among `runs`.

    `reference`: the method that the others are tested against (None: `rrw` where there is one, else the
    first by name). `threshold`: the final mean Dice below which a run is slow (None: 0.8 of its method's
    median). `compared` adds settings, or groups of them, to loss and strategy as what sets
    methods apart, and so does a sweep over one (`swept`); `allowed` accepts differences that would make the
    comparison unfair. Raises `RunError` if no run has finished, if runs differ in more than that, if a seed
    is there twice, if the runs have no case in common or one has no Dice, or if their distances are in
    different units; `ConfigError` for an unknown reference or setting and a threshold outside [0, 1].
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise ConfigError(f"--threshold: expected a Dice between 0 and 1, got {threshold:g}")
    finished = _finished(runs)
    keys = [*COMPARED, *compared]
    keys += swept(finished, [*keys, *allowed])
    methods = group(finished, keys)
    accepted = check_fair(methods, keys, allowed)
    chosen = _reference(methods, reference)
    methods = (chosen, *(method for method in methods if method is not chosen))
    numbers = _numbers(methods, threshold)
    unfinished = [run for run in runs if run.status != FINISHED]
    notes = (
        *left_out_notes(unfinished, folders_below(runs)),
        *without_run_notes(runs, methods, keys),
        *accepted,
        *numbers.notes,
        *reference_note(methods, reference),
        slow_note(threshold),
    )
    return replace(numbers, title=title or _title(methods), notes=notes)


def _numbers(methods: tuple[Method, ...], threshold: float | None) -> Comparison:
    """All tables, the first method being the reference; the notes are those on the data."""
    missed, unit = missed_policy(methods), unit_of(methods)
    table = long_table(methods, missed)
    cases, per_run = case_means(table), run_means(table)
    final = final_dice(per_run)
    _check_dice(final)
    calibration, reliability = calibration_tables(methods)
    tests = significance_table(cases, per_run, methods[0].name)
    return Comparison(
        title="",
        methods=methods,
        reference=methods[0].name,
        classes=tuple(table["class_name"].unique()),
        missed=missed,
        unit=unit,
        threshold=threshold,
        summary=_ordered(_summary(table, cases), methods),
        tests=_ordered(tests, methods),
        over_seeds=over_seeds_table(table),
        ranks=_ordered(rank_table(table), methods),
        per_run=_ordered(per_run, methods),
        phases=_ordered(_phases(table), methods),
        convergence=_ordered(convergence_table(methods, per_run, threshold), methods),
        curves=_ordered(curve_table(methods), methods),
        training=_ordered(training_table(methods), methods),
        distribution=_ordered(distribution_table(final), methods),
        calibration=calibration,
        reliability=reliability,
        cost=_cost(methods),
        settings=_settings(methods),
        notes=tuple(data_notes(methods, table, tests, missed, unit)),
    )


def _finished(runs: Sequence[Run]) -> list[Run]:
    finished = [run for run in runs if run.status == FINISHED]
    if not finished:
        notes = left_out_notes(runs, {str(run.folder): str(run.folder) for run in runs})
        raise RunError("\n".join(["expected at least one finished run, got none:", *notes]))
    return finished


def _reference(methods: Sequence[Method], asked: str | None) -> Method:
    by_name = {method.name: method for method in methods}
    if asked is None:
        return by_name.get(DEFAULT_REFERENCE, methods[0])
    if asked not in by_name:
        raise ConfigError(
            f"--reference {asked}: expected one of the methods {'; '.join(by_name)}, got another name"
            f"{suggestion(asked, list(by_name))}"
        )
    return by_name[asked]


def _check_dice(final: pd.DataFrame) -> None:
    nothing = final[final["value"].isna()]
    if len(nothing):
        which = "; ".join(f"{row['method']}, seed {row['seed']}" for row in nothing.to_dict("records"))
        raise RunError(
            f"expected a Dice of some case in every run, got NaN only in {which}: neither reference nor "
            "prediction has anything in the cases and classes that all runs have; leave these runs out"
        )


def _title(methods: Sequence[Method]) -> str:
    run = methods[0].runs[0]
    name = run.settings.get("dataset.name", "").strip('"')
    dataset = name or run.choices.get("dataset", "unknown data")
    return f"{count_of(len(methods), 'method')} on {dataset}"


def _summary(table: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    found = mean_std(cases.reset_index(), ["method"])
    runs = table.groupby("method", sort=False, observed=True)["seed"].nunique().rename("runs").reset_index()
    found = found.merge(runs, on="method").merge(counts(table, ["method"]), on=["method", "class_name"])
    return found[["method", "class_name", "metric", "mean", "std", "runs", "cases", *COUNTS]]


def _phases(table: pd.DataFrame) -> pd.DataFrame:
    """As `_summary`, for the cases of each phase; without rows where the data has no phases."""
    keys = ["method", "phase", "class_name"]
    held = table.dropna(subset=["phase"])
    cases = held.groupby([*keys, "case"], sort=False, observed=True)[list(METRICS)].mean()
    found = mean_std(cases.reset_index(), keys[:2]).merge(counts(held, keys[:2]), on=keys)
    return found[[*keys, "metric", "mean", "std", "cases", *COUNTS]]


def _cost(methods: Sequence[Method]) -> pd.DataFrame:
    rows = []
    for method in methods:
        epochs = [run.epochs["seconds"].mean() for run in method.runs if run.epochs is not None]
        rows.append(
            {
                "method": method.name,
                "runs": len(method.runs),
                "seconds": float(np.mean([run.seconds for run in method.runs])),
                "seconds_per_epoch": float(np.mean(epochs)) if epochs else float("nan"),
                "device": ", ".join(sorted({run.device for run in method.runs})),
            }
        )
    return pd.DataFrame(rows)


def _settings(methods: Sequence[Method]) -> pd.DataFrame:
    """What the methods differ in; a method whose own runs differ shows each of its values."""
    names = [method.name for method in methods]
    rows = [
        [
            one.key,
            *(" | ".join(value for value, held in one.values.items() if name in held) for name in names),
        ]
        for one in differences(methods)
    ]
    return pd.DataFrame(rows, columns=["key", *names], dtype=object)


def _ordered(table: pd.DataFrame, methods: Sequence[Method]) -> pd.DataFrame:
    """Rows in the order of the methods, their names as text."""
    rank = {method.name: place for place, method in enumerate(methods)}
    plain = table.assign(method=table["method"].astype(object))
    return plain.sort_values("method", key=lambda names: names.map(rank), kind="stable", ignore_index=True)
