"""The tables that a run measured, `cases.csv` and `epochs.csv`, read and checked: faults are sentences."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from rwseg.core.errors import MALFORMED, RunError
from rwseg.metrics import ClassMetrics

LARGEST = 1e12
"""No distance and no number of voxels comes near it, and sums of it do not overflow."""

COLUMNS = ("case", "subject", "phase", *ClassMetrics.__annotations__)
"""`rwseg.models.inference.whole_volumes.COLUMNS`, without the seconds that PyTorch and MONAI take to load."""

EPOCH_COLUMNS = ("epoch", "seconds")

TEXTS = ("case", "subject", "phase", "class_name", "unit")


def read_cases(path: Path) -> pd.DataFrame | None:
    """The `cases.csv` of a run (contract C6), None where there is none yet; `RunError` for a faulty one."""
    cases = read_table(path, COLUMNS)
    if cases is not None:
        check_cases(path, cases)
    return cases


def read_epochs(path: Path) -> pd.DataFrame | None:
    """The `epochs.csv` of a run, None where there is none yet; `RunError` for a faulty one."""
    epochs = read_table(path, EPOCH_COLUMNS)
    if epochs is not None:
        check_epochs(path, epochs)
    return epochs


def read_table(path: Path, columns: Iterable[str]) -> pd.DataFrame | None:
    """The table, None where there is none; identifiers stay text, so that case 007 is not case 7."""
    if not path.is_file():
        return None
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(TEXTS, "str"), keep_default_na=False, na_values=[""])
    except MALFORMED as error:
        raise RunError(f"{path}: expected a table in CSV, got: {error}") from error
    absent = [name for name in columns if name not in table]
    if absent:
        raise RunError(
            f"{path}: expected columns {', '.join(columns)}, found no {', '.join(absent)}; "
            "another version of rwseg wrote it: train the run again with force=true, or report it "
            "with that version"
        )
    return table


def check_epochs(path: Path, epochs: pd.DataFrame) -> None:
    """Every column holds numbers; a loss may be infinite, what a report calculates with may not."""
    faults = [f"{name} is not a number throughout" for name in epochs if epochs[name].dtype.kind not in "if"]
    used = [
        name
        for name in map(str, epochs)
        if name.startswith(("epoch", "seconds", "val/dice", "val/hausdorff"))
    ]
    faults = faults or [
        f"{name} is {epochs.loc[wrong, name].iloc[0]:g} in a row"
        for name in used
        if (wrong := (epochs[name] < 0) | (epochs[name] > LARGEST)).any()
    ]
    if epochs[["epoch", "seconds"]].isna().any(axis=None):
        faults.append("a row has no epoch or no seconds")
    if faults:
        raise RunError(f"{path}: expected a row of numbers per epoch, but {'; '.join(faults)}")


def _values_out_of_range(cases: pd.DataFrame) -> list[str]:
    """A Dice is in [0, 1], other numbers are finite and not negative; NaN says that there is none."""
    limits = dict.fromkeys(_numbers(cases), LARGEST) | {"dice": 1.0, "missed": 1.0, "spurious": 1.0}
    return [
        f"{name} is {cases.loc[wrong, name].iloc[0]:g} in case {cases.loc[wrong, 'case'].iloc[0]}"
        for name, most in limits.items()
        if (wrong := (cases[name] < 0) | (cases[name] > most)).any()
    ]


def check_cases(path: Path, cases: pd.DataFrame) -> None:
    """Every case has each class once, with numbers that a metric can have, in one unit."""
    faults = [
        f"{name} is not a number throughout" for name in _numbers(cases) if cases[name].dtype.kind not in "if"
    ]
    faults = faults or _values_out_of_range(cases)
    twice = cases.loc[cases.duplicated(["case", "class_name"]), "case"]
    if len(twice):
        faults.append(f"case {twice.iloc[0]} has a class twice")
    units = [str(unit) for unit in cases["unit"].unique()]
    if units and units not in (["mm"], ["px"]):
        faults.append(f"its unit is {' and '.join(units)} where it should be mm or px throughout")
    if cases.empty:
        faults.append("it has no rows")
    if cases[["case", "class_name"]].isna().any(axis=None):
        faults.append("a case or class has no name")
    if faults:
        raise RunError(f"{path}: expected a row per case and class, but {'; '.join(faults)}")


def _numbers(cases: pd.DataFrame) -> list[str]:
    """The columns of numbers; a packed table lacks some that no report reads."""
    return [name for name in COLUMNS if name in cases and name not in TEXTS]
