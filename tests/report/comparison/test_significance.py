"""The tests of a report against the functions of rwseg.statistics and SciPy on hand-picked arrays."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import permutation_test
from small_report import ABSENT, MISSED, array, report, spoil, value
from synthetic import write_run

from rwseg.report.tables import differences
from rwseg.statistics import holm, mean_interval, paired_permutation_test


def over_runs(folders: list[Path], metric: str) -> np.ndarray:
    return np.nanmean(array(folders, metric), axis=0)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, list[Path]]:
    return {
        loss: [write_run(tmp_path, loss, seed=seed, dice=dice) for seed in range(4)]
        for loss, dice in (("rrw", 0.90), ("ce", 0.87), ("dice", 0.899))
    }


def test_pairs_are_cases_averaged_over_runs(folders: dict[str, list[Path]], tmp_path: Path) -> None:
    tests = report(tmp_path).tests
    for metric in ("dice", "hausdorff"):
        x, y = (over_runs(folders[loss], metric)[:, 2] for loss in ("ce", "rrw"))
        keys = {"method": "ce", "class_name": "LV", "metric": metric}
        assert value(tests, "pairs", **keys) == 8
        assert value(tests, "difference", **keys) == pytest.approx((x - y).mean())
        assert value(tests, "p", **keys) == paired_permutation_test(x, y)


def test_a_subject_is_the_unit_of_intervals_and_of_holm_p(
    folders: dict[str, list[Path]], tmp_path: Path
) -> None:
    tests = report(tmp_path).tests
    x, y = (over_runs(folders[loss], "dice")[:, 2] for loss in ("ce", "rrw"))
    differences = (x - y).reshape(4, 2)  # two phases per subject
    keys = {"method": "ce", "class_name": "LV", "metric": "dice"}
    assert value(tests, "subjects", **keys) == 4
    exact = [abs(np.dot(signs, differences.sum(1))) >= abs(differences.sum()) - 1e-12
             for signs in product((1, -1), repeat=4)]  # fmt: skip
    assert value(tests, "p_subjects", **keys) == np.mean(exact)
    bounds = value(tests, "low", **keys), value(tests, "high", **keys)
    # rounding decides how resamples that tie with the mean count
    assert bounds == pytest.approx(mean_interval(differences.mean(1)), rel=1e-3)


def test_without_several_cases_per_subject_there_is_one_p(tmp_path: Path) -> None:
    for loss in ("rrw", "ce"):
        write_run(tmp_path, loss, phases=())
    comparison = report(tmp_path)
    assert list(comparison.tests["p_subjects"]) == list(comparison.tests["p"])
    assert "p by subject" not in differences(comparison).columns


def test_the_run_test_compares_means_of_runs(folders: dict[str, list[Path]], tmp_path: Path) -> None:
    x, y = (array(folders[loss], "dice").mean((1, 2)) for loss in ("dice", "rrw"))
    exact = permutation_test((x, y), lambda a, b: abs(a.mean() - b.mean()), alternative="greater")
    found = value(report(tmp_path).tests, "p_runs", method="dice", class_name="mean", metric="dice")
    assert found == pytest.approx(exact.pvalue)


def test_holm_is_over_methods_and_classes_of_a_metric(folders: dict[str, list[Path]], tmp_path: Path) -> None:
    tests = report(tmp_path).tests
    for _, same in tests.groupby("metric"):
        assert len(same) == 2 * 4
        np.testing.assert_allclose(same["p_holm"], holm(same["p_subjects"]))
    assert list(tests["stars"]) == ["*" if p < 0.05 else "" for p in tests["p"]]
    assert set(tests["stars"]) == {"*", ""}


def test_a_case_that_one_side_lacks_drops_out_of_its_pair(
    folders: dict[str, list[Path]], tmp_path: Path
) -> None:
    for folder in folders["ce"]:
        spoil(folder, "000_0", "LV", **MISSED)
    spoil(folders["ce"][0], "000_1", "LV", **MISSED)  # three other runs have a value
    for runs in folders.values():
        for folder in runs:
            spoil(folder, "001_0", "LV", **ABSENT)
    tests = report(tmp_path).tests
    pairs = {metric: value(tests, "pairs", method="ce", class_name="LV", metric=metric)
             for metric in ("dice", "hausdorff")}  # fmt: skip
    assert pairs == {"dice": 7, "hausdorff": 6}


def test_without_pairs_there_is_no_number(tmp_path: Path) -> None:
    for loss in ("rrw", "ce"):
        for case in range(8):
            folder = tmp_path / loss / "alone" / "seed0"
            if not folder.is_dir():
                write_run(tmp_path, loss)
            spoil(folder, f"{case // 2:03}_{case % 2}", "RV", **ABSENT)
    row = report(tmp_path).tests.query("class_name == 'RV' and metric == 'dice'").iloc[0]
    assert row["pairs"] == 0
    assert row["stars"] == ""
    assert row[["difference", "low", "high", "p", "p_holm", "p_runs"]].isna().all()


@pytest.mark.parametrize(("rrw", "ce", "enough"), [(1, 5, False), (3, 3, False), (3, 4, True), (4, 4, True)])
def test_runs_are_tested_where_they_could_differ_significantly(
    tmp_path: Path, rrw: int, ce: int, enough: bool
) -> None:
    for loss, count in (("rrw", rrw), ("ce", ce)):
        for seed in range(count):
            write_run(tmp_path, loss, seed=seed, cases=4)
    p = report(tmp_path).tests["p_runs"]
    assert p.notna().all() == enough
    assert p.notna().any() == enough


def test_one_method_has_no_tests(tmp_path: Path) -> None:
    write_run(tmp_path)
    assert report(tmp_path).tests.empty
    assert isinstance(report(tmp_path).tests, pd.DataFrame)
