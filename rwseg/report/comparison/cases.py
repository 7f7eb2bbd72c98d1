"""The cases behind the numbers: each averaged over the runs of its method, as the tables take them."""

import pandas as pd

from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.samples import COUNTS, MEAN, METRICS, long_table, with_mean

KEYS = ["method", "class_name", "case"]


def averaged_cases(comparison: Comparison) -> pd.DataFrame:
    """A row per method, class and case, the mean over classes among them.

    Columns `method, class_name, case, phase` (empty where there is none), the metrics (means over the runs
    that have a value; the mean over classes is over those that then have one) and `missed` and `spurious`
    (numbers of structures, over all runs).
    """
    if not comparison.methods:
        return pd.DataFrame(columns=[*KEYS, "phase", *METRICS, *COUNTS])
    rows = long_table(comparison.methods, comparison.missed)
    both = pd.concat([rows, rows.assign(class_name=MEAN)])
    beside = both.groupby(KEYS, sort=False, observed=True).agg(
        {"phase": "first", **dict.fromkeys(COUNTS, "sum")}
    )
    table = with_mean(rows, ["method", "case"]).merge(beside.reset_index(), on=KEYS)
    return table.assign(method=table["method"].astype(object), phase=table["phase"].fillna(""))
