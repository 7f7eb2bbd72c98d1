"""How often the intervals over seeds and subjects hold the truth: python -m benchmarks.coverage.

Simulated studies of two methods with known variances, two cases per subject; beside it the test over cases,
which takes the networks at hand for the losses.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rwseg.statistics import compare_over_seeds

Array = NDArray[np.float64]
CASES = 2
SEEDS, SUBJECTS = (3, 5, 10, 50), (10, 30, 60)


class Study(NamedTuple):
    """Values (seeds, cases) of two methods, the subject of each case, and the true difference."""

    a: Array
    b: Array
    subjects: list[int]
    truth: float


class Rates(NamedTuple):
    """Shares of studies: interval holds the truth, p < .05 of equal methods over seeds, and over cases."""

    covered: float
    over_seeds: float
    over_cases: float


def normal(seeds: int, subjects: int, rng: np.random.Generator, difference: float = 0.0) -> Study:
    """Effects of seed .02, subject .03, both .04 and case .02 on the difference, all normal."""
    effects = _effects(seeds, subjects, (0.02, 0.03, 0.04, 0.02), rng)
    return Study(difference + effects, np.zeros_like(effects), _labels(subjects), difference)


def skewed(seeds: int, subjects: int, rng: np.random.Generator, difference: float = 0.0) -> Study:
    """Dice near 1 with a tail to the left: a logistic curve of normal effects, most of a subject's shared."""
    own = (0.25, 0.3, 0.3, 0.3)
    shared = _effects(1, subjects, (0.0, 0.6, 0.0, 0.3), rng)
    means = (2.0 + difference, 2.0)
    a, b = (_logistic(mean + shared + _effects(seeds, subjects, own, rng)) for mean in means)
    spread = float(np.sqrt(sum(part**2 for part in own) + 0.6**2 + 0.3**2))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    true_a, true_b = (weights @ _logistic(mean + spread * nodes) / weights.sum() for mean in means)
    return Study(a, b, _labels(subjects), float(true_a - true_b))


def rates(draw: Callable[..., Study], seeds: int, subjects: int, studies: int, effect: float) -> Rates:
    """The rates over so many `studies`: coverage of a difference of `effect`, tests of none."""
    rng = np.random.default_rng([seeds, subjects])
    covered = over_seeds = over_cases = 0
    for _ in range(studies):
        there = draw(seeds, subjects, rng, effect)
        found = compare_over_seeds(there.a, there.b, there.subjects)
        covered += found.low <= there.truth <= found.high
        none = draw(seeds, subjects, rng)
        over_seeds += compare_over_seeds(none.a, none.b, none.subjects).p < 0.05
        over_cases += stats.ttest_rel(none.a.mean(0), none.b.mean(0)).pvalue < 0.05
    return Rates(covered / studies, over_seeds / studies, over_cases / studies)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of docs/report.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=8000)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    given = parser.parse_args(arguments)
    columns = [f"{kind}: {name}" for kind in ("normal", "as Dice") for name in ("covers", "p", "over cases")]
    print(f"| seeds | subjects | {' | '.join(columns)} |")
    print("|---:" * 8 + "|")
    for seeds in given.seeds:
        for subjects in SUBJECTS:
            found = [
                rates(draw, seeds, subjects, given.studies, e) for draw, e in ((normal, 0.02), (skewed, 0.3))
            ]
            cells = [f"{100 * share:.1f} %" for each in found for share in each]
            print(f"| {seeds} | {subjects} | {' | '.join(cells)} |", flush=True)


def _effects(
    seeds: int, subjects: int, deviations: tuple[float, float, float, float], rng: np.random.Generator
) -> Array:
    """Sum of normal effects (seeds, cases) of seed, subject, both, and case."""
    seed, subject, both, case = deviations
    by_subject = subject * rng.standard_normal((1, subjects)) + both * rng.standard_normal((seeds, subjects))
    by_case: Array = np.repeat(by_subject, CASES, axis=1)
    by_case += case * rng.standard_normal((seeds, subjects * CASES))
    return by_case + seed * rng.standard_normal((seeds, 1))


def _labels(subjects: int) -> list[int]:
    return np.repeat(np.arange(subjects), CASES).tolist()


def _logistic(values: Array) -> Array:
    return 1 / (1 + np.exp(-values))


if __name__ == "__main__":
    main()
