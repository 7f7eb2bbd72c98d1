"""From the `cases.csv` of many runs to one long table and its averages over cases, runs and classes."""

from collections.abc import Sequence

import pandas as pd

from rwseg.core.errors import RunError
from rwseg.report.comparison.comparison import Method, folders_below
from rwseg.report.comparison.guard import common_rows

METRICS = ("dice", "hausdorff_mm", "hausdorff95_mm")
MEAN = "mean"
"""The class name under which means over the foreground classes stand."""

POLICY_KEY = "evaluation.missed"


def missed_policy(methods: Sequence[Method]) -> str:
    """The policy on missed structures that all numbers of the report follow: `nan` or `diagonal`.

    Where runs differ in it (`--allow evaluation.missed`), `nan`, which every run can follow.
    """
    policies = {run.settings.get(POLICY_KEY, '"nan"') for method in methods for run in method.runs}
    return policies.pop().strip('"') if len(policies) == 1 else "nan"


def long_table(methods: Sequence[Method], missed: str) -> pd.DataFrame:
    """A row per method, seed, case and class of what all runs have in common, and one for the classes' mean.

    Columns: `method, seed, folder, case, subject, phase, class_name`, the `METRICS` and `missed`. The mean of
    a case is over the classes that have a value in it. With the policy `nan`, missed structures have no
    Hausdorff distance, whatever the run filled in. A case without a subject is one of its own. `method` is
    categorical, in the order of `methods`. Raises `RunError` for a class that is named like the mean.
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
        rows.loc[rows["missed"] == 1, ["hausdorff_mm", "hausdorff95_mm"]] = float("nan")
    rows["subject"] = rows.groupby("case")["subject"].transform("first").fillna(rows["case"])
    rows["method"] = pd.Categorical(rows["method"], [method.name for method in methods])
    keys = ["method", "seed", "folder", "case", "subject", "phase"]
    columns = [*keys, "class_name", *METRICS, "missed"]
    grouped = rows.groupby(keys, sort=False, observed=True, dropna=False)
    means = grouped[list(METRICS)].mean().join(grouped["missed"].sum()).reset_index()
    return pd.concat([rows[columns], means.assign(class_name=MEAN)[columns]], ignore_index=True)


def case_means(table: pd.DataFrame) -> pd.DataFrame:
    """Each case averaged over the runs of its method, as in the paper, without values that a run lacks.

    Indexed by `method, class_name, case, subject`, with the `METRICS` as columns.
    """
    keys = ["method", "class_name", "case", "subject"]
    return table.groupby(keys, sort=False, observed=True)[list(METRICS)].mean()


def run_means(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over cases of each run: columns `method, seed, folder, class_name, metric, value`."""
    keys = ["method", "seed", "folder", "class_name"]
    means = table.groupby(keys, sort=False, observed=True)[list(METRICS)].mean().reset_index()
    return means.melt(keys, list(METRICS), "metric", "value")


def mean_std(values: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Mean, standard deviation (division by n) and number of values per `keys` and metric."""
    long = values.reset_index().melt([*keys], list(METRICS), "metric", "value")
    grouped = long.groupby([*keys, "metric"], sort=False, observed=True)["value"]
    found = pd.DataFrame({"mean": grouped.mean(), "std": grouped.std(ddof=0), "cases": grouped.count()})
    return found.reset_index()
