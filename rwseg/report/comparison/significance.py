"""The tests of a report: every method against the reference, on the same cases."""

from math import comb

import numpy as np
import pandas as pd

from rwseg.metrics.averages import case_shares
from rwseg.report.comparison.samples import MEAN, METRICS
from rwseg.statistics import (
    group_sums,
    holm,
    mean_interval,
    paired_permutation_test,
    two_sample_permutation_test,
)

LEVEL, RESAMPLES = 0.05, 10_000
"""Level of significance and number of permutations, both as in the paper."""

COLUMNS = (
    "method", "class_name", "metric", "pairs", "subjects", "difference", "low", "high", "p", "stars",
    "p_subjects", "p_holm", "p_runs",
)  # fmt: skip


def significance_table(cases: pd.DataFrame, per_run: pd.DataFrame, reference: str) -> pd.DataFrame:
    """A row per method but the reference, class and metric, with the columns `COLUMNS`.

    `cases` (`samples.case_means`) gives the pairs: a case, averaged over the runs of its method, so that
    runs never count as further cases. A case without a value on either side drops out; `pairs` are left, of
    `subjects`. `p` is the paper's paired permutation test over cases (10 000 permutations). `p_subjects` is
    the same test with all cases of a subject exchanged together, `p_holm` its correction over all methods and
    classes of the metric, `low` and `high` the 95 % bootstrap interval of the mean difference, with the cases
    of a subject drawn together. For the mean over classes, a case stands for what it adds to it
    (`averages.case_shares` of the pairs), so that `difference` is the mean of the classes' differences.
    `p_runs` tests the means of the runs in `per_run` (`samples.run_means`) as
    two independent samples; NaN where so few runs cannot reach `LEVEL`. Without pairs all numbers are NaN.
    """
    by_case = cases.unstack(["method", "class_name"])  # rows case and subject
    subjects = by_case.index.get_level_values("subject").to_numpy()
    classes = list(cases.index.get_level_values("class_name").unique())
    grouped = per_run.groupby(["method", "class_name", "metric"], observed=True)["value"]
    runs = {key: values.dropna().to_numpy() for key, values in grouped}
    methods = list(cases.index.get_level_values("method").unique())
    rows = []
    for method in (name for name in methods if name != reference):
        for class_name in [*classes, MEAN]:
            shown = classes if class_name == MEAN else [class_name]
            for metric in METRICS:
                first, second = (by_case[metric, name][shown] for name in (method, reference))
                found = _paired(first.to_numpy(), second.to_numpy(), subjects)
                row = {"method": method, "class_name": class_name, "metric": metric, **found}
                samples = [runs[(name, class_name, metric)] for name in (method, reference)]
                rows.append({**row, "p_runs": _over_runs(*samples)})
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for _, same in table.groupby("metric"):
        held = same["p_subjects"].dropna()
        if len(held):
            table.loc[held.index, "p_holm"] = holm(held)
    table["stars"] = np.where(table["p"] < LEVEL, "*", "")
    return table


def _paired(method: np.ndarray, reference: np.ndarray, subjects_of: np.ndarray) -> dict[str, float]:
    """The numbers of a row from the values `(cases, classes)` of both and the subject of each case."""
    unpaired = np.isnan(method) | np.isnan(reference)
    held = ~unpaired.all(axis=1)
    if not held.any():
        return {"pairs": 0, "subjects": 0}
    first, second = (case_shares(np.where(unpaired, np.nan, each)[held]) for each in (method, reference))
    subjects = list(subjects_of[held])
    (sums, _), (others, _) = group_sums(first, subjects), group_sums(second, subjects)
    low, high = mean_interval(first - second, subjects)
    return {
        "pairs": len(first),
        "subjects": len(sums),
        "difference": float((first - second).mean()),
        "low": low,
        "high": high,
        "p": paired_permutation_test(first, second, RESAMPLES),
        "p_subjects": paired_permutation_test(sums, others, RESAMPLES),
    }


def _over_runs(x: np.ndarray, y: np.ndarray) -> float:
    """p over runs, NaN where even a perfect separation of the two samples would not reach `LEVEL`."""
    if min(len(x), len(y)) < 2:
        return float("nan")
    mirrored = 2 if len(x) == len(y) else 1
    if mirrored / comb(len(x) + len(y), len(x)) >= LEVEL:
        return float("nan")
    return two_sample_permutation_test(x, y)
