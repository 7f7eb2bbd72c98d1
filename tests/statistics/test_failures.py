"""The statistics of counts of failed runs, against their definitions and simulation."""

import numpy as np
import pytest
from scipy.stats import binom, fisher_exact, hypergeom

from rwseg.statistics import (
    binomial_interval,
    failure_test,
)


@pytest.mark.parametrize(("count", "total"), [(0, 50), (50, 50), (3, 50), (1, 2)])
def test_the_binomial_interval_solves_its_tail_equations(count: int, total: int) -> None:
    low, high = binomial_interval(count, total)
    assert low == 0 if count == 0 else binom.sf(count - 1, total, low) == pytest.approx(0.025)
    assert high == 1 if count == total else binom.cdf(count, total, high) == pytest.approx(0.025)


def boschloo(x: int, n: int, y: int, m: int) -> float:
    """By definition: Fisher's one-sided p orders all tables; the worst failure probability of a fine grid."""
    a, b = np.meshgrid(np.arange(n + 1), np.arange(m + 1), indexing="ij")
    chances = np.linspace(0, 1, 4001)
    first, second = (binom.pmf(np.arange(k + 1)[:, None], k, chances) for k in (n, m))
    sides = []
    for fisher in (hypergeom.cdf(a, n + m, a + b, n), hypergeom.sf(a - 1, n + m, a + b, n)):
        extreme = (fisher <= fisher[x, y] * (1 + 1e-9)).astype(float)
        sides.append(np.einsum("xy,xp,yp->p", extreme, first, second).max())
    return float(min(1.0, 2 * min(sides)))


@pytest.mark.parametrize("counts", [(0, 50, 16, 50), (1, 5, 0, 5), (3, 3, 0, 3), (2, 7, 9, 11), (4, 4, 2, 9)])
def test_the_failure_test_equals_boschloos_definition(counts: tuple[int, int, int, int]) -> None:
    x, n, y, m = counts
    p = failure_test(x, n, y, m)
    assert p == pytest.approx(boschloo(x, n, y, m), abs=1e-5)
    assert p == pytest.approx(failure_test(y, m, x, n), abs=1e-5)
    assert p <= fisher_exact([[x, y], [n - x, m - y]]).pvalue + 1e-9


def test_the_failure_test_rejects_a_true_null_rarely() -> None:
    n, m = 6, 5
    rejected = np.array([[failure_test(x, n, y, m) < 0.05 for y in range(m + 1)] for x in range(n + 1)])
    for chance in np.linspace(0.02, 0.98, 25):
        weights = binom.pmf(np.arange(n + 1), n, chance)[:, None] * binom.pmf(np.arange(m + 1), m, chance)
        assert weights[rejected].sum() <= 0.05
    assert rejected.any()


@pytest.mark.parametrize("failed", [0, 4])
def test_runs_that_all_end_alike_do_not_differ(failed: int) -> None:
    assert failure_test(failed, 4, failed and 3, 3) == 1
