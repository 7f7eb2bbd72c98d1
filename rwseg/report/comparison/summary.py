"""The first lines of a report: who wins, by how much, what cannot be told, and who collapses how often."""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import isinf, isnan

import pandas as pd

from rwseg.metrics.terminal_table import never_predicted
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.convergence import COLLAPSED_BELOW, lost_classes
from rwseg.report.comparison.guard import count_of
from rwseg.report.comparison.over_seeds import FEWEST
from rwseg.report.comparison.samples import MEAN
from rwseg.report.comparison.significance import LEVEL

MOST_NAMED = 6


def summary_sentences(comparison: Comparison) -> list[str]:
    """What a supervisor would be told: the winner and the runner-up, collapses, what was never found."""
    return [*_winner(comparison), *_collapses(comparison), *_never_found(comparison), *_one_sided(comparison)]


def _winner(comparison: Comparison) -> Iterator[str]:
    summary = comparison.summary
    rows = summary[(summary["class_name"] == MEAN) & (summary["metric"] == "dice")].dropna(subset=["mean"])
    ranked = rows.sort_values("mean", ascending=False, kind="stable")
    means = [(str(row["method"]), float(row["mean"])) for row in ranked.to_dict("records")]
    if len(means) == 1:
        yield f"{means[0][0]} has a mean Dice of {means[0][1]:.3f}; there is nothing to compare it with."
    if len(means) < 2:
        return
    (first, best), (second, next_best) = means[:2]
    same = [name for name, value in means if f"{value:.3f}" == f"{best:.3f}"]
    then = "" if len(same) > 1 else f", then {second} with {next_best:.3f}"
    yield f"Best mean Dice: {' and '.join(same)} with {best:.3f}{then}."
    yield verdict(pair_of(comparison, first, second), first, second)
    yield from _beside_a_study(comparison, [name for name, _ in means])
    distances = summary[(summary["class_name"] == MEAN) & (summary["metric"] == "hausdorff")]
    for least in distances.nsmallest(1, "mean").to_dict("records"):
        value = f"{least['mean']:.1f} {comparison.unit}"
        yield f"Smallest mean Hausdorff distance: {least['method']} with {value}."


def _beside_a_study(comparison: Comparison, ranked: Sequence[str]) -> Iterator[str]:
    """Where methods of new runs stand among the stored ones of a packed study."""
    studies = {run.study for method in comparison.methods for run in method.runs}
    if len(studies) < 2:
        return
    new = {method.name for method in comparison.methods if not all(run.study for run in method.runs)}
    for place, name in enumerate(ranked, start=1):
        if name in new and place > 1:
            yield f"{name} is number {place} of {len(ranked)} by mean Dice."
        if name in new and place > 2:  # the first and the second have been compared above
            yield verdict(pair_of(comparison, ranked[0], name), ranked[0], name)


def pair_of(comparison: Comparison, method: str, other: str, metric: str = "dice") -> pd.Series:
    """The row of `over_seeds` for the mean over classes of two methods, as `method` - `other`."""
    table = comparison.over_seeds
    rows = table[(table["class_name"] == MEAN) & (table["metric"] == metric)]
    rows = rows[rows["method"].isin((method, other)) & rows["other"].isin((method, other))]
    row = pd.Series(rows.to_dict("records")[0])
    if row["method"] == method:
        return row
    row["difference"], row["low"], row["high"] = -row["difference"], -row["high"], -row["low"]
    row["probability"] = 1 - row["probability"]
    return row


def verdict(row: pd.Series, first: str, second: str) -> str:
    """Whether the one beats the other, in words: for another seed and patient, or not to be told."""
    seeds, subjects = int(row["seeds"]), int(row["subjects"])
    if seeds == 0 or isnan(row["difference"]):
        return (
            f"Whether {first} or {second} is better cannot be told: they have no seed in common; train both "
            "with the same ones."
        )
    size = f"{row['difference']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
    if seeds == 1:
        return (
            f"Whether the loss of {first} is better than that of {second} cannot be told: one seed. These "
            f"two networks differ by {size} over {count_of(subjects, 'patient')}."
        )
    if seeds < FEWEST:
        return (
            f"Whether {first} or {second} is better cannot be told from {seeds} seeds: they differ by {size} "
            f"Dice over them and {count_of(subjects, 'patient')}; {_seeds_that_would_tell(row)}."
        )
    over = f"over {seeds} seeds and {count_of(subjects, 'patient')}"
    if row["p"] < LEVEL and row["difference"] > 0:
        return (
            f"{first} beats {second} by {size} Dice {over}; for another seed and another patient it is ahead "
            f"in {row['probability']:.0%}."
        )
    return (
        f"Whether {first} or {second} is better cannot be told: they differ by {size} Dice {over}; "
        f"{_seeds_that_would_tell(row)}."
    )


def _seeds_that_would_tell(row: pd.Series) -> str:
    needed = row["needed"]
    if isnan(needed):
        return "they do not differ at all"
    if isinf(needed):
        return (
            "no number of seeds would tell a difference of this size, for it varies too much between patients"
        )
    return f"{max(int(needed), FEWEST)} seeds would tell a difference of this size"


def _collapses(comparison: Comparison) -> Iterator[str]:
    if comparison.convergence.empty:
        return
    lost = lost_classes(comparison.per_run)
    parts = []
    for row in comparison.convergence.to_dict("records"):
        if row["collapsed"]:
            own = [names for (method, _), names in lost.items() if method == row["method"]]
            names = Counter(name for names in own for name in names)
            which = ", ".join(f"{name} {count}" for name, count in names.most_common())
            interval = f"[{row['low']:.0%}, {row['high']:.0%}]"
            parts.append(f"{row['method']} {row['collapsed']} of {row['runs']} {interval} ({which})")
    runs = int(comparison.convergence["runs"].sum())
    said = "; ".join(parts) if parts else f"none of {runs}"
    yield f"Runs that lost a class (mean Dice below {COLLAPSED_BELOW:g}): {said}."
    slow = [row for row in comparison.convergence.to_dict("records") if row["slow"]]
    if slow:
        each = "; ".join(f"{row['method']} {row['slow']} of {row['runs']}" for row in slow)
        yield f"Slow runs, which lost no class but ended low: {each}."


def _never_found(comparison: Comparison) -> Iterator[str]:
    """Classes that a run never predicts though the reference has them."""
    found = [
        f"{method.name}, seed {run.seed}: {', '.join(names)}"
        for method in comparison.methods
        for run in method.runs
        if run.cases is not None and (names := never_predicted(run.cases))
    ]
    if found:
        more = [f"and {len(found) - MOST_NAMED} more runs"] if len(found) > MOST_NAMED else []
        yield f"Never predicted in any case: {'; '.join([*found[:MOST_NAMED], *more])}."


def _one_sided(comparison: Comparison) -> Iterator[str]:
    """What the policy `nan` leaves out of the Hausdorff distance, by its kind."""
    summary = comparison.summary
    table = summary[(summary["class_name"] == MEAN) & (summary["metric"] == "dice")]
    counts = [
        f"{row['method']} {row['missed']} missed, {row['spurious']} spurious"
        for row in table.to_dict("records")
        if row["missed"] or row["spurious"]
    ]
    if counts and comparison.missed == "nan":
        yield (
            "Structures missed or spurious, which have no Hausdorff distance and so cannot raise its mean: "
            f"{'; '.join(counts)}."
        )
