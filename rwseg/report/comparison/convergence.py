"""Did the runs converge, when, and how much did they swing: numbers of the paper's section 4.3 and 4.4."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rwseg.report.comparison.comparison import Method, Run
from rwseg.report.comparison.samples import MEAN
from rwseg.statistics import binomial_interval, cdf_band, failure_test, holm

Floats = NDArray[np.float64]

THRESHOLD_SHARE = 0.8
STAYS_WITHIN = 0.02
CURVES = ("dice", "hausdorff")
BAND = (0.05, 0.95)
"""Quantiles over runs between which the band of a validation curve lies."""


def final_dice(per_run: pd.DataFrame) -> pd.DataFrame:
    """Mean Dice over classes of each run's last weights: columns `method, seed, value`."""
    asked = (per_run["class_name"] == MEAN) & (per_run["metric"] == "dice")
    return per_run.loc[asked, ["method", "seed", "value"]].reset_index(drop=True)


def default_threshold(final: pd.DataFrame) -> float:
    """0.8 of the best method's median final Dice.

    The paper names no limit: on ACDC its runs ended at 0.9 or above, or around 0.5 because they had failed;
    this lies midway. A higher one would count methods as failed that are merely worse.
    """
    return float(THRESHOLD_SHARE * final.groupby("method", observed=True)["value"].median().max())


def convergence_table(methods: Sequence[Method], final: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """A row per method, the reference first: spread over runs, failures and their test, epoch, oscillation.

    `dice` and `std` (division by n - 1) are over the final Dice of the runs. A run failed if that is below
    `threshold`. `epoch` is the median over the runs that did not fail, `oscillation` the mean over all runs;
    NaN where the runs validated too rarely to say.
    """
    rows: list[dict[str, Any]] = []
    for method in methods:
        values = final.loc[final["method"] == method.name].set_index("seed")["value"]
        bad = ~(values >= threshold)
        low, high = binomial_interval(int(bad.sum()), len(bad))
        good = [validation_dice(run) for run in method.runs if not bad[run.seed]]
        rows.append(
            {
                "method": method.name,
                "runs": len(bad),
                "dice": float(values.mean()),
                "std": float(values.std()),
                "failed": int(bad.sum()),
                "share": float(bad.mean()),
                "low": low,
                "high": high,
                "epoch": _nan_median([convergence_epoch(*curve) for curve in good]),
                "oscillation": _nan_mean([oscillation(*validation_dice(run)) for run in method.runs]),
            }
        )
    table = pd.DataFrame(rows)
    first = rows[0]
    p = [failure_test(row["failed"], row["runs"], first["failed"], first["runs"]) for row in rows[1:]]
    place = list(table.columns).index("epoch")
    table.insert(place, "p", [np.nan, *p])
    table.insert(place + 1, "p_holm", [np.nan, *(holm(p) if p else [])])
    return table


def validation_dice(run: Run) -> tuple[Floats, Floats]:
    """Epochs (0-based) that were validated and the mean validation Dice there."""
    if run.epochs is None or "val/dice" not in run.epochs:
        return np.empty(0), np.empty(0)
    held = run.epochs.dropna(subset=["val/dice"])
    return held["epoch"].to_numpy(float), held["val/dice"].to_numpy(float)


def convergence_epoch(epochs: Floats, dice: Floats) -> float:
    """Epochs trained when the Dice came within 0.02 of its final value for good; NaN without values."""
    if not len(dice):
        return float("nan")
    away = np.flatnonzero(~(np.abs(dice - dice[-1]) <= STAYS_WITHIN))
    return float(epochs[away[-1] + 1 if len(away) else 0] + 1)


def oscillation(epochs: Floats, dice: Floats) -> float:
    """Mean absolute change of Dice between validations in the second half of training; NaN with only one.

    Over a fixed part of training: after convergence, by its definition, a run that swings to the end would
    have no swings left to count.
    """
    if not len(dice):
        return float("nan")
    late = dice[epochs + 1 > (epochs[-1] + 1) / 2]
    return float(np.abs(np.diff(late)).mean()) if len(late) > 1 else float("nan")


def curve_table(methods: Sequence[Method]) -> pd.DataFrame:
    """Validation after each epoch (0-based), per metric and class: mean, 5 % and 95 % quantiles over runs."""
    keys = ["method", "metric", "epoch", "class_name"]
    columns = [*keys, "mean", "low", "high", "runs"]
    parts = [
        _curves(run, metric).assign(method=method.name, metric=metric)
        for method in methods
        for run in method.runs
        for metric in CURVES
    ]
    held = [part for part in parts if len(part)]
    if not held:
        return pd.DataFrame(columns=columns)
    rows = pd.concat(held, ignore_index=True)
    grouped = rows.groupby(keys, sort=False)["value"]
    table = pd.DataFrame({"mean": grouped.mean(), "low": grouped.quantile(BAND[0]),
                          "high": grouped.quantile(BAND[1]), "runs": grouped.count()})  # fmt: skip
    return table.reset_index()[columns]


def distribution_table(final: pd.DataFrame) -> pd.DataFrame:
    """Distribution of each method's final Dice over runs, with its 95 % band (the paper's Figure 5)."""
    parts = []
    for method, rows in final.dropna(subset=["value"]).groupby("method", sort=False, observed=True):
        value, share, low, high = cdf_band(rows["value"])
        parts.append(
            pd.DataFrame({"method": method, "value": value, "share": share, "low": low, "high": high})
        )
    return pd.concat(parts, ignore_index=True)


def _curves(run: Run, metric: str) -> pd.DataFrame:
    """Columns `epoch, class_name, value`, without rows where `metric` was not validated."""
    whole = f"val/{metric}"
    table = pd.DataFrame(columns=["epoch"]) if run.epochs is None else run.epochs
    each = [str(name) for name in table if str(name).startswith(f"{whole}_")]
    names = {**({whole: MEAN} if whole in table else {}), **{name: name[len(whole) + 1 :] for name in each}}
    rows = table.melt(["epoch"], list(names), "class_name", "value").dropna(subset=["value"])
    return rows.astype({"value": float}).replace({"class_name": names})


def _nan_mean(values: Sequence[float]) -> float:
    held = [value for value in values if not np.isnan(value)]
    return float(np.mean(held)) if held else float("nan")


def _nan_median(values: Sequence[float]) -> float:
    held = [value for value in values if not np.isnan(value)]
    return float(np.median(held)) if held else float("nan")
