"""The sentences above a report's tables: who is best, by how much, who failed."""

from dataclasses import replace
from pathlib import Path

import pytest
import study

from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.summary import summary_sentences

pytestmark = pytest.mark.xdist_group("studies")


def test_the_summary_names_the_best_the_sure_and_the_failed(three: Comparison) -> None:
    dice, distance, missed, failed = summary_sentences(three)
    mean = three.summary.query("class_name == 'mean' and metric == 'dice'").set_index("method")["mean"]
    assert f"Best mean Dice: {mean.idxmax()} with {mean.max():.3f}" in dice
    assert "Of 2 other methods" in dice
    assert "worse (rw_boundary" in dice
    assert "mm" in distance
    assert missed.endswith("cannot raise its mean: rrw 1 missed, 0 spurious.")
    assert failed == "Runs that failed to converge: rw_boundary 1 of 4."


def test_the_summary_names_all_that_print_the_same(three: Comparison) -> None:
    summary = three.summary.assign(
        mean=three.summary["mean"].where(three.summary["metric"] != "dice", 0.90004)
    )
    summary.loc[summary["method"] == "rw_boundary", "mean"] = 0.8
    assert summary_sentences(replace(three, summary=summary))[0].startswith(
        "Best mean Dice: rrw and rw_boundary, rectified with 0.900. Of 2"
    )


def test_the_summary_on_one_method_and_on_nothing(three: Comparison, tmp_path: Path) -> None:
    said = summary_sentences(study.one_run(tmp_path))
    assert [sentence.split(":")[0] for sentence in said] == [
        "Best mean Dice", "Best mean Hausdorff distance", "Runs that failed to converge",
    ]  # fmt: skip
    assert summary_sentences(study.nothing(three)) == []
