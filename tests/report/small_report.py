"""Reports of made-up runs, and the same numbers straight from their files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from synthetic import HEART

from rwseg.report.comparison.compare import compare
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.runs import find_runs


def report(root: Path, **asked: object) -> Comparison:
    return compare(find_runs([root]), **asked)  # type: ignore[arg-type]


def spoil(folder: Path, case: str, class_name: str, **values: float) -> None:
    path = folder / "metrics" / "cases.csv"
    table = pd.read_csv(path, dtype={"case": "str", "subject": "str"})
    row = (table["case"] == case) & (table["class_name"] == class_name)
    assert row.sum() == 1
    for column, value in values.items():
        table.loc[row, column] = value
    table.to_csv(path, index=False)


MISSED = {"dice": 0.0, "hausdorff": np.nan, "hausdorff95": np.nan, "missed": 1}
SPURIOUS = {**MISSED, "missed": 0, "spurious": 1}
ABSENT = {"dice": np.nan, "hausdorff": np.nan, "hausdorff95": np.nan}


def array(folders: Sequence[Path], metric: str) -> np.ndarray:
    """Runs x cases x classes, straight from the files."""
    tables = [pd.read_csv(folder / "metrics" / "cases.csv") for folder in folders]
    return np.array([table.pivot(index="case", columns="class_name", values=metric)[list(HEART)].to_numpy()
                     for table in tables])  # fmt: skip


def value(table: pd.DataFrame, column: str, **keys: object) -> float:
    for key, wanted in keys.items():
        table = table[table[key] == wanted]
    assert len(table) == 1, keys
    return float(table[column].iloc[0])
