"""The same cases under every method, from the showcases of their runs: those on which methods disagree most.

The picture is of one network per method, all of one seed where they have one in common.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isnan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rwseg.report.comparison.comparison import Method, Run
from rwseg.report.comparison.guard import count_of
from rwseg.training.showcase import NAME, Exhibit, dice_by_class, load_showcase

NO_SHOWCASES = (
    "No case can be shown under several methods: it takes two methods whose runs hold figures/showcase.npz "
    "with cases and references in common; trainings of before did not write it."
)


@dataclass(frozen=True)
class Shown:
    """What a method predicts of a case; `dice` is the mean over classes on the slice, NaN without any."""

    method: str
    prediction: NDArray[np.uint8]
    dice: float


@dataclass(frozen=True)
class SameCase:
    """One slice under every method; `disagreement` is the mean over pairs of methods of 1 - Dice."""

    title: str
    disagreement: float
    exhibit: Exhibit
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class SameCases:
    """The cases of most, median and least disagreement; none where `remark` says why.

    `classes` are all, background first. `remark` is on seeds and on methods that are not shown.
    """

    cases: tuple[SameCase, ...]
    classes: tuple[str, ...]
    remark: str


def same_cases(methods: Sequence[Method]) -> SameCases:
    """Choose a run per method and three cases; `RunError` for a damaged showcase."""
    kept = [(method, [run for run in method.runs if _path(run).is_file()]) for method in methods]
    runs = {method.name: runs for method, runs in kept if runs}
    chosen = _one_seed(runs)
    loaded = {name: load_showcase(_path(run)) for name, run in chosen.items()}
    classes = next((classes for _, classes in loaded.values()), ())
    exhibits = {
        name: {one.case: one for one in found} for name, (found, own) in loaded.items() if own == classes
    }
    cases = [_compared(case, exhibits, len(classes)) for case in _in_common(exhibits)]
    if len(exhibits) < 2 or not cases:
        return SameCases((), classes, NO_SHOWCASES)
    ranked = sorted(cases, key=lambda one: (-one.disagreement, one.exhibit.case))
    places = dict.fromkeys((0, len(ranked) // 2, len(ranked) - 1))
    picked = tuple(ranked[place] for place in places)
    left_out = [method.name for method in methods if method.name not in exhibits]
    return SameCases(picked, classes, _remark(chosen, left_out, len(ranked)))


def _path(run: Run) -> Path:
    return run.folder / "figures" / NAME


def _one_seed(runs: Mapping[str, Sequence[Run]]) -> dict[str, Run]:
    """The run of each method with the lowest seed that most methods have, or with its own lowest one."""
    held = Counter(run.seed for several in runs.values() for run in several)
    seed = min(held, key=lambda one: (-held[one], one), default=0)
    return {
        name: min(several, key=lambda run: (run.seed != seed, run.seed)) for name, several in runs.items()
    }


def _in_common(exhibits: Mapping[str, Mapping[str, Exhibit]]) -> list[str]:
    """Cases that all methods show, with the same reference on the same part of the same slice."""
    if not exhibits:
        return []
    first, *others = exhibits.values()
    return [
        case
        for case, one in first.items()
        if all(
            case in other
            and other[case].slice_number == one.slice_number
            and np.array_equal(other[case].reference, one.reference)
            for other in others
        )
    ]


def _compared(case: str, exhibits: Mapping[str, Mapping[str, Exhibit]], num_classes: int) -> SameCase:
    found = {name: held[case] for name, held in exhibits.items()}
    apart = [
        1 - _mean(dice_by_class(one.prediction, other.prediction, num_classes), nothing=1.0)
        for one, other in combinations(found.values(), 2)
    ]
    shown = tuple(
        Shown(name, one.prediction, _mean(one.dice, nothing=float("nan"))) for name, one in found.items()
    )
    first = next(iter(found.values()))
    phase = f" {first.phase}" if first.phase else ""
    place = f", slice {first.slice_number + 1} of {first.depth}" if first.depth > 1 else ""
    return SameCase(f"{case}{phase}{place}", float(np.mean(apart)) if apart else 0.0, first, shown)


def _mean(dice: NDArray[np.float64], nothing: float) -> float:
    return nothing if np.isnan(dice).all() else float(np.nanmean(dice))


def dice_text(value: float) -> str:
    """`Dice .874`, or that neither mask has anything."""
    return "nothing in either" if isnan(value) else f"Dice {value:.3f}"


def _remark(chosen: Mapping[str, Run], left_out: Sequence[str], cases: int) -> str:
    seeds = Counter(run.seed for run in chosen.values())
    (seed, _), *_ = sorted(seeds.items(), key=lambda pair: (-pair[1], pair[0]))
    others = [f"{name} of seed {run.seed}" for name, run in chosen.items() if run.seed != seed]
    text = f"{', '.join([f'Runs of seed {seed}', *others])}; chosen from {count_of(cases, 'case')}."
    if not left_out:
        return text
    return f"{text} Not shown, for lack of figures/{NAME} of the same classes: {', '.join(left_out)}."
