"""Statistics of comparisons: permutation tests, intervals and distributions of paired samples.

Functions of arrays, as in `__all__`. Runs, methods and their names are the report's.
"""

from rwseg.statistics.over_seeds import Components, SeedComparison, compare_over_seeds
from rwseg.statistics.paired_samples import (
    binomial_interval,
    cdf_band,
    empirical_cdf,
    failure_test,
    group_sums,
    holm,
    mean_interval,
    paired_permutation_test,
    two_sample_permutation_test,
)

__all__ = [
    "Components",
    "SeedComparison",
    "binomial_interval",
    "cdf_band",
    "compare_over_seeds",
    "empirical_cdf",
    "failure_test",
    "group_sums",
    "holm",
    "mean_interval",
    "paired_permutation_test",
    "two_sample_permutation_test",
]
