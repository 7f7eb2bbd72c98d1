"""Calibration of the methods, from the `metrics/reliability.csv` of their runs, which older runs lack."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rwseg.core.errors import RunError, table_of_run
from rwseg.metrics.calibration import BINS, COLUMNS, calibration_error, overconfidence, pooled
from rwseg.report.comparison.comparison import Method, Run

NO_CALIBRATION = (
    "There is no calibration: no run holds metrics/reliability.csv, which trainings of before did not write."
)


def calibration_tables(methods: Sequence[Method]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How well each method is calibrated, and its bins pooled over its runs.

    The first has the columns method, runs (with a table), of (all), ece, ece_std, overconfidence,
    overconfidence_std (over runs; std with division by n - 1, NaN for one run); the second method and those
    of `reliability.csv`. Methods without a table are in neither. Raises `RunError` for a faulty table.
    """
    rows, bins = [], []
    for method in methods:
        tables = [table for run in method.runs if (table := _table(run)) is not None]
        if not tables:
            continue
        row: dict[str, object] = {"method": method.name, "runs": len(tables), "of": len(method.runs)}
        for name, measure in (("ece", calibration_error), ("overconfidence", overconfidence)):
            values = pd.Series([measure(table) for table in tables])
            row |= {name: values.mean(), f"{name}_std": values.std()}
        rows.append(row)
        bins.append(pooled(tables).assign(method=method.name)[["method", *COLUMNS]])
    columns = ("method", "runs", "of", "ece", "ece_std", "overconfidence", "overconfidence_std")
    calibration = pd.DataFrame(rows, columns=list(columns))
    return calibration, pd.concat(bins) if bins else pd.DataFrame(columns=["method", *COLUMNS])


def _table(run: Run) -> pd.DataFrame | None:
    path = run.folder / "metrics" / "reliability.csv"
    if not path.is_file():
        return None
    with table_of_run(path):
        table = pd.read_csv(path)[list(COLUMNS)].astype(float)
        values = table[["confidence", "accuracy"]].to_numpy()
        right = (values >= 0) & (values <= 1) | np.isnan(values) & (table[["pixels"]].to_numpy() == 0)
        if len(table) != BINS or not right.all() or not (table["pixels"] >= 0).all():
            raise RunError(
                f"{path}: expected {BINS} bins with a confidence and an accuracy from 0 to 1 where they have "
                "pixels, got others; start over with force=true"
            )
    return table
