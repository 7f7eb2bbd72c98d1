"""The first lines of a report: who wins, by how much, what cannot be told, who collapsed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import study
from small_report import report
from synthetic import write_run

from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.summary import pair_of, summary_sentences, verdict

pytestmark = pytest.mark.xdist_group("studies")


def test_the_summary_names_the_best_and_the_collapsed(three: Comparison) -> None:
    best, pair, distance, collapsed, missed = summary_sentences(three)
    mean = three.summary.query("class_name == 'mean' and metric == 'dice'").set_index("method")["mean"]
    assert f"Best mean Dice: {mean.idxmax()}" in best
    assert "over 4 seeds and 12 patients" in pair
    assert distance.endswith(" mm.")
    assert "rw_boundary 1 of 4 [1%, 81%]" in collapsed
    assert missed.endswith("cannot raise its mean: rrw 1 missed, 0 spurious.")


def test_the_summary_names_all_that_print_the_same(three: Comparison) -> None:
    summary = three.summary.assign(
        mean=three.summary["mean"].where(three.summary["metric"] != "dice", 0.90004)
    )
    summary.loc[summary["method"] == "rw_boundary", "mean"] = 0.8
    said = summary_sentences(replace(three, summary=summary))
    assert said[0] == "Best mean Dice: rrw and rw_boundary, rectified with 0.900."


def test_the_summary_on_one_method_and_on_nothing(three: Comparison, tmp_path: Path) -> None:
    said = summary_sentences(study.one_run(tmp_path))
    assert said[0].endswith("there is nothing to compare it with.")
    assert said[1] == "Runs that lost a class (mean Dice below 0.1): none of 1."
    assert summary_sentences(study.nothing(three)) == []


ROW = {"seeds": 5, "subjects": 30, "difference": 0.03, "low": 0.01, "high": 0.05, "p": 0.01, "needed": 4.0,
       "probability": 0.92}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "dice beats rrw by 0.030 [0.010, 0.050] Dice over 5 seeds and 30 patients; for another seed and "
             "another patient it is ahead in 92%."),
        ({"seeds": 4, "p": 0.2, "needed": 6.0}, "Whether dice or rrw is better cannot be told: they differ "
         "by 0.030 [0.010, 0.050] Dice over 4 seeds and 30 patients; 6 seeds would tell a difference of"),
        ({"seeds": 2, "p": float("nan"), "needed": 2}, "Whether dice or rrw is better cannot be told from 2 "
         "seeds: they differ by 0.030 [0.010, 0.050] Dice over them and 30 patients; 3 seeds would tell"),
        ({"p": 0.2, "needed": float("inf")}, "no number of seeds would tell a difference of this size"),
        ({"seeds": 1}, "cannot be told: one seed. These two networks differ by 0.030 [0.010, 0.050] over 30"),
        ({"seeds": 0, "difference": float("nan")}, "they have no seed in common"),
    ],
)  # fmt: skip
def test_the_verdict_claims_what_seeds_and_patients_tell(changes: dict[str, float], words: str) -> None:
    assert words in verdict(pd.Series({**ROW, **changes}), "dice", "rrw")


def test_a_pair_reads_the_same_from_either_side(three: Comparison) -> None:
    one, other = pair_of(three, "rrw", "rw_boundary"), pair_of(three, "rw_boundary", "rrw")
    assert one["difference"] == -other["difference"]
    assert (one["low"], one["high"]) == (-other["high"], -other["low"])
    assert one["probability"] == 1 - other["probability"]
    mean = three.summary.query("class_name == 'mean' and metric == 'dice'").set_index("method")["mean"]
    assert one["difference"] == pytest.approx(mean["rrw"] - mean["rw_boundary"])


def test_methods_without_a_common_seed_are_not_compared(tmp_path: Path) -> None:
    write_run(tmp_path, "rrw", seed=0)
    write_run(tmp_path, "ce", seed=1)
    assert "no seed in common" in "\n".join(summary_sentences(report(tmp_path)))


def test_two_seeds_have_an_interval_and_no_p(tmp_path: Path) -> None:
    for loss, dice in (("rrw", 0.9), ("ce", 0.7)):
        for seed in range(2):
            write_run(tmp_path, loss, seed=seed, dice=dice)
    pairs = report(tmp_path).over_seeds
    assert pairs[["difference", "low", "high"]].notna().all(axis=None)
    assert pairs[["p", "p_holm"]].isna().all(axis=None)


def test_more_seeds_than_anybody_trains_are_none(tmp_path: Path) -> None:
    """Methods that hardly differ on few patients, who vary much."""
    for loss in ("rrw", "ce"):
        for seed in range(4):
            write_run(tmp_path, loss, seed=seed, cases=4)
    pairs = report(tmp_path).over_seeds
    needed = pairs.loc[pairs["metric"] == "dice", "needed"].dropna()
    assert len(needed)
    assert ((needed <= 1000) | np.isinf(needed)).all()
    assert np.isinf(needed).any()
