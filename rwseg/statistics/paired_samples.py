"""Statistics of paired samples: does one method differ from another on the same cases?"""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, bootstrap, boschloo_exact, permutation_test

Floats = NDArray[np.float64]

# Sums of the same differences in another order differ in their last bits and still count as equal.
RELATIVE_TOLERANCE = 1e-12

VALUES_AT_ONCE = 2**22


def paired_permutation_test(x: ArrayLike, y: ArrayLike, n_resamples: int = 10000, seed: int = 0) -> float:
    """Return the two-sided p-value of a paired permutation test on `|mean(x - y)|`.

    `x` and `y` are 1-D samples of equal length, `x[i]` and `y[i]` measured on the same case. Under the null
    hypothesis the sign of every difference is arbitrary. With n pairs, all `2 ** n` sign patterns are
    counted where that is at most `n_resamples` (exact); otherwise `n_resamples` patterns are drawn with
    `seed` and the observed one is counted among them, so that p is never 0 (Phipson and Smyth 2010). Raises
    `ValueError` for samples that are not 1-D, of unequal length, empty or not finite, and for `n_resamples`
    below 1.

    >>> paired_permutation_test([3, 2, 4], [1, 1, 1])
    0.25
    """
    first, second = _sample("x", x), _sample("y", y)
    if first.shape != second.shape:
        raise ValueError(
            f"x and y: expected paired samples of equal length, got {len(first)} and {len(second)}"
        )
    if n_resamples < 1:
        raise ValueError(f"n_resamples: expected at least 1, got {n_resamples}")
    differences = first - second
    limit = abs(differences.sum()) - RELATIVE_TOLERANCE * np.abs(differences).sum()
    if 2 ** len(differences) <= n_resamples:
        return float(np.mean(np.abs(_all_signs(len(differences)) @ differences) >= limit))
    drawn = _drawn_signs(len(differences), n_resamples, np.random.default_rng(seed))
    as_extreme = sum(np.count_nonzero(np.abs(signs @ differences) >= limit) for signs in drawn)
    return (as_extreme + 1) / (n_resamples + 1)


def two_sample_permutation_test(x: ArrayLike, y: ArrayLike, n_resamples: int = 9999, seed: int = 0) -> float:
    """Return the two-sided p-value of a permutation test on `|mean(x) - mean(y)|` of independent samples.

    Exact where there are at most `n_resamples` ways to split the values into two such samples, sampled with
    `seed` otherwise (SciPy's `permutation_test`). Raises `ValueError` for samples that are not 1-D, of fewer
    than two values or not finite.

    >>> two_sample_permutation_test([1, 2, 3], [7, 8, 9])
    0.1
    """
    first, second = _sample("x", x), _sample("y", y)
    if min(len(first), len(second)) < 2:
        raise ValueError(f"x and y: expected two values or more each, got {len(first)} and {len(second)}")

    def statistic(a: Floats, b: Floats, axis: int) -> Floats:
        difference: Floats = np.abs(a.mean(axis) - b.mean(axis))
        return difference

    test = permutation_test(
        (first, second),
        statistic,
        vectorized=True,
        n_resamples=n_resamples,
        alternative="greater",
        random_state=np.random.default_rng(seed),
    )
    return float(test.pvalue)


def holm(p_values: ArrayLike) -> Floats:
    """Return the p-values of a family of tests corrected by Holm (1979), in the given order.

    The probability of one false positive or more among all of them stays below the level, however the tests
    depend on one another. Raises `ValueError` for values that are not 1-D probabilities.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = _sample("p_values", p_values)
    if (p < 0).any() or (p > 1).any():
        raise ValueError(f"p_values: expected values in [0, 1], got values in [{p.min()}, {p.max()}]")
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def mean_interval(
    values: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
    n_resamples: int = 9999,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the BCa bootstrap interval of the mean of `values`, such as paired differences (Efron 1987).

    Values of one of the `groups` (a label per value; None: each by itself) depend on one another, as two
    scans of one patient do, and are drawn together. Groups of equal means give an interval of that one value;
    a single group, about which resampling says nothing, gives NaN. Raises `ValueError` for a sample that is
    not 1-D, empty or not finite, and for labels of another number.
    """
    sample = _sample("values", values)
    sums, counts = group_sums(sample, range(len(sample)) if groups is None else groups)
    if len(sums) == 1:
        return float("nan"), float("nan")
    means = sums / counts
    if np.ptp(means) <= RELATIVE_TOLERANCE * np.abs(sample).max():
        return float(means[0]), float(means[0])

    def mean(sums: Floats, counts: Floats, axis: int) -> Floats:
        found: Floats = sums.sum(axis) / counts.sum(axis)
        return found

    found = bootstrap(
        (sums, counts),
        mean,
        paired=True,
        vectorized=True,
        confidence_level=level,
        n_resamples=n_resamples,
        method="BCa",
        batch=max(1, VALUES_AT_ONCE // len(sums)),  # all at once take 16 bytes a value, of 10,000 resamples
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def group_sums(values: ArrayLike, groups: Sequence[Hashable]) -> tuple[Floats, Floats]:
    """Return the sum and the number of the `values` of each group, in the order of their first value.

    Flipping the sign of such sums in `paired_permutation_test` flips all differences of a group together.
    Raises `ValueError` for a sample that is not 1-D, empty or not finite, and for labels of another number.
    """
    sample = _sample("values", values)
    if len(groups) != len(sample):
        raise ValueError(f"groups: expected a label per value ({len(sample)}), got {len(groups)}")
    places: dict[Hashable, int] = {}
    place = np.array([places.setdefault(label, len(places)) for label in groups])
    counts: Floats = np.bincount(place).astype(np.float64)
    return np.bincount(place, sample).astype(np.float64), counts


def binomial_interval(count: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval (Clopper and Pearson 1934) of a share of which `count` in `total` were seen.

    Raises `ValueError` unless `0 <= count <= total` and `total >= 1`.
    """
    _check_count("count", count, total)
    found = binomtest(count, total).proportion_ci(confidence_level=level, method="exact")
    return float(found.low), float(found.high)


def failure_test(count_x: int, total_x: int, count_y: int, total_y: int) -> float:
    """Return the two-sided p-value of Boschloo's test that two failure shares are equal.

    `count_x` of `total_x` runs failed of one method, `count_y` of `total_y` of another. Only the numbers of
    runs are fixed by the experiment, not the number of failures: the case of Boschloo (1970), whose test is
    exact and nowhere less powerful than Fisher's, which fixes both. Two-sided is twice the smaller one-sided
    value, at most 1. Raises `ValueError` as `binomial_interval` does.
    """
    _check_count("count_x", count_x, total_x)
    _check_count("count_y", count_y, total_y)
    failed = count_x + count_y
    if failed in (0, total_x + total_y):
        return 1.0  # all runs alike: SciPy says NaN
    table = [[count_x, count_y], [total_x - count_x, total_y - count_y]]
    return float(min(1.0, boschloo_exact(table).pvalue))


def cdf_band(values: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats, Floats, Floats]:
    """Return `empirical_cdf(values)` and its confidence band: values, shares, low, high.

    The band holds the whole true distribution function with probability `level` at least: half width
    sqrt(log(2 / (1 - level)) / (2 n)) (Dvoretzky, Kiefer and Wolfowitz, with the constant of Massart 1990).
    Raises `ValueError` as `empirical_cdf` does.
    """
    distinct, share = empirical_cdf(values)
    half = np.sqrt(np.log(2 / (1 - level)) / (2 * np.size(values)))
    return distinct, share, np.clip(share - half, 0, 1), np.clip(share + half, 0, 1)


def empirical_cdf(values: ArrayLike) -> tuple[Floats, Floats]:
    """Return the sorted distinct values and, for each, the fraction of the sample at or below it.

    Raises `ValueError` for a sample that is not 1-D, empty or not finite.
    """
    distinct, counts = np.unique(_sample("values", values), return_counts=True)
    return distinct, np.cumsum(counts) / counts.sum()


def _sample(name: str, values: ArrayLike | Sequence[float]) -> Floats:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0:
        raise ValueError(f"{name}: expected a 1-D sample of at least one value, got shape {sample.shape}")
    faulty = int(np.count_nonzero(~np.isfinite(sample)))
    if faulty:
        raise ValueError(
            f"{name}: expected finite values, got {faulty} NaN or infinite of {sample.size}; "
            "drop those pairs first"
        )
    return sample


def _all_signs(n: int) -> Floats:
    """Every pattern of n signs, one per row."""
    signs: Floats = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(np.float64)
    return signs


def _drawn_signs(n: int, count: int, rng: np.random.Generator) -> Iterator[Floats]:
    """`count` random patterns of n signs in blocks of rows that stay small whatever n is."""
    rows = max(1, VALUES_AT_ONCE // n)
    for start in range(0, count, rows):
        flips = rng.integers(0, 2, size=(min(rows, count - start), n), dtype=np.int8)
        yield 1.0 - 2.0 * flips.astype(np.float64)


def _check_count(name: str, count: int, total: int) -> None:
    if total < 1 or not 0 <= count <= total:
        raise ValueError(f"{name}: expected between 0 and its total of at least 1, got {count} of {total}")
