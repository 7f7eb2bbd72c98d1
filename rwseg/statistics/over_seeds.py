"""Is one loss better than another for a new seed and a new patient? Seeds and subjects as random effects."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import inf, nan

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import ncf
from scipy.stats import t as student

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
        freedom = _freedom(of_seeds, of_subjects, seeds, subjects)
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
    and U - 1, here by the shares of seeds and subjects in V and not by their squares: with 3 seeds his
    intervals may cover 92 % only (docs/report.md has the simulation). With one seed the interval is over
    subjects alone, with one subject over seeds alone. Raises `ValueError` for arrays of unequal or other
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
    components, variance, freedom = _analysed(cells)
    error = float(np.sqrt(variance))
    half = float(student.isf((1 - level) / 2, freedom)) * error
    means = sums / counts
    return SeedComparison(
        difference=mean,
        low=mean - half,
        high=mean + half,
        p=float(2 * student.sf(abs(mean) / error, freedom)) if error else float(mean == 0),
        probability=float(((means > 0) + 0.5 * (means == 0)).mean()),
        components=components,
        degrees_of_freedom=freedom,
        seeds=seeds,
        subjects=total,
        level=level,
    )


def _analysed(cells: Floats) -> tuple[Components, float, float]:
    """Components of `cells` (S, U), the variance of their mean, and its degrees of freedom."""
    seeds, subjects = cells.shape
    if min(cells.shape) == 1:
        variance = float(cells.var(ddof=1))
        own = Components(nan, variance, nan) if seeds == 1 else Components(variance, nan, nan)
        return own, variance / cells.size, cells.size - 1
    mean, rows, columns = cells.mean(), cells.mean(1, keepdims=True), cells.mean(0, keepdims=True)
    by_seed = subjects * float(((rows - mean) ** 2).sum())
    by_subject = seeds * float(((columns - mean) ** 2).sum())
    rest = float(((cells - rows - columns + mean) ** 2).sum())
    between = np.array([by_seed / (seeds - 1), by_subject / (subjects - 1)])
    left = rest / ((seeds - 1) * (subjects - 1))
    # An effect whose mean square is below what is left is not there: its own is an estimate of the same.
    if (between < left).all():
        pooled = (by_seed + by_subject + rest) / (cells.size - 1)
        return Components(0.0, 0.0, pooled), pooled / cells.size, cells.size - 1
    excess = np.maximum(between - left, 0)
    components = Components(excess[0] / subjects, excess[1] / seeds, left)
    variance = float(excess.sum() + left)
    return components, variance / cells.size, _freedom(excess[0], excess[1], seeds, subjects)


def _freedom(of_seeds: float, of_subjects: float, seeds: float, subjects: int) -> float:
    """Degrees of freedom of a mean whose variance has these parts; the interaction counts with both."""
    if of_seeds + of_subjects == 0:
        return seeds * subjects - 1
    share = of_seeds / (of_seeds + of_subjects)
    return 1 / (share / (seeds - 1) + (1 - share) / (subjects - 1))


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
