"""The mean of a table of seeds x subjects: its variance, and how far Student's t of it strays by chance."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import newton
from scipy.special import fdtri, ndtr, stdtr, stdtrit
from scipy.stats import chi2, qmc

from rwseg.statistics.paired_samples import Floats

QUANTILE = 0.2
"""Of F: what a ratio of mean squares is taken to have been drawn at (`CalibratedT`)."""
DRAWS = 256


class Design(NamedTuple):
    """Numbers of seeds and of subjects, two or more of each; every seed meets every subject."""

    seeds: int
    subjects: int

    @property
    def freedoms(self) -> tuple[int, int, int]:
        """Degrees of freedom of the mean squares."""
        return self.seeds - 1, self.subjects - 1, (self.seeds - 1) * (self.subjects - 1)


def mean_squares(cells: Floats) -> Floats:
    """Return those of the balanced analysis of `cells` (S, U): of seeds, of subjects, and of what is left."""
    seeds, subjects = cells.shape
    mean, rows, columns = cells.mean(), cells.mean(1, keepdims=True), cells.mean(0, keepdims=True)
    sums = (
        subjects * ((rows - mean) ** 2).sum(),
        seeds * ((columns - mean) ** 2).sum(),
        ((cells - rows - columns + mean) ** 2).sum(),
    )
    squares: Floats = np.array(sums) / Design(seeds, subjects).freedoms
    return squares


def excesses(squares: Floats) -> Floats:
    """Return by how much those of seeds and of subjects are above what is left; one below it counts as 0."""
    above: Floats = np.maximum(squares[:2] - squares[2], 0)
    return above


def variance_of_mean(squares: Floats, design: Design) -> tuple[Floats, Floats]:
    """Return the estimated variance of the mean of all cells, and its degrees of freedom.

    `squares` are mean squares (3,) or of many tables (3, N). Where neither seeds nor subjects are seen to
    differ, all cells are one sample.
    """
    cells = design.seeds * design.subjects
    above = excesses(squares)
    pooled = np.tensordot(design.freedoms, squares, 1) / (cells - 1)
    variance: Floats = np.where(above.any(0), above.sum(0) + squares[2], pooled) / cells
    return variance, degrees_of_freedom(above[0], above[1], design.seeds, design.subjects)


def degrees_of_freedom(
    of_seeds: ArrayLike, of_subjects: ArrayLike, seeds: ArrayLike, subjects: ArrayLike
) -> Floats:
    """Return those of a mean whose variance has these parts; the interaction counts with both.

    As Satterthwaite (1946) interpolates them between S - 1 and U - 1, by the parts' shares and not by their
    squares.
    """
    total = np.add(of_seeds, of_subjects)
    share = np.divide(of_seeds, total, out=np.zeros_like(total), where=total > 0)
    between = 1 / (share / np.subtract(seeds, 1) + (1 - share) / np.subtract(subjects, 1))
    return np.where(total > 0, between, np.multiply(seeds, subjects) - 1)


class CalibratedT:
    """How often Student's t of the mean exceeds a value by chance, for variances like those estimated.

    A p-value of Student's distribution with interpolated degrees of freedom is replaced by the probability of
    one as small (prepivoting, Beran 1988), over tables drawn with the ratios that the mean squares show. A
    ratio is taken at the upper end of what F allows, as if its lower quantile `QUANTILE` had been drawn: with
    three seeds the estimate itself is often 0, and a test calibrated there rejects too often. The draws are
    the same each time. `squares` are those of `mean_squares`, of which not all may be 0.
    """

    def __init__(self, squares: Floats, design: Design) -> None:
        cells = design.seeds * design.subjects
        variance, freedom = variance_of_mean(squares, design)
        self.error, self.freedom = float(np.sqrt(variance)), float(freedom)
        quantiles = fdtri(design.freedoms[:2], design.freedoms[2], QUANTILE)
        expected = np.array([*np.maximum(squares[:2] / quantiles, squares[2]), squares[2]])
        true = (expected[0] + expected[1] - expected[2]) / cells
        found, self._freedoms = variance_of_mean(expected[:, None] * _drawn(design), design)
        self._errors = np.sqrt(found / true)  # estimated standard errors over the true one

    def p(self, statistic: float) -> float:
        """Return the two-sided p-value of the mean over its standard error."""
        nominal = float(stdtr(self.freedom, -abs(statistic)))
        if not nominal:
            return 0.0
        quantiles = -np.abs(stdtrit(self._freedoms, nominal))  # SciPy's is +inf where it is beyond all floats
        return float(2 * ndtr(quantiles * self._errors).mean())

    def limit(self, level: float) -> float:
        """Return what the statistic stays below, in size, with probability `level`."""
        start = np.log(-stdtrit(self.freedom, (1 - level) / 2))

        def beyond(size: float) -> float:
            return float(np.log(self.p(np.exp(size)) / (1 - level)))

        return float(np.exp(newton(beyond, start, x1=start + 0.2, tol=1e-6)))  # almost a line: secants


@lru_cache(maxsize=64)
def _drawn(design: Design) -> Floats:
    """Return mean squares (3, `DRAWS`) of tables whose expected ones are 1, spread evenly."""
    uniform = qmc.Sobol(3, seed=0).random(DRAWS)
    freedoms = np.array(design.freedoms)
    scaled: Floats = (chi2.ppf(uniform, freedoms) / freedoms).T
    return scaled
