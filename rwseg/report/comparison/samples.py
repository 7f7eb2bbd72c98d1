"""From the `cases.csv` of many runs to one long table and its averages over cases, runs and classes."""

from collections.abc import Sequence

import pandas as pd

from rwseg.core.errors import RunError
from rwseg.metrics.averages import class_means
from rwseg.report.comparison.comparison import Method, folders_below
from rwseg.report.comparison.guard import common_rows

METRICS = ("dice", "hausdorff", "hausdorff95")
COUNTS = ("missed", "spurious")
MEAN = "mean"
"""The class name under which means over the foreground classes stand (`averages.class_means`)."""

POLICY_KEY = "evaluation.missed"


def missed_policy(methods: Sequence[Method]) -> str:
    """The policy on missed and spurious structures that all numbers follow: `nan` or `diagonal`.

    Where runs differ in it (`--allow evaluation.missed`), `nan`, which every run can follow.
    """
    policies = {run.settings.get(POLICY_KEY, '"nan"') for method in methods for run in method.runs}
    return policies.pop().strip('"') if len(policies) == 1 else "nan"


def unit_of(methods: Sequence[Method]) -> str:
    """The unit of all Hausdorff distances, `mm` or `px`; `RunError` where runs differ in it."""
    folders: dict[str, str] = {}
    for run in (run for method in methods for run in method.runs):
        assert run.cases is not None
        folders.setdefault(str(run.cases["unit"].iloc[0]), str(run.folder))
    if len(folders) > 1:
        where = ", ".join(f"{unit} in {folder}" for unit, folder in sorted(folders.items()))
        raise RunError(
            f"expected runs that measured distances in one unit, got {where}: mm and pixels have no common "
            "mean; report each kind by itself"
        )
    return next(iter(folders))


def long_table(methods: Sequence[Method], missed: str) -> pd.DataFrame:
    """A row per method, seed, case and class of what all runs have in common.

    Columns: `method, seed, folder, case, subject, phase, class_name`, the `METRICS` and `COUNTS`. With the
    policy `nan`, missed and spurious structures have no Hausdorff distance, whatever the run filled in. A
    case without a subject is one of its own. `method` is categorical, in the order of `methods`. Raises
    `RunError` for a class that is named like the mean.
    """
    common = common_rows(methods)
    parts, below = [], folders_below(run for method in methods for run in method.runs)
    for method in methods:
        for run in method.runs:
            assert run.cases is not None
            parts.append(run.cases.assign(method=method.name, seed=run.seed, folder=below[str(run.folder)]))
    rows = pd.concat(parts).merge(common, on=["case", "class_name"])
    if (rows["class_name"] == MEAN).any():
        raise RunError(f"expected no class named '{MEAN}', which the mean over classes is called here")
    if missed == "nan":
        one_sided = rows[list(COUNTS)].any(axis=1)
        rows.loc[one_sided, ["hausdorff", "hausdorff95"]] = float("nan")
    rows["subject"] = rows.groupby("case")["subject"].transform("first").fillna(rows["case"])
    rows["method"] = pd.Categorical(rows["method"], [method.name for method in methods])
    keys = ["method", "seed", "folder", "case", "subject", "phase"]
    return rows[[*keys, "class_name", *METRICS, *COUNTS]]


def case_means(table: pd.DataFrame) -> pd.DataFrame:
    """Each case averaged over the runs of its method, as in the paper, without values that a run lacks.

    Indexed by `method, class_name, case, subject`, with the `METRICS` as columns.
    """
    keys = ["method", "class_name", "case", "subject"]
    return table.groupby(keys, sort=False, observed=True)[list(METRICS)].mean()


def counts(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The `COUNTS` per `by`, class and all classes together, under `MEAN`."""
    every = pd.concat([table, table.assign(class_name=MEAN)])
    keys = [*by, "class_name"]
    return every.groupby(keys, sort=False, observed=True)[list(COUNTS)].sum().reset_index()


def with_mean(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Class means per `by`, and under the class `MEAN` the means over classes, all as columns."""
    each, overall = class_means(rows, METRICS, by)
    return pd.concat([each.reset_index(), overall.reset_index().assign(class_name=MEAN)], ignore_index=True)


def run_means(table: pd.DataFrame) -> pd.DataFrame:
    """Means over the cases of each run: `method, seed, folder, class_name, metric, value`, `COUNTS`."""
    keys = ["method", "seed", "folder"]
    means = with_mean(table, keys).melt([*keys, "class_name"], list(METRICS), "metric", "value")
    return means.merge(counts(table, keys), on=[*keys, "class_name"])


def mean_std(cases: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean, standard deviation (division by n) and number of cases per `by`, class and metric.

    `cases` has a row per `by`, class and case. Of the mean over classes, the deviation and the number are
    those of the cases' own means over the classes that have a value in them.
    """
    keys = [*by, "class_name", "metric"]
    means = with_mean(cases, by).melt([*by, "class_name"], list(METRICS), "metric", "mean")
    values = with_mean(cases, [*by, "case"]).melt([*by, "class_name", "case"], list(METRICS), "metric")
    grouped = values.groupby(keys, sort=False, observed=True)["value"]
    spread = pd.DataFrame({"std": grouped.std(ddof=0), "cases": grouped.count()})
    return means.merge(spread.reset_index(), on=keys)
