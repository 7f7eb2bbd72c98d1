"""What the tables say in a few sentences: which method is better, and whether it may be luck."""

from collections.abc import Sequence

import pandas as pd

from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.guard import count_of
from rwseg.report.comparison.samples import MEAN
from rwseg.report.comparison.significance import LEVEL

MOST_NAMED = 4

_METRICS = {"dice": ("Dice", 3, 1), "hausdorff": ("Hausdorff distance", 1, -1)}
"""Name, digits, sign of an improvement."""


def summary_sentences(comparison: Comparison) -> list[str]:
    """One sentence or two per metric, and one on failed runs; empty without numbers."""
    sentences = []
    for metric in _METRICS:
        best = _best(comparison, metric)
        if best:
            sentences.append(f"{best} {_against_reference(comparison, metric)}".strip())
    if comparison.missed == "nan":
        sentences += _one_sided(comparison)
    table = comparison.convergence
    if len(table):
        bad = [
            f"{row['method']} {row['failed']} of {row['runs']}"
            for row in table.to_dict("records")
            if row["failed"]
        ]
        runs = int(table["runs"].sum())
        said = f"failed to converge: {'; '.join(bad)}" if bad else f"failed to converge: none of {runs}"
        sentences.append(f"Runs that {said}.")
    return sentences


def _best(comparison: Comparison, metric: str) -> str:
    name, digits, sign = _METRICS[metric]
    unit = "" if metric == "dice" else f" {comparison.unit}"
    means = _of(comparison.summary, metric).set_index("method")["mean"].dropna()
    if means.empty:
        return ""
    printed = means.round(digits)
    value = (sign * printed).max() * sign
    winners = [str(method) for method in means.index[printed == value]]
    said = f"Best mean {name}: {' and '.join(winners)} with {value:.{digits}f}{unit}"
    if comparison.reference in winners or comparison.reference not in means:
        return f"{said}."
    return f"{said}; {comparison.reference} has {means[comparison.reference]:.{digits}f}{unit}."


def _one_sided(comparison: Comparison) -> list[str]:
    """What the policy `nan` leaves out of the Hausdorff distance, by its kind."""
    table = _of(comparison.summary, "dice")
    counts = [
        f"{row['method']} {row['missed']} missed, {row['spurious']} spurious"
        for row in table.to_dict("records")
        if row["missed"] or row["spurious"]
    ]
    if not counts:
        return []
    return [
        "Structures missed or spurious, which have no Hausdorff distance and so cannot raise its mean: "
        f"{'; '.join(counts)}."
    ]


def _against_reference(comparison: Comparison, metric: str) -> str:
    table = _of(comparison.tests, metric).dropna(subset=["difference"])
    if table.empty:
        return ""
    sure, sign = table["p_holm"] < LEVEL, _METRICS[metric][2]
    better = sure & (sign * table["difference"] > 0)
    parts = [
        f"{int(rows.sum())} {word}{_listed(list(table.loc[rows, 'method']))}"
        for word, rows in (
            ("better", better),
            ("worse", sure & ~better),
            ("without a difference that these cases tell", ~sure),
        )
        if rows.any()
    ]
    others = count_of(len(table), "other method")
    return (
        f"Of {others}, at p < {LEVEL:g} with Holm's correction against {comparison.reference}: "
        f"{', '.join(parts)}."
    )


def _of(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of the mean over classes."""
    return table[(table["class_name"] == MEAN) & (table["metric"] == metric)]


def _listed(names: Sequence[str]) -> str:
    return f" ({'; '.join(names)})" if len(names) <= MOST_NAMED else ""
