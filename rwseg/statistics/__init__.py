"""Statistics of comparisons: permutation tests, intervals and distributions of paired samples.

Functions of arrays, as in `__all__`. Runs, methods and their names are the report's.
"""

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
    "binomial_interval",
    "cdf_band",
    "empirical_cdf",
    "failure_test",
    "group_sums",
    "holm",
    "mean_interval",
    "paired_permutation_test",
    "two_sample_permutation_test",
]
