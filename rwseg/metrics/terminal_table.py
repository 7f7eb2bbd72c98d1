"""Per-class results as a table for the terminal."""

import pandas as pd
from rich.table import Table

from rwseg.core.terminal import console
from rwseg.metrics.averages import class_means

POLICY = {
    "nan": "missed and spurious structures have Dice 0 and no Hausdorff distance",
    "diagonal": "missed and spurious structures have Dice 0 and the volume's diagonal as Hausdorff distance",
}


DIGITS = {"dice": 3, "hausdorff": 1, "hausdorff95": 1}
COUNTS = ("missed", "spurious")


def print_cases(cases: pd.DataFrame, missed: str, title: str) -> None:
    """Print mean ± std over cases of each class of a `cases.csv` table, both counts and the policy.

    The last row is the mean over classes (`rwseg.metrics.averages.class_means`). Below the table stand the
    classes that are never predicted.
    """
    unit = unit_of(cases)
    table = Table(title=title, caption=POLICY[missed])
    table.add_column("class")
    for heading in ("Dice", f"Hausdorff {unit}", f"Hausdorff95 {unit}", *COUNTS):
        table.add_column(heading, justify="right")
    for name, rows in cases.groupby("class_name", sort=False):
        values = (_mean_std(rows[metric], digits) for metric, digits in DIGITS.items())
        table.add_row(str(name), *values, *_counts(rows))
    _, overall = class_means(cases, list(DIGITS))
    means = (f"{overall[metric].iloc[0]:.{digits}f}" for metric, digits in DIGITS.items())
    table.add_section()
    table.add_row("mean", *means, *_counts(cases))
    screen = console()
    screen.print(table)
    lost = never_predicted(cases)
    if lost:
        screen.print(f"never predicted in any case: {', '.join(lost)}")


def never_predicted(cases: pd.DataFrame) -> list[str]:
    """The classes of a `cases.csv` table of which no voxel is predicted, though the reference has some."""
    is_empty = cases["dice"].isna() | (cases["missed"] == 1)  # nothing predicted
    found = cases.assign(is_empty=is_empty).groupby("class_name", sort=False)[["is_empty", "missed"]]
    lost = found.agg({"is_empty": "all", "missed": "sum"})
    return [str(name) for name in lost.index[lost["is_empty"] & (lost["missed"] > 0)]]


def unit_of(cases: pd.DataFrame) -> str:
    """The unit of the distances of a `cases.csv` table: `mm`, `px`, or both."""
    return " and ".join(sorted(cases["unit"].unique()))


def _counts(rows: pd.DataFrame) -> list[str]:
    return [str(int(rows[count].sum())) for count in COUNTS]


def _mean_std(values: pd.Series, digits: int) -> str:
    std = values.std(ddof=0)
    return f"{values.mean():.{digits}f} ± {std:.{digits}f}"
