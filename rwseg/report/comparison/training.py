"""Training losses over epochs, each method in its own scale."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rwseg.report.comparison.comparison import Method, Run
from rwseg.report.comparison.convergence import BAND

QUANTITIES = ("loss", "loss_gap")


def training_table(methods: Sequence[Method]) -> pd.DataFrame:
    """Training loss and its gap per epoch (0-based): mean, 5 % and 95 % quantiles over runs.

    Columns `method, quantity` (`loss` or `loss_gap`)`, epoch, mean, low, high, runs`. Values that are not
    finite are left out. Losses have scales of their own: between methods only shapes compare.
    """
    keys = ["method", "quantity", "epoch"]
    parts = [_losses(run).assign(method=method.name) for method in methods for run in method.runs]
    held = [part for part in parts if len(part)]
    if not held:
        return pd.DataFrame(columns=[*keys, "mean", "low", "high", "runs"])
    rows = pd.concat(held, ignore_index=True)
    grouped = rows.groupby(keys, sort=False)["value"]
    low, high = (grouped.quantile(share) for share in BAND)
    table = pd.DataFrame({"mean": grouped.mean(), "low": low, "high": high, "runs": grouped.count()})
    return table.reset_index()


def _losses(run: Run) -> pd.DataFrame:
    """Columns `epoch, quantity, value`, without rows where the run has no number."""
    table = pd.DataFrame(columns=["epoch"]) if run.epochs is None else run.epochs
    names = {f"train/{name}": name for name in QUANTITIES if f"train/{name}" in table}
    rows = table.melt(["epoch"], list(names), "quantity", "value").astype({"value": float})
    finite: pd.DataFrame = rows[np.isfinite(rows["value"])]
    return finite.replace({"quantity": names})
