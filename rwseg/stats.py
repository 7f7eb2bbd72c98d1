"""Statistics of paired samples: does one method differ from another on the same cases?"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Sums of the same differences in another order differ in their last bits and still count as equal.
RELATIVE_TOLERANCE = 1e-12


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
    n = len(differences)
    exact = 2**n <= n_resamples
    if exact:
        flips = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    else:
        flips = np.random.default_rng(seed).integers(0, 2, size=(n_resamples, n), dtype=np.int8)
    null = np.abs((1.0 - 2.0 * flips) @ differences)
    observed = abs(differences.sum())
    tolerance = RELATIVE_TOLERANCE * np.abs(differences).sum()
    as_extreme = int(np.count_nonzero(null >= observed - tolerance))
    return as_extreme / 2**n if exact else (as_extreme + 1) / (n_resamples + 1)


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
