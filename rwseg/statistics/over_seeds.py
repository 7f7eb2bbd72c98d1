"""Is one loss better than another for a new seed and a new patient? Seeds and subjects as random effects."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import inf, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import ncf
from scipy.stats import t as student

from rwseg.statistics.crossed_effects import (
    CalibratedT,
    Design,
    degrees_of_freedom,
    excesses,
    mean_squares,
)
from rwseg.statistics.paired_samples import Floats, group_sums

MOST_SEEDS = 2**20
"""Where the search for a number of seeds ends: beyond it only the subjects' share is left."""


@dataclass(frozen=True)
class Components:
    """Variances of a difference between seeds, between subjects, and of their interaction.

    The interaction holds what is left: how a seed fares on a patient beside all else. NaN: not to be told,
    for there is one seed or one subject only.
    """

    seed: float
    subject: float
    interaction: float


@dataclass(frozen=True)
class SeedComparison:
    """The mean difference of two methods with its interval over seeds and subjects.

    `difference` is the mean of a - b, `low` and `high` its interval of `level`, `p` the two-sided p-value of
    no difference, `probability` that a beats b for a new seed and a new patient: the share of pairs of seed
    and subject in which it did, ties counted half. `components` says where the variance comes from.
    """

    difference: float
    low: float
    high: float
    p: float
    probability: float
    components: Components
    degrees_of_freedom: float
    seeds: int
    subjects: int
    level: float

    @property
    def is_over_seeds(self) -> bool:
        """Whether it says something about another seed: not where each method was trained once."""
        return self.seeds > 1

    def seeds_needed(self, effect: float, power: float = 0.8) -> float:
        """The fewest seeds with which a difference of `effect` is found with probability `power`.

        On the same subjects, at the level of the interval; `inf` where no number of seeds is enough, for the
        subjects differ too much. Raises `ValueError` for an effect of 0, a power outside (0, 1), and after
        one seed or one subject, which do not tell how the others would vary.
        """
        if effect == 0 or not np.isfinite(effect) or not 0 < power < 1:
            raise ValueError(f"expected an effect other than 0 and a power in (0, 1), got {effect}, {power}")
        if min(self.seeds, self.subjects) < 2:
            raise ValueError(f"expected two seeds and two subjects, got {self.seeds} and {self.subjects}")

        def is_enough(seeds: float) -> bool:
            return self._power(abs(effect), seeds) >= power

        if not is_enough(inf):
            return inf
        enough = 2
        while not is_enough(enough):
            if enough > MOST_SEEDS:
                return inf
            enough *= 2
        few = max(1, enough // 2)
        while enough - few > 1:
            middle = (few + enough) // 2
            few, enough = (few, middle) if is_enough(middle) else (middle, enough)
        return enough

    def _power(self, effect: float, seeds: float) -> float:
        """Of the two-sided t-test with so many seeds, were the components as they were estimated."""
        part, subjects = self.components, self.subjects
        of_seeds, of_subjects = part.seed / seeds, part.subject / subjects
        variance = of_seeds + of_subjects + part.interaction / (seeds * subjects)
        if variance == 0:
            return 1.0
        freedom = float(degrees_of_freedom(of_seeds, of_subjects, seeds, subjects))
        limit = student.isf((1 - self.level) / 2, freedom)
        shift = effect / np.sqrt(variance)
        # The square of a noncentral t: of SciPy's two, this one is never NaN.
        return float(ncf.sf(limit**2, 1, freedom, shift**2))


def compare_over_seeds(
    a: ArrayLike, b: ArrayLike, subjects: Sequence[Hashable] | None = None, level: float = 0.95
) -> SeedComparison:
    """Compare two methods by what another seed and another patient would give.

    `a` and `b` are arrays `(seeds, cases)` of a metric: row i of both trained with one seed, column j
    measured on one case. `subjects` has a label per case; cases of one subject go together (None: each case
    is a subject of its own). The differences a - b have two crossed random effects, seeds and subjects, and
    their interaction. With S seeds and U subjects, and the components of variance of the balanced analysis
    (one below 0 counts as 0), the variance of the mean is

        V = seed / S + subject / U + interaction / (S U).

    The interval is Student's with degrees of freedom as Satterthwaite (1946) interpolates them between S - 1
    and U - 1, calibrated at variances like those found (`rwseg.statistics.crossed_effects`; docs/report.md
    has a simulation). With one seed the interval is over subjects alone, with one subject over seeds alone,
    both Student's own. Raises `ValueError` for arrays of unequal or other
    shapes, of one value, or not finite, for labels of another number, and for a level outside (0, 1).

    >>> found = compare_over_seeds([[0.82, 0.90], [0.80, 0.91]], [[0.80, 0.86], [0.78, 0.87]])
    >>> round(found.difference, 3), found.probability
    (0.03, 1.0)
    """
    differences = _differences(a, b)
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {level}")
    labels = range(differences.shape[1]) if subjects is None else subjects
    sums = np.array([group_sums(row, labels)[0] for row in differences])  # (S, U)
    counts = group_sums(differences[0], labels)[1]
    seeds, total = sums.shape
    if sums.size < 2:
        raise ValueError("expected two seeds or two subjects or more, got one of each")
    mean = float(differences.mean())
    # Linear in each subject's sum, so that the mean of all cells is that of all cases.
    cells = mean + (sums - mean * counts) * (total / counts.sum())
    analysed = _analysed(cells, mean, level)
    means = sums / counts
    return SeedComparison(
        difference=mean,
        low=mean - analysed.half,
        high=mean + analysed.half,
        p=analysed.p,
        probability=float(((means > 0) + 0.5 * (means == 0)).mean()),
        components=analysed.components,
        degrees_of_freedom=analysed.freedom,
        seeds=seeds,
        subjects=total,
        level=level,
    )


class _Analysis(NamedTuple):
    """Components, half the width of the interval, p of no difference, and Student's degrees of freedom."""

    components: Components
    half: float
    p: float
    freedom: float


def _analysed(cells: Floats, mean: float, level: float) -> _Analysis:
    """The analysis of `cells` (S, U) with this mean."""
    if min(cells.shape) == 1:
        variance = float(cells.var(ddof=1))
        own = Components(nan, variance, nan) if len(cells) == 1 else Components(variance, nan, nan)
        return _along_one(own, mean, float(np.sqrt(variance / cells.size)), cells.size - 1, level)
    design = Design(*cells.shape)
    squares = mean_squares(cells)
    components = _components(squares, design)
    if not squares.any():
        return _along_one(components, mean, 0.0, cells.size - 1, level)
    t = CalibratedT(squares, design)
    return _Analysis(components, t.error * t.limit(level), t.p(mean / t.error), t.freedom)


def _along_one(components: Components, mean: float, error: float, freedom: float, level: float) -> _Analysis:
    """Student's own test and interval; all values equal say so without doubt."""
    p = float(2 * student.sf(abs(mean) / error, freedom)) if error else float(mean == 0)
    return _Analysis(components, error * float(student.isf((1 - level) / 2, freedom)), p, freedom)


def _components(squares: Floats, design: Design) -> Components:
    """What the mean squares say of the variances; one for all where they differ by chance only."""
    of_seeds, of_subjects = map(float, excesses(squares))
    if of_seeds + of_subjects == 0:
        pooled = np.dot(design.freedoms, squares) / (design.seeds * design.subjects - 1)
        return Components(0.0, 0.0, float(pooled))
    return Components(of_seeds / design.subjects, of_subjects / design.seeds, float(squares[2]))


def _differences(a: ArrayLike, b: ArrayLike) -> Floats:
    first, second = (np.asarray(one, dtype=np.float64) for one in (a, b))
    if first.shape != second.shape or first.ndim != 2 or first.size == 0:
        raise ValueError(
            f"a and b: expected two arrays (seeds, cases) of one shape, got {first.shape} and {second.shape}"
        )
    differences: Floats = first - second
    faulty = int(np.count_nonzero(~np.isfinite(differences)))
    if faulty:
        raise ValueError(
            f"a and b: expected finite values, got {faulty} pairs of {differences.size} with NaN or infinite "
            "ones; leave those cases out first"
        )
    return differences
