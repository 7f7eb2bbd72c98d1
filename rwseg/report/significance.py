"""The tests of a report: every method against the reference, on the same cases."""

from math import comb

import numpy as np
import pandas as pd

from rwseg.report.samples import METRICS
from rwseg.stats import holm, mean_interval, paired_permutation_test, two_sample_permutation_test

LEVEL = 0.05
COLUMNS = (
    "method", "class_name", "metric", "pairs", "difference", "low", "high", "p", "p_holm", "stars", "p_runs",
)  # fmt: skip


def significance_table(cases: pd.DataFrame, per_run: pd.DataFrame, reference: str) -> pd.DataFrame:
    """A row per method but the reference, class and metric, with the columns `COLUMNS`.

    `cases` (`samples.case_means`) gives the pairs: the unit is a case, averaged over the runs of its method,
    and a case without a value on either side drops out; `pairs` are left. `p` is the paired permutation
    test of the paper (10 000 permutations), `p_holm` its correction over all methods and classes of the
    metric, `low` and `high` the 95 % bootstrap interval of the mean difference to the reference. `p_runs`
    tests the means of the runs in `per_run` (`samples.run_means`) as two independent samples; NaN where
    so few runs cannot reach `LEVEL`. Without pairs all numbers are NaN.
    """
    by_case = cases.unstack(["method"])  # rows class and case, columns metric and method
    grouped = per_run.groupby(["method", "class_name", "metric"], observed=True)["value"]
    runs = {key: values.dropna().to_numpy() for key, values in grouped}
    methods = list(cases.index.get_level_values("method").unique())
    rows = []
    for method in (name for name in methods if name != reference):
        for class_name, block in by_case.groupby(level="class_name", sort=False):
            for metric in METRICS:
                pair = block[metric][[method, reference]].dropna().to_numpy()
                row = {"method": method, "class_name": class_name, "metric": metric, **_paired(pair)}
                samples = [runs[(name, class_name, metric)] for name in (method, reference)]
                rows.append({**row, "p_runs": _over_runs(*samples)})
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for _, same in table.groupby("metric"):
        held = same["p"].dropna()
        if len(held):
            table.loc[held.index, "p_holm"] = holm(held)
    table["stars"] = np.where(table["p"] < LEVEL, "*", "")
    return table


def _paired(pair: np.ndarray) -> dict[str, float]:
    if not len(pair):
        return {"pairs": 0}
    first, second = pair.T
    low, high = mean_interval(first - second)
    return {
        "pairs": len(pair),
        "difference": float((first - second).mean()),
        "low": low,
        "high": high,
        "p": paired_permutation_test(first, second),
    }


def _over_runs(x: np.ndarray, y: np.ndarray) -> float:
    """p over runs, NaN where even a perfect separation of the two samples would not reach `LEVEL`."""
    if min(len(x), len(y)) < 2:
        return float("nan")
    mirrored = 2 if len(x) == len(y) else 1
    if mirrored / comb(len(x) + len(y), len(x)) >= LEVEL:
        return float("nan")
    return two_sample_permutation_test(x, y)
