"""Collapses, epoch of convergence, oscillation, curves and distribution against values worked out by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from small_report import report, value
from synthetic import write_run

from rwseg.core.errors import ConfigError
from rwseg.report.comparison.convergence import convergence_epoch, oscillation
from rwseg.report.comparison.summary import summary_sentences

CURVES = [
    ([0.1, 0.5, 0.89, 0.90, 0.90], 3),
    ([0.9, 0.9, 0.9], 1),
    ([0.9, 0.5, 0.9], 3),
    ([0.1, 0.885, 0.9, 0.86, 0.905, 0.9], 5),
    ([0.9, np.nan, 0.9], 3),
    ([0.4], 1),
]


@pytest.mark.parametrize(("dice", "epoch"), CURVES)
def test_a_run_converged_when_it_stays_near_its_end(dice: list[float], epoch: int) -> None:
    assert convergence_epoch(np.arange(float(len(dice))), np.array(dice)) == epoch


def test_rare_validations_count_in_epochs() -> None:
    assert convergence_epoch(np.array([5.0, 11.0, 17.0]), np.array([0.3, 0.89, 0.9])) == 12


def test_oscillation_is_the_mean_change_in_the_second_half() -> None:
    epochs, dice = np.arange(8.0), np.array([0.1, 0.9, 0.1, 0.9, 0.5, 0.6, 0.4, 0.5])
    assert oscillation(epochs, dice) == pytest.approx((0.1 + 0.2 + 0.1) / 3)
    assert np.isnan(oscillation(np.array([5.0, 11.0]), np.array([0.2, 0.9])))


def test_without_validations_there_is_neither() -> None:
    nothing = np.empty(0)
    assert np.isnan(convergence_epoch(nothing, nothing))
    assert np.isnan(oscillation(nothing, nothing))


@pytest.fixture
def unstable(tmp_path: Path) -> Path:
    """Six good runs of rrw; of six with rw_boundary, two end near 0.5."""
    for seed in range(6):
        write_run(tmp_path, "rrw", seed=seed, dice=0.9, epochs=8)
        write_run(tmp_path, "rw_boundary", seed=seed, dice=0.5 if seed < 2 else 0.88, epochs=8)
    return tmp_path


def test_a_run_that_lost_a_class_collapsed_and_one_that_ended_low_is_slow(tmp_path: Path) -> None:
    for seed in range(6):
        write_run(tmp_path, "rrw", seed=seed)
        write_run(tmp_path, "rw_boundary", seed=seed, dice={0: 0.05, 1: 0.05, 2: 0.5}.get(seed, 0.88))
    table = report(tmp_path).convergence
    assert list(table["collapsed"]) == [0, 2]
    assert list(table["slow"]) == [0, 1]
    assert list(table["runs"]) == [6, 6]
    interval = binomtest(2, 6).proportion_ci(method="exact")
    assert value(table, "share", method="rw_boundary") == pytest.approx(1 / 3)
    assert value(table, "low", method="rw_boundary") == pytest.approx(interval.low)
    assert value(table, "high", method="rw_boundary") == pytest.approx(interval.high)
    assert np.isnan(value(table, "p", method="rrw"))
    assert 0.05 < value(table, "p", method="rw_boundary") < 0.5


def test_whether_a_run_is_slow_does_not_depend_on_other_methods(unstable: Path) -> None:
    alone = report(unstable / "rw_boundary").convergence
    both = report(unstable).convergence
    assert value(both, "slow", method="rw_boundary") == alone["slow"].iloc[0] == 2


def test_a_loss_that_never_finds_a_rare_class_collapsed_and_one_that_finds_it_did_not(tmp_path: Path) -> None:
    """Most images lack the class, so that their own means say nothing of it."""
    for loss, common, rare in (("ce", 0.83, 0.0), ("dice", 0.5, 0.33)):
        path = write_run(tmp_path, loss, classes=("common", "rare"), cases=20) / "metrics" / "cases.csv"
        table = pd.read_csv(path)
        table["dice"] = np.where(table["class_name"] == "common", common, rare)
        absent = (table["class_name"] == "rare") & (table.index >= 8)
        table.loc[absent, ["dice", "hausdorff", "hausdorff95"]] = np.nan
        table.loc[absent, ["reference_voxels", "predicted_voxels"]] = 0
        missed = (table["class_name"] == "rare") & ~absent & (rare == 0)
        table.loc[missed, "predicted_voxels"] = 0
        table.loc[missed, "missed"] = 1
        table.to_csv(path, index=False)
    found = report(tmp_path)
    assert value(found.convergence, "collapsed", method="ce") == 1
    assert value(found.convergence, "collapsed", method="dice") == 0
    assert value(found.convergence, "slow", method="dice") == 0
    assert value(found.convergence, "dice", method="ce") == pytest.approx(0.83 / 2)
    assert value(found.convergence, "dice", method="dice") == pytest.approx((0.5 + 0.33) / 2)
    said = "\n".join(summary_sentences(found))
    assert "Runs that lost a class (mean Dice below 0.1): ce 1 of 1 [3%, 100%] (rare 1)." in said
    assert "Never predicted in any case: ce, seed 0: rare." in said


@pytest.mark.parametrize(("threshold", "slow"), [(0.0, [0, 0]), (0.3, [0, 0]), (0.95, [6, 6])])
def test_another_threshold_can_be_asked_for(unstable: Path, threshold: float, slow: list[int]) -> None:
    result = report(unstable, threshold=threshold)
    assert list(result.convergence["slow"]) == slow
    assert result.threshold == threshold
    assert any(f"is below {threshold:g} (--threshold)" in note for note in result.notes)


def test_a_threshold_that_is_no_dice_is_refused(unstable: Path) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1, got 90"):
        report(unstable, threshold=90.0)


def test_the_epoch_is_that_of_the_runs_that_converged(unstable: Path) -> None:
    # Dice reaches 1 - 2 ** -epoch of its end: within 0.02 of 0.9 (0.5) from epoch 6 (5) on
    table = report(unstable).convergence
    assert list(table["epoch"]) == [6, 6]
    assert np.isnan(report(unstable, threshold=1.0).convergence["epoch"]).all()


def test_a_run_without_any_validation_during_training_still_counts(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    path = folder / "metrics" / "epochs.csv"
    pd.read_csv(path)[["epoch", "seconds"]].to_csv(path, index=False)
    result = report(tmp_path)
    assert result.curves.empty
    assert list(result.convergence["collapsed"]) == [0]
    assert result.convergence[["epoch", "oscillation"]].isna().all(axis=None)


def test_curves_are_means_and_quantiles_over_runs(unstable: Path) -> None:
    every = report(unstable).curves
    curves = every[every["metric"] == "dice"]
    tables = [pd.read_csv(unstable / "rw_boundary" / "alone" / f"seed{seed}" / "metrics" / "epochs.csv")
              for seed in range(6)]  # fmt: skip
    assert sorted(curves["class_name"].unique()) == ["LV", "RV", "mean", "myocardium"]
    for name, column in (("mean", "val/dice"), ("myocardium", "val/dice_myocardium")):
        values = [table[column][3] for table in tables]
        row = curves[curves["class_name"] == name].query("method == 'rw_boundary' and epoch == 3").iloc[0]
        expected = [np.mean(values), *np.quantile(values, [0.05, 0.95]), 6]
        assert list(row[["mean", "low", "high", "runs"]]) == pytest.approx(expected)
    distance = np.mean([table["val/hausdorff_LV"][7] for table in tables])
    last = every.query("metric == 'hausdorff' and class_name == 'LV' and epoch == 7").set_index("method")
    assert last.loc["rw_boundary", "mean"] == pytest.approx(distance)


def test_the_distribution_counts_runs_with_a_band_around(unstable: Path) -> None:
    result = report(unstable)
    rows = result.distribution.query("method == 'rw_boundary'")
    final = result.per_run.query("method == 'rw_boundary' and class_name == 'mean' and metric == 'dice'")[
        "value"
    ]
    np.testing.assert_allclose(rows["value"], np.sort(final))
    np.testing.assert_allclose(rows["share"], np.arange(1, 7) / 6)
    half = np.sqrt(np.log(2 / 0.05) / 12)
    np.testing.assert_allclose(rows["high"], np.minimum(1, rows["share"] + half))
    np.testing.assert_allclose(rows["low"], np.maximum(0, rows["share"] - half))
