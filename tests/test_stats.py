"""The permutation test against brute force and SciPy, the distribution function against counting."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test

from rwseg.stats import empirical_cdf, paired_permutation_test

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
