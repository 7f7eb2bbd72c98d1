"""All pairs of methods over seeds and subjects: what another seed and another patient would give."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import inf, nan
from typing import Any

import numpy as np
import pandas as pd

from rwseg.metrics.averages import case_shares
from rwseg.report.comparison.samples import MEAN, METRICS
from rwseg.statistics import SeedComparison, compare_over_seeds, holm

EFFECT = 0.01
"""The difference in Dice of which `needed_small` says how many seeds would tell it."""

MOST = 1000
"""Nobody trains more seeds: what needs them depends on the patients, and is not to be told."""

FEWEST = 3
"""Seeds from which on a difference is claimed: over 2, 95 % intervals cover 88 to 93 % (docs/report.md)."""

COLUMNS = (
    "method", "other", "class_name", "metric", "seeds", "subjects", "cases", "difference", "low", "high", "p",
    "p_holm", "probability", "seed_variance", "subject_variance", "interaction_variance", "needed",
    "needed_small",
)  # fmt: skip


def over_seeds_table(table: pd.DataFrame) -> pd.DataFrame:
    """A row per pair of methods, class (and `MEAN`) and metric, with the columns `COLUMNS`.

    `table` is `samples.long_table`. Runs of equal seed are paired, and `seeds` are those that both methods
    have; `cases` of `subjects` are those in which every one of these runs has a value. `difference` is method
    - other, with its 95 % interval and p of `rwseg.statistics.compare_over_seeds`; `p_holm` is corrected over
    all pairs of a class and metric; `probability` that the method has the higher value for a new seed and a
    new patient. The variances are those of the difference between seeds, subjects and their interaction;
    `needed` seeds would tell a difference of the observed size with 80 % power, `needed_small` one of
    `EFFECT` in Dice, infinite where `MOST` would not. For the mean over classes a case stands for what it
    adds to it. NaN: not to be told, as p is over fewer than `FEWEST` seeds.
    """
    classes = list(table["class_name"].unique())
    values = {
        (str(method), metric): rows.pivot_table(
            index="seed", columns=["case", "class_name"], values=metric, dropna=False, sort=False
        )
        for metric in METRICS
        for method, rows in table.groupby("method", sort=False, observed=True)
    }
    subjects = dict(zip(table["case"], table["subject"], strict=True))
    rows = list(_rows(values, classes, subjects, [str(name) for name in table["method"].cat.categories]))
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    for _, same in found.groupby(["class_name", "metric"]):
        held = same["p"].dropna()
        if len(held):
            found.loc[held.index, "p_holm"] = holm(held)
    return found


def _rows(
    values: Mapping[tuple[str, str], pd.DataFrame],
    classes: Sequence[str],
    subjects: Mapping[str, str],
    methods: Sequence[str],
) -> Iterator[dict[str, Any]]:
    for method, other in combinations(methods, 2):
        for metric in METRICS:
            first, second = values[method, metric], values[other, metric]
            seeds = first.index.intersection(second.index, sort=True)
            pair = [part.loc[seeds, first.columns].to_numpy() for part in (first, second)]  # (S, N K)
            cases = first.columns.unique("case")
            grid = pd.MultiIndex.from_product([cases, classes])
            place = first.columns.get_indexer(grid)
            cells = np.stack([np.where(place >= 0, part[:, place], nan) for part in pair])  # (2, S, N K)
            cells = cells.reshape(2, len(seeds), len(cases), len(classes))
            names = [subjects[case] for case in cases]
            for k, class_name in enumerate([*classes, MEAN]):
                own = cells if class_name == MEAN else cells[..., k : k + 1]
                found = _compared(own, names)
                yield {"method": method, "other": other, "class_name": class_name, "metric": metric, **found}


def _compared(cells: np.ndarray, subjects: Sequence[str]) -> dict[str, Any]:
    """The numbers of a row from values (2 methods, seeds, cases, classes) and the subject of each case."""
    seeds = cells.shape[1]
    whole = ~np.isnan(cells).any(axis=(0, 1))  # (cases, classes)
    held = whole.any(axis=1)
    names = [name for name, is_held in zip(subjects, held, strict=True) if is_held]
    size = {"seeds": seeds, "subjects": len(set(names)), "cases": int(held.sum())}
    if seeds == 0 or seeds * size["subjects"] < 2:
        return size
    kept = np.where(whole, cells, nan)[:, :, held]
    shares = [np.array([case_shares(run) for run in method]) for method in kept]  # (S, N) each
    found = compare_over_seeds(shares[0], shares[1], names)
    return {
        **size,
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "p": found.p if seeds >= FEWEST else nan,
        "probability": found.probability,
        "seed_variance": found.components.seed,
        "subject_variance": found.components.subject,
        "interaction_variance": found.components.interaction,
        "needed": _needed(found, found.difference),
        "needed_small": _needed(found, EFFECT),
    }


def _needed(found: SeedComparison, effect: float) -> float:
    can_tell = effect != 0 and min(found.seeds, found.subjects) > 1
    needed = found.seeds_needed(effect) if can_tell else nan
    return inf if needed > MOST else needed
