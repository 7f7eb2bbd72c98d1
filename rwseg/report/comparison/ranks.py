"""How stable the ranking is: ranks of the methods over resampled seeds and subjects."""

import numpy as np
import pandas as pd

from rwseg.metrics.averages import case_shares

RESAMPLES = 2000


def rank_table(table: pd.DataFrame) -> pd.DataFrame:
    """The share of resamples in which a method has a rank by mean Dice: columns `method, rank, share`.

    `table` is `samples.long_table`. Each of `RESAMPLES` resamples draws seeds and subjects with replacement,
    the subjects and the seeds that all methods have alike for all methods (as challengeR does with cases;
    Wiesenfarth et al. 2021). Rank 1 is the best; equal ones share the better rank.
    """
    rng = np.random.default_rng(0)
    scores = {str(name): _scores(rows) for name, rows in table.groupby("method", observed=True, sort=False)}
    subjects = next(iter(scores.values())).columns
    drawn = rng.multinomial(len(subjects), np.full(len(subjects), 1 / len(subjects)), RESAMPLES)  # (B, U)
    shared = {tuple(found.index) for found in scores.values()}
    weights: dict[int, np.ndarray] = {}
    means = []
    for found in scores.values():
        count = len(found)
        if len(shared) > 1 or count not in weights:
            weights[count] = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES)  # (B, S)
        by_seed = drawn @ found[subjects].to_numpy().T  # (B, S)
        means.append((weights[count] * by_seed).sum(1) / (count * len(subjects)))
    values = np.round(np.array(means), 9)  # (M, B)
    ranks = 1 + (values[None] > values[:, None]).sum(1)  # (M, B): by how many each is beaten
    return pd.DataFrame(
        [
            {"method": name, "rank": rank, "share": float((own == rank).mean())}
            for name, own in zip(scores, ranks, strict=True)
            for rank in range(1, len(scores) + 1)
        ]
    )


def _scores(rows: pd.DataFrame) -> pd.DataFrame:
    """What each subject adds to the mean Dice of each seed, whose mean over subjects it is: `(S, U)`."""
    wide = rows.pivot_table("dice", ["seed", "case"], "class_name", dropna=False, observed=True)
    names = rows.drop_duplicates("case").set_index("case")["subject"]
    found = {}
    for seed, part in wide.groupby(level="seed"):
        cases = part.index.get_level_values("case")
        shares = pd.Series(case_shares(part.to_numpy()), index=names.loc[cases].to_numpy())
        sums = shares.groupby(level=0, sort=True).sum()
        found[seed] = sums * len(sums) / len(shares)
    return pd.DataFrame(found).T
