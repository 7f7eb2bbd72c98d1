"""Differences over seeds and subjects: SciPy, a likelihood by hand, simulations of known variance."""

from collections.abc import Callable
from itertools import product
from math import inf

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize

from benchmarks.coverage import Study, normal, rates, skewed
from rwseg.statistics import compare_over_seeds
from rwseg.statistics.over_seeds import SeedComparison

Array = NDArray[np.float64]


def drawn(
    seeds: int, subjects: int, deviations: tuple[float, float, float], rng: np.random.Generator
) -> Array:
    """Differences (seeds, subjects) of mean 0; `deviations` of seeds, subjects and interaction."""
    of_seed, of_subject, of_both = (
        deviation * rng.standard_normal(shape)
        for deviation, shape in zip(deviations, [(seeds, 1), (1, subjects), (seeds, subjects)], strict=True)
    )
    return of_seed + of_subject + of_both


def compared(differences: Array, **settings: object) -> SeedComparison:
    return compare_over_seeds(differences, np.zeros_like(differences), **settings)  # type: ignore[arg-type]


def likelihood(parameters: Array, cells: Array) -> float:
    """The restricted log-likelihood of the variance components, by the whole covariance matrix."""
    seeds, subjects = cells.shape
    of_seed, of_subject, of_both = np.exp(parameters)
    covariance = (
        of_seed * np.kron(np.eye(seeds), np.ones((subjects, subjects)))
        + of_subject * np.kron(np.ones((seeds, seeds)), np.eye(subjects))
        + of_both * np.eye(cells.size)
    )
    inverse, ones, values = np.linalg.inv(covariance), np.ones(cells.size), cells.ravel()
    information = ones @ inverse @ ones
    residual = values - (ones @ inverse @ values) / information
    log_determinant = np.linalg.slogdet(covariance)[1]
    return float(0.5 * (log_determinant + np.log(information) + residual @ inverse @ residual))


def test_the_components_are_those_of_greatest_restricted_likelihood() -> None:
    """In a balanced design with positive components the analysis of variance is REML."""
    cells = drawn(4, 7, (1.0, 1.5, 0.5), np.random.default_rng(3))
    found = compared(cells).components
    exact = {"xatol": 1e-6, "fatol": 1e-10, "maxiter": 2000}
    best = minimize(likelihood, np.zeros(3), args=(cells,), method="Nelder-Mead", options=exact)
    assert np.exp(best.x) == pytest.approx([found.seed, found.subject, found.interaction], rel=1e-3)


def test_one_seed_is_students_t_over_subjects() -> None:
    row = np.random.default_rng(0).normal(0.1, 1, (1, 12))
    found = compared(row)
    test = stats.ttest_1samp(row[0], 0)
    interval = test.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((interval.low, interval.high, test.pvalue))
    assert not found.is_over_seeds
    with pytest.raises(ValueError, match="expected two seeds and two subjects, got 1 and 12"):
        found.seeds_needed(0.1)


def test_one_subject_is_students_t_over_seeds() -> None:
    cases = np.random.default_rng(0).normal(0.1, 1, (9, 2))
    found = compared(cases, subjects=["a", "a"])
    test = stats.ttest_1samp(cases.mean(1), 0)
    assert found.p == pytest.approx(test.pvalue)
    assert (found.seeds, found.subjects) == (9, 1)


def test_seeds_that_agree_leave_the_subjects_and_the_reverse() -> None:
    values = np.random.default_rng(1).normal(0.1, 1, 8)
    expected = stats.ttest_1samp(values, 0).pvalue
    assert compared(np.tile(values, (5, 1))).p == pytest.approx(expected, rel=1e-3)
    assert compared(np.tile(values[:, None], (1, 5))).p == pytest.approx(expected, rel=1e-3)


def test_cases_of_a_subject_count_as_one_measurement() -> None:
    """Copying every case changes nothing; taking the copies for subjects makes them look like evidence."""
    cells = drawn(5, 10, (0.1, 1.0, 0.3), np.random.default_rng(2)) + 0.5
    twice, names = np.repeat(cells, 2, axis=1), np.repeat(np.arange(10), 2).tolist()
    once = compared(cells)
    again = compared(twice, subjects=names)
    assert (again.low, again.high, again.p) == pytest.approx((once.low, once.high, once.p))
    assert compared(twice).p < once.p


def test_the_difference_is_the_mean_of_all_cases_also_of_unequal_subjects() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.random((3, 6)), rng.random((3, 6))
    found = compare_over_seeds(a, b, subjects=["x", "y", "x", "x", "z", "y"])
    assert found.difference == pytest.approx((a - b).mean())
    assert found.low < found.difference < found.high
    other = compare_over_seeds(b, a, subjects=["x", "y", "x", "x", "z", "y"])
    assert (other.low, other.high, other.probability) == pytest.approx(
        (-found.high, -found.low, 1 - found.probability)
    )


def test_the_probability_counts_pairs_of_seed_and_patient() -> None:
    assert compared(np.array([[1.0, -1.0], [2.0, 0.0]])).probability == 2.5 / 4


def test_methods_that_do_not_differ_at_all() -> None:
    found = compared(np.zeros((3, 4)))
    assert (found.difference, found.low, found.high, found.p, found.probability) == (0, 0, 0, 1, 0.5)
    constant = compared(np.full((3, 4), 0.25))
    assert (constant.low, constant.high, constant.p, constant.probability) == (0.25, 0.25, 0, 1)


@pytest.mark.parametrize(
    ("a", "b", "settings", "message"),
    [
        (np.zeros(3), np.zeros(3), {}, r"expected two arrays \(seeds, cases\) of one shape, got \(3,\)"),
        (np.zeros((2, 3)), np.zeros((3, 2)), {}, r"got \(2, 3\) and \(3, 2\)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), {}, r"got \(0, 3\)"),
        (np.zeros((1, 1)), np.zeros((1, 1)), {}, "two seeds or two subjects or more"),
        (np.zeros((2, 2)), np.full((2, 2), np.nan), {}, "4 pairs of 4 with NaN .*leave those cases out"),
        (np.zeros((2, 3)), np.zeros((2, 3)), {"subjects": ["a"]}, r"expected a label per value \(3\), got 1"),
        (np.zeros((2, 3)), np.zeros((2, 3)), {"level": 1.0}, "level: expected a number between 0 and 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    a: Array, b: Array, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare_over_seeds(a, b, **settings)  # type: ignore[arg-type]


def test_no_number_of_seeds_outweighs_too_few_subjects() -> None:
    few = compared(drawn(20, 5, (0.1, 1.0, 0.1), np.random.default_rng(5)))
    assert few.seeds_needed(0.01) == inf
    assert few.seeds_needed(100.0) == 2
    with pytest.raises(ValueError, match="effect other than 0"):
        few.seeds_needed(0.0)


def test_a_larger_effect_never_needs_more_seeds() -> None:
    found = compared(drawn(5, 30, (0.01, 0.001, 0.01), np.random.default_rng(9)))
    needed = [found.seeds_needed(effect) for effect in np.geomspace(0.0005, 1000, 60)]
    assert needed == sorted(needed, reverse=True)
    assert needed[0] > needed[-1] == 2


def covered(
    seeds: int, subjects: int, deviations: tuple[float, float, float], trials: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Shares of trials whose interval holds the true mean, and whose p is below .05."""
    hits = rejected = 0
    for _ in range(trials):
        found = compared(drawn(seeds, subjects, deviations, rng))
        hits += found.low <= 0 <= found.high
        rejected += found.p < 0.05
    return hits / trials, rejected / trials


def test_the_interval_covers_and_that_over_cases_alone_does_not() -> None:
    """3 seeds, 30 subjects, seeds that matter; 600 trials tell .95 from .90 (standard error .009)."""
    rng = np.random.default_rng(6)
    deviations = (0.5, 1.0, 0.5)
    share, rejected = covered(3, 30, deviations, 600, rng)
    assert 0.92 <= share <= 0.98
    assert rejected == pytest.approx(1 - share, abs=1e-9)
    naive = sum(stats.ttest_1samp(drawn(3, 30, deviations, rng).mean(0), 0).pvalue < 0.05 for _ in range(600))
    assert naive / 600 > 0.2


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10, 50])
def test_coverage_over_the_range_that_is_promised(seeds: int) -> None:
    rng = np.random.default_rng(7)
    grid = product((10, 30, 60), [(1.0, 1.0, 1.0), (0.3, 1.0, 1.0), (0.0, 1.0, 1.0), (1.0, 0.3, 1.0)])
    for subjects, deviations in grid:
        share, rejected = covered(seeds, subjects, deviations, 3000, rng)
        assert 0.925 <= share <= 0.975, (subjects, deviations)  # .93 to .97, and a standard error of .004
        assert rejected == pytest.approx(1 - share, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("effect", "deviations"), [(0.5, (0.6, 0.8, 1.0)), (0.3, (0.5, 0.5, 1.0))])
def test_the_seeds_needed_give_the_power_that_was_asked_for(
    effect: float, deviations: tuple[float, float, float]
) -> None:
    """Of a first study with many seeds; the power then found is that of 20 % fewer to 20 % more seeds."""
    rng = np.random.default_rng(8)
    cells = drawn(2000, 40, (deviations[0], 0.0, deviations[2]), rng)
    subjects = rng.standard_normal((1, 40))
    cells += deviations[1] * (subjects - subjects.mean()) / subjects.std(ddof=1)
    needed = int(compared(cells).seeds_needed(effect))
    powers = []
    for seeds in (round(0.8 * needed), round(1.2 * needed)):
        trials = [compared(effect + drawn(seeds, 40, deviations, rng)).p < 0.05 for _ in range(3000)]
        powers.append(np.mean(trials))
    assert powers[0] < 0.8 < powers[1]


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "effect"), [(normal, 0.02), (skewed, 0.3)])
def test_the_table_of_the_documentation(draw: Callable[..., Study], effect: float) -> None:
    """Its corners: 93 to 97 %, and 4 to 6 %, with two standard errors (.004 to .005) around."""
    for seeds, subjects in ((3, 10), (3, 60), (5, 30), (10, 10), (50, 60)):
        found = rates(draw, seeds, subjects, 2500, effect)
        assert 0.92 <= found.covered <= 0.98, (seeds, subjects)
        assert 0.031 <= found.over_seeds <= 0.069, (seeds, subjects)
        assert found.over_cases > found.over_seeds, (seeds, subjects)


@pytest.mark.slow
def test_where_neither_seeds_nor_subjects_differ_p_is_cautious() -> None:
    rng = np.random.default_rng(10)
    for seeds, subjects in product((3, 5, 10), (10, 60)):
        _, rejected = covered(seeds, subjects, (0.0, 0.0, 1.0), 2000, rng)
        assert 0.018 <= rejected <= 0.045, (seeds, subjects)
