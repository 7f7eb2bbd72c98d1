"""What the tables of results hold of each method, class and metric, before it is set as text or LaTeX."""

from typing import NamedTuple

import pandas as pd

from rwseg.report.comparison.classes import shown_classes
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.printed import DIGITS, Row, mean_std

Key = tuple[str, str, str]
"""Method, class, metric."""


class Score(NamedTuple):
    """A mean over cases: the number, as `mean ± std`, its star or nothing, and whether it is the best."""

    mean: float
    text: str
    star: str
    best: bool


def scores(comparison: Comparison, distance: str) -> dict[Key, Score]:
    """Dice and `distance` of every method and class, the mean over classes among them."""
    summary, tests = keyed(comparison.summary), keyed(comparison.tests)
    found = {}
    for class_name in shown_classes(comparison):
        for metric in ("dice", distance):
            best = _best(comparison, class_name, metric)
            for method in comparison.methods:
                key = (method.name, class_name, metric)
                row, star = summary[key], tests[key]["stars"] if key in tests else ""
                found[key] = Score(row["mean"], mean_std(row, metric), star, method.name in best)
    return found


def keyed(table: pd.DataFrame) -> dict[Key, Row]:
    """The rows of a table by method, class and metric."""
    return {(row["method"], row["class_name"], row["metric"]): row for row in table.to_dict("records")}


def _best(comparison: Comparison, class_name: str, metric: str) -> set[str]:
    """The methods whose mean, rounded as it is printed, is the best; none where all are the same."""
    table = comparison.summary.query("class_name == @class_name and metric == @metric").dropna(
        subset=["mean"]
    )
    rounded = {row["method"]: round(row["mean"], DIGITS[metric]) for row in table.to_dict("records")}
    best = (max if metric == "dice" else min)(rounded.values(), default=None)
    chosen = {method for method, value in rounded.items() if value == best}
    return chosen if len(chosen) < len(comparison.methods) else set()
