"""Per-class results as a table for the terminal."""

import pandas as pd
from rich.console import Console
from rich.table import Table

POLICY = {
    "nan": "missed structures have Dice 0 and no Hausdorff distance",
    "diagonal": "missed structures have Dice 0 and the volume's diagonal as Hausdorff distance",
}


def print_cases(cases: pd.DataFrame, missed: str, title: str) -> None:
    """Print mean ± std over cases of each class of a `cases.csv` table, the number missed and the policy."""
    table = Table(title=title, caption=POLICY[missed])
    table.add_column("class")
    for heading in ("Dice", "Hausdorff mm", "Hausdorff95 mm", "missed"):
        table.add_column(heading, justify="right")
    for name, rows in cases.groupby("class_name", sort=False):
        table.add_row(
            str(name),
            _mean_std(rows["dice"], 3),
            _mean_std(rows["hausdorff_mm"], 1),
            _mean_std(rows["hausdorff95_mm"], 1),
            str(int(rows["missed"].sum())),
        )
    means = cases.groupby("class_name", sort=False)[["dice", "hausdorff_mm", "hausdorff95_mm"]].mean().mean()
    table.add_section()
    table.add_row(
        "mean",
        f"{means['dice']:.3f}",
        f"{means['hausdorff_mm']:.1f}",
        f"{means['hausdorff95_mm']:.1f}",
        str(int(cases["missed"].sum())),
    )
    Console().print(table)


def _mean_std(values: pd.Series, digits: int) -> str:
    std = values.std(ddof=0)
    return f"{values.mean():.{digits}f} ± {std:.{digits}f}"
