"""The mean over classes, decided here alone: it is the mean of the class means.

A class mean is over the cases in which the class has a value. Averaging the classes of each case first would
give another number wherever a case lacks a class, and reward a loss that never finds a rare one.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def class_means(
    rows: pd.DataFrame, metrics: Sequence[str], by: Sequence[str] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Average a table with a row per case and class (columns `class_name`, `by`, `metrics`) over its cases.

    Returns the means of each class, indexed by `by` and `class_name`, and the mean over classes of these,
    indexed by `by` (a single row where `by` is empty). What is NaN counts nowhere: neither a case without a
    value in the mean of its class, nor a class without a value in any case.
    """
    each = rows.groupby([*by, "class_name"], sort=False, observed=True)[list(metrics)].mean()
    if not by:
        return each, each.mean().to_frame().T
    return each, each.groupby(level=list(by), sort=False, observed=True).mean()


def case_shares(values: NDArray[np.floating]) -> Floats:
    """Return what each case adds to the mean over classes: `(cases,)` for values `(cases, classes)`.

    The mean of the result is the mean of the class means: `x_i = N / C sum_k v_ik / n_k` for N cases and C
    classes, of which class k has a value in n_k cases; what is NaN is left out, as is a class without any
    value. Without NaN it is the mean over the classes of a case.
    """
    held = ~np.isnan(values)
    counts = held.sum(axis=0)
    used = counts > 0
    weights = len(values) / (used.sum() * counts[used])
    shares: Floats = (np.where(held, values, 0.0)[:, used] * weights).sum(axis=1)
    return shares
