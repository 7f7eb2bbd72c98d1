"""The cases behind the numbers: each averaged over the runs of its method, as the tables take them."""

import pandas as pd

from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.samples import long_table

_COLUMNS = {
    "phase": "first",
    "dice": "mean",
    "hausdorff_mm": "mean",
    "hausdorff95_mm": "mean",
    "missed": "sum",
}
KEYS = ["method", "class_name", "case"]


def averaged_cases(comparison: Comparison) -> pd.DataFrame:
    """A row per method, class and case, the mean over classes among them.

    Columns `method, class_name, case, phase` (empty where there is none), the metrics (means over the runs
    that have a value) and `missed` (structures missed, over all runs).
    """
    if not comparison.methods:
        return pd.DataFrame(columns=[*KEYS, *_COLUMNS])
    rows = long_table(comparison.methods, comparison.missed)
    table = rows.groupby(KEYS, sort=False, observed=True).agg(_COLUMNS).reset_index()
    return table.assign(method=table["method"].astype(object), phase=table["phase"].fillna(""))
