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
COLLAPSED_BELOW = 0.1
"""Mean Dice of a foreground class below which a run has lost the class."""

STAYS_WITHIN = 0.02
CURVES = ("dice", "hausdorff")
BAND = (0.05, 0.95)
"""Quantiles over runs between which the band of a validation curve lies."""


def final_dice(per_run: pd.DataFrame) -> pd.DataFrame:
    """Mean Dice over classes of each run's last weights: columns `method, seed, value`."""
    asked = (per_run["class_name"] == MEAN) & (per_run["metric"] == "dice")
    return per_run.loc[asked, ["method", "seed", "value"]].reset_index(drop=True)


def lost_classes(per_run: pd.DataFrame) -> dict[tuple[str, int], list[str]]:
    """The foreground classes that runs lost, those with a mean Dice below `COLLAPSED_BELOW`.

    By method and seed; a run that lost none is not there.
    """
    dice = per_run[(per_run["metric"] == "dice") & (per_run["class_name"] != MEAN)]
    lost = dice[dice["value"] < COLLAPSED_BELOW]
    found: dict[tuple[str, int], list[str]] = {}
    for row in lost.to_dict("records"):
        found.setdefault((str(row["method"]), int(row["seed"])), []).append(str(row["class_name"]))
    return found


def convergence_table(
    methods: Sequence[Method], per_run: pd.DataFrame, threshold: float | None
) -> pd.DataFrame:
    """A row per method, the reference first: spread over runs, collapses and their test, epoch, oscillation.

    `dice` and `std` (division by n - 1) are over the final Dice of the runs. A run collapsed if it lost a
    class (`lost_classes`), and is slow if it did not but its final Dice is below `threshold` (None: 0.8 of
    its method's median, whatever else is in the report). `epoch` is the median over the other runs,
    `oscillation` the mean over all; NaN where the runs validated too rarely to say.
    """
    rows: list[dict[str, Any]] = []
    final, lost = final_dice(per_run), lost_classes(per_run)
    for method in methods:
        values = final.loc[final["method"] == method.name].set_index("seed")["value"]
        limit = THRESHOLD_SHARE * values.median() if threshold is None else threshold
        has_collapsed = np.array([(method.name, seed) in lost for seed in values.index])
        is_slow = ~has_collapsed & ~(values >= limit)
        collapsed, well = int(has_collapsed.sum()), set(values.index[~has_collapsed & ~is_slow])
        low, high = binomial_interval(collapsed, len(values))
        curves = {run.seed: validation_dice(run) for run in method.runs}
        rows.append(
            {
                "method": method.name,
                "runs": len(values),
                "dice": float(values.mean()),
                "std": float(values.std()),
                "collapsed": collapsed,
                "share": collapsed / len(values),
                "low": low,
                "high": high,
                "slow": int(is_slow.sum()),
                "epoch": _nan_median([convergence_epoch(*curves[seed]) for seed in well]),
                "oscillation": _nan_mean([oscillation(*curve) for curve in curves.values()]),
            }
        )
    table = pd.DataFrame(rows)
    first = rows[0]
    p = [failure_test(row["collapsed"], row["runs"], first["collapsed"], first["runs"]) for row in rows[1:]]
    place = list(table.columns).index("slow")
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
