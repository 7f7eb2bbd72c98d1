"""Student's t of a mean over seeds and subjects, calibrated: against tables drawn one by one."""

import numpy as np
import pytest
from scipy import stats

from rwseg.statistics.crossed_effects import (
    QUANTILE,
    CalibratedT,
    Design,
    mean_squares,
    variance_of_mean,
)


def table(design: Design, deviations: tuple[float, float, float], rng: np.random.Generator) -> np.ndarray:
    """Differences (S, U) of mean 0, the `deviations` those of seeds, subjects and both."""
    of_seeds, of_subjects, of_both = deviations
    cells: np.ndarray = of_both * rng.standard_normal(design)
    cells += of_seeds * rng.standard_normal((design.seeds, 1))
    return cells + of_subjects * rng.standard_normal(design.subjects)


@pytest.mark.parametrize("design", [Design(3, 10), Design(4, 3)])
def test_the_mean_squares_are_those_of_a_fit_by_least_squares(design: Design) -> None:
    cells = table(design, (1.0, 2.0, 0.5), np.random.default_rng(0))
    seed, subject = (of.ravel() for of in np.indices(cells.shape))
    of_seeds, of_subjects = np.eye(design.seeds)[seed], np.eye(design.subjects)[subject]

    def left(*columns: np.ndarray) -> float:
        design_matrix = np.hstack(columns)
        fitted = design_matrix @ np.linalg.lstsq(design_matrix, cells.ravel(), rcond=None)[0]
        return float(((cells.ravel() - fitted) ** 2).sum())

    all_of_it = left(of_seeds, of_subjects)
    sums = (left(of_subjects) - all_of_it, left(of_seeds) - all_of_it, all_of_it)
    assert mean_squares(cells) == pytest.approx(np.array(sums) / design.freedoms)


@pytest.mark.parametrize(
    ("design", "squares"),
    [
        (Design(3, 10), (5.0, 2.0, 1.0)),
        (Design(3, 30), (0.4, 3.0, 1.0)),  # seeds by chance more alike than what is left
        (Design(5, 7), (0.9, 0.8, 1.0)),  # neither differ
        (Design(8, 5), (2.0, 0.0, 0.0)),  # nothing left
    ],
)
def test_p_is_the_share_of_drawn_tables_with_one_as_small(
    design: Design, squares: tuple[float, float, float]
) -> None:
    calibration = CalibratedT(np.array(squares), design)
    lower = [stats.f.ppf(QUANTILE, freedom, design.freedoms[2]) for freedom in design.freedoms[:2]]
    expected = [max(square / low, squares[2]) for square, low in zip(squares[:2], lower, strict=True)]
    expected.append(squares[2])
    rng = np.random.default_rng(1)
    draws = 100_000
    drawn = np.array(
        [e * rng.chisquare(f, draws) / f for e, f in zip(expected, design.freedoms, strict=True)]
    )
    variance = (expected[0] + expected[1] - expected[2]) / (design.seeds * design.subjects)
    means = rng.normal(0, np.sqrt(variance), draws)
    found, freedom = variance_of_mean(drawn, design)
    nominal = 2 * stats.t.sf(np.abs(means) / np.sqrt(found), freedom)
    for statistic in (0.5, 1.5, 2.5, 5.0):
        own = 2 * stats.t.sf(statistic, calibration.freedom)
        assert calibration.p(statistic) == pytest.approx((nominal <= own).mean(), abs=0.005)


def test_p_falls_from_one_and_the_limit_is_where_it_is_the_level() -> None:
    calibration = CalibratedT(np.array([3.0, 2.0, 1.0]), Design(3, 10))
    falling = [calibration.p(statistic) for statistic in np.geomspace(1e-3, 1e6, 40)]
    assert calibration.p(0.0) == pytest.approx(1)
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] < 1e-6
    for level in (0.5, 0.8, 0.95, 0.999):
        assert calibration.p(calibration.limit(level)) == pytest.approx(1 - level, rel=1e-5)
        assert calibration.p(-calibration.limit(level)) == pytest.approx(1 - level, rel=1e-5)


def test_p_of_a_difference_beyond_all_doubt_is_none() -> None:
    """At 1e6 standard errors Student's tail is 1e-300, of which SciPy finds no quantile."""
    calibration = CalibratedT(np.array([1.0, 1.0, 1.0]), Design(4, 15))
    assert all(0 <= calibration.p(statistic) < 1e-9 for statistic in np.geomspace(1e3, 1e9, 60))


def test_many_tables_are_analysed_as_each_alone() -> None:
    design, rng = Design(4, 6), np.random.default_rng(2)
    each = [mean_squares(table(design, (0.3, 0.3, 1.0), rng)) for _ in range(30)]
    together = variance_of_mean(np.stack(each, axis=1), design)
    alone = [variance_of_mean(squares, design) for squares in each]
    np.testing.assert_allclose(np.transpose(together), alone)
    assert {bool(freedom == 23) for _, freedom in alone} == {True, False}
