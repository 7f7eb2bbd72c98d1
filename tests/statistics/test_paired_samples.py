"""The statistics against enumeration, their definitions, SciPy and simulation."""

import tracemalloc
from collections.abc import Callable
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, norm, permutation_test, t

from rwseg.statistics import (
    binomial_interval,
    cdf_band,
    empirical_cdf,
    failure_test,
    group_sums,
    holm,
    mean_interval,
    paired_permutation_test,
    paired_samples,
    two_sample_permutation_test,
)

SCORES = st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=1, max_size=8)


@settings(max_examples=50, deadline=None)
@given(SCORES)
def test_exact_p_equals_enumeration_of_all_sign_flips(pairs: list[tuple[int, int]]) -> None:
    differences = [x - y for x, y in pairs]
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
            for signs in product((1, -1), repeat=len(pairs))]  # fmt: skip
    p = sum(total >= abs(sum(differences)) for total in sums) / len(sums)
    assert paired_permutation_test(*zip(*pairs, strict=True)) == pytest.approx(p)


def test_exact_p_equals_scipy_on_floats() -> None:
    x, y = np.random.default_rng(0).normal((0.3, 0.0), 1.0, (10, 2)).T
    reference = permutation_test(
        (x, y), lambda a, b, axis: np.abs((a - b).mean(axis)), permutation_type="samples", vectorized=True,
        alternative="greater", n_resamples=np.inf,
    )  # fmt: skip
    assert paired_permutation_test(x, y) == pytest.approx(reference.pvalue)


def test_sampled_p_is_near_the_exact_one_and_depends_only_on_the_seed() -> None:
    x, y = np.random.default_rng(1).normal((0.4, 0.0), 1.0, (16, 2)).T
    exact = paired_permutation_test(x, y, n_resamples=2**16)
    sampled = paired_permutation_test(x, y, n_resamples=2**16 - 1)
    assert sampled == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 2**16))
    assert sampled == paired_permutation_test(x, y, n_resamples=2**16 - 1)
    assert sampled != paired_permutation_test(x, y, n_resamples=2**16 - 1, seed=1)


def test_sampled_p_is_never_0() -> None:
    assert paired_permutation_test(np.full(40, 1.0), np.zeros(40), n_resamples=999) == pytest.approx(1 / 1000)


def test_equal_samples_give_1_and_the_order_of_the_methods_does_not_matter() -> None:
    x, y = np.random.default_rng(2).normal(size=(2, 9))
    assert paired_permutation_test(x, x) == 1
    assert paired_permutation_test(x, y) == paired_permutation_test(y, x)


def test_false_positives_are_as_rare_as_promised() -> None:
    rng = np.random.default_rng(3)
    p = [paired_permutation_test(*rng.normal(size=(2, 30)), n_resamples=199) for _ in range(400)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 400))


def test_cdf_counts_the_values_at_or_below() -> None:
    sample = np.random.default_rng(4).integers(0, 6, 50) / 7
    x, fraction = empirical_cdf(sample)
    assert (np.diff(x) > 0).all()
    np.testing.assert_allclose(fraction, [(sample <= value).mean() for value in x])
    assert fraction[-1] == 1


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1.0, 2.0], [1.0], "equal length, got 2 and 1"),
        ([], [], "at least one value"),
        ([[1.0]], [[1.0]], r"shape \(1, 1\)"),
        ([1.0, float("nan")], [1.0, 2.0], "x: expected finite values, got 1 NaN"),
        ([1.0], [float("inf")], "y: expected finite"),
    ],
)
def test_wrong_samples_are_refused(x: list[float], y: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_permutation_test(x, y)


def test_other_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="n_resamples"):
        paired_permutation_test([1.0], [2.0], n_resamples=0)
    with pytest.raises(ValueError, match="values: expected a 1-D sample"):
        empirical_cdf([])


def test_two_sample_p_equals_enumeration_of_all_splits() -> None:
    x, y = [0.3, 1.2, 0.8], [0.1, 0.4, -0.2, 0.35]
    values = np.array([*x, *y])
    observed = abs(np.mean(x) - np.mean(y))
    splits = [abs(values[list(chosen)].mean() - np.delete(values, chosen).mean())
              for chosen in combinations(range(7), 3)]  # fmt: skip
    expected = np.mean(np.array(splits) >= observed - 1e-12)
    assert two_sample_permutation_test(x, y) == pytest.approx(expected)


def test_sampled_two_sample_p_depends_only_on_the_seed() -> None:
    x, y = np.random.default_rng(5).normal((0.5, 0.0), 1.0, (20, 2)).T
    p = [two_sample_permutation_test(x, y, seed=seed) for seed in (0, 0, 1)]
    assert p[0] == p[1] != p[2]
    assert 0 < p[0] < 0.5


@pytest.mark.parametrize("test", [paired_permutation_test, two_sample_permutation_test])
def test_p_is_uniform_under_the_null(test: Callable[..., float]) -> None:
    rng = np.random.default_rng(6)
    p = [test(*rng.normal(size=(2, 12)), n_resamples=999, seed=run) for run in range(500)]
    assert kstest(p, "uniform").pvalue > 0.01


def holm_by_hand(p: np.ndarray) -> list[float]:
    """Step down: the smallest p times how many are left, never below the one before."""
    corrected, left, floor = [0.0] * len(p), len(p), 0.0
    for place in np.argsort(p):
        floor = max(floor, min(1.0, left * p[place]))
        corrected[place] = floor
        left -= 1
    return corrected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_equals_the_procedure_by_hand(p: list[float]) -> None:
    corrected = holm(p)
    np.testing.assert_allclose(corrected, holm_by_hand(np.array(p)))
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(1, len(p) * np.array(p)) + 1e-15).all()  # never stricter than Bonferroni


def test_holm_keeps_the_family_wise_error() -> None:
    rng = np.random.default_rng(7)
    common = rng.normal(size=(2000, 1))
    z = np.sqrt(0.5) * common + np.sqrt(0.5) * rng.normal(size=(2000, 8))  # eight dependent tests, none true
    p = 2 * norm.sf(np.abs(z))
    any_rejected = np.mean([(holm(row) < 0.05).any() for row in p])
    assert any_rejected <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)
    assert (p < 0.05).any(1).mean() > 0.15  # what it protects from


def test_the_interval_covers_the_mean_as_often_as_promised() -> None:
    rng = np.random.default_rng(8)
    hits = 0
    for run in range(300):
        low, high = mean_interval(rng.exponential(size=40), n_resamples=999, seed=run)
        hits += low <= 1 <= high
    assert 0.88 <= hits / 300 <= 0.99


def test_the_interval_is_near_that_of_the_t_distribution_for_normal_values() -> None:
    values = np.random.default_rng(9).normal(3, 2, 200)
    half = t.ppf(0.975, 199) * values.std(ddof=1) / np.sqrt(200)
    assert mean_interval(values) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.06 * half
    )
    assert mean_interval(values) == mean_interval(values)
    wide, narrow = mean_interval(values, level=0.99), mean_interval(values, level=0.8)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_values_of_a_group_are_drawn_together() -> None:
    pairs = np.random.default_rng(11).normal(size=(12, 2))
    labels = [f"subject {i}" for i in range(12) for _ in range(2)]
    by_group = mean_interval(pairs.ravel(), labels)
    assert by_group == pytest.approx(mean_interval(pairs.mean(1)), rel=1e-3)
    assert by_group != pytest.approx(mean_interval(pairs.ravel()), rel=1e-3)
    uneven = mean_interval([1.0, 5.0, 5.0, 5.0], ["a", "b", "b", "b"])
    assert uneven[0] >= 1
    assert uneven[1] <= 5
    assert np.isnan(mean_interval([0.1, 0.4], ["a", "a"])).all()
    assert mean_interval([-1.0, 1.0, 1.0, -1.0], ["a", "a", "b", "b"]) == (0, 0)


def test_sums_of_groups() -> None:
    sums, counts = group_sums([1.0, 2.0, 4.0], ["b", "a", "b"])
    np.testing.assert_array_equal(sums, [5, 2])
    np.testing.assert_array_equal(counts, [2, 1])


def test_cases_of_a_subject_give_false_positives_unless_flipped_together() -> None:
    rng = np.random.default_rng(12)
    labels = [i for i in range(15) for _ in range(2)]
    p = []
    for _ in range(300):
        differences = np.repeat(rng.normal(size=15), 2) + 0.3 * rng.normal(size=30)
        sums, _ = group_sums(differences, labels)
        p.append([paired_permutation_test(x, np.zeros(len(x)), 499) for x in (differences, sums)])
    by_case, by_subject = (np.array(p) <= 0.05).mean(0)
    assert by_case > 0.1
    assert by_subject <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 300)


def test_many_pairs_are_drawn_in_blocks() -> None:
    x = np.random.default_rng(13).normal(0.02, 1, 20_000)
    expected = 2 * norm.sf(abs(x.sum()) / np.sqrt((x**2).sum()))
    tracemalloc.start()
    p = paired_permutation_test(x, np.zeros(len(x)), n_resamples=2000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert p == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / 2000) + 0.002)
    assert most < 200e6  # of all patterns at once: 320 MB


def test_intervals_of_equal_values_and_of_one() -> None:
    assert mean_interval([0.25] * 7) == (0.25, 0.25)
    assert mean_interval([0.0, 0.0]) == (0.0, 0.0)
    assert np.isnan(mean_interval([0.3])).all()


def test_the_band_holds_the_true_distribution_as_often_as_promised() -> None:
    rng = np.random.default_rng(10)
    hits = 0
    for _ in range(400):
        value, share, low, high = cdf_band(rng.uniform(size=20))
        before = np.concatenate([[0], low[:-1]]), np.concatenate([[0], high[:-1]])
        steps = share - np.concatenate([[0], share[:-1]])
        assert (steps > 0).all()
        # a step function: just left of a value the band is still that of the value before
        first_high = np.sqrt(np.log(40) / 40)
        hits += bool((low <= value).all() and (value[1:] <= before[1][1:]).all() and value[0] <= first_high)
    assert hits / 400 >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / 400)


def test_the_band_is_as_wide_as_dkw_says() -> None:
    value, share, low, high = cdf_band([3.0, 1.0, 1.0, 2.0])
    half = np.sqrt(np.log(2 / 0.05) / 8)
    np.testing.assert_allclose(value, [1, 2, 3])
    np.testing.assert_allclose(low, np.maximum(0, share - half))
    np.testing.assert_allclose(high, np.minimum(1, share + half))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: two_sample_permutation_test([1.0], [1.0, 2.0]), "two values or more each, got 1 and 2"),
        (lambda: two_sample_permutation_test([1.0, np.nan], [1.0, 2.0]), "x: expected finite"),
        (lambda: holm([0.2, 1.2]), r"in \[0, 1\], got values in \[0.2, 1.2\]"),
        (lambda: holm([]), "p_values: expected a 1-D sample"),
        (lambda: mean_interval([1.0, 2.0], ["a"]), r"groups: expected a label per value \(2\), got 1"),
        (lambda: mean_interval([]), "values: expected a 1-D sample"),
        (lambda: binomial_interval(3, 2), "count: .* got 3 of 2"),
        (lambda: failure_test(0, 3, 0, 0), "count_y: .* got 0 of 0"),
        (lambda: failure_test(-1, 3, 0, 3), "count_x: .* got -1 of 3"),
        (lambda: cdf_band([np.inf]), "values: expected finite"),
    ],
)
def test_wrong_input_of_the_other_statistics_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("at_once", [1, 10_000, 10**9])
def test_an_interval_does_not_depend_on_how_many_resamples_are_drawn_at_once(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(3).normal(size=60)
    groups = [place // 2 for place in range(60)]
    expected = mean_interval(values, groups, n_resamples=999), mean_interval(values, n_resamples=999)
    monkeypatch.setattr(paired_samples, "VALUES_AT_ONCE", at_once)
    assert (
        mean_interval(values, groups, n_resamples=999),
        mean_interval(values, n_resamples=999),
    ) == expected
