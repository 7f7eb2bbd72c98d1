"""Calibration of methods over their runs: means over runs, bins pooled over pixels, and runs without any."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import study
from synthetic import write_run

from rwseg.core.errors import RunError
from rwseg.report.calibration_table import calibration
from rwseg.report.comparison.calibration import calibration_tables
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.files import write_report


@pytest.fixture
def two(tmp_path: Path) -> Comparison:
    """Two losses of three seeds, all with their bins; the second is too sure."""
    for loss in ("rrw", "ce"):
        for seed in range(3):
            write_run(tmp_path / "runs", loss, seed=seed)
    comparison = study.read(tmp_path / "runs")
    study.add_reliability(comparison)
    return study.again(comparison)


def file_of(comparison: Comparison, place: int, seed: int) -> Path:
    return comparison.methods[place].runs[seed].folder / "metrics" / "reliability.csv"


def error_of(table: pd.DataFrame) -> float:
    """By the formula, bin by bin."""
    held = [row for row in table.to_dict("records") if row["pixels"]]
    total = sum(row["pixels"] for row in held)
    return sum(row["pixels"] / total * abs(row["accuracy"] - row["confidence"]) for row in held)


def test_errors_are_means_over_runs_and_bins_are_pooled(two: Comparison) -> None:
    for place, method in enumerate(two.methods):
        tables = [pd.read_csv(file_of(two, place, seed)) for seed in range(3)]
        row = two.calibration.set_index("method").loc[method.name]
        errors = [error_of(table) for table in tables]
        assert row["ece"] == pytest.approx(np.mean(errors))
        assert row["ece_std"] == pytest.approx(np.std(errors, ddof=1))
        assert (row["runs"], row["of"]) == (3, 3)
        bins = two.reliability[two.reliability["method"] == method.name]
        pixels = np.sum([table["pixels"] for table in tables], axis=0)
        sums = np.nansum([table["pixels"] * table["accuracy"] for table in tables], axis=0)
        np.testing.assert_array_equal(bins["pixels"], pixels)
        np.testing.assert_allclose(bins["accuracy"][pixels > 0], sums[pixels > 0] / pixels[pixels > 0])
    exact, sure = two.calibration.set_index("method").loc[["rrw", "ce"], "overconfidence"]
    assert exact == pytest.approx(0, abs=1e-3)
    assert sure == pytest.approx(0.15, abs=1e-3)


@pytest.mark.slow
def test_runs_that_lack_it_are_counted_and_methods_named(two: Comparison, tmp_path: Path) -> None:
    file_of(two, 0, 1).unlink()
    for seed in range(3):
        file_of(two, 1, seed).unlink()
    partly = study.again(two)
    assert partly.calibration["method"].tolist() == ["rrw"]
    table = calibration(partly)
    assert table.rows[0][3][0].text == "2 of 3"
    assert table.caption.endswith("Without metrics/reliability.csv: ce.")
    for seed in (0, 2):
        file_of(two, 0, seed).unlink()
    nothing = study.again(two)
    assert nothing.calibration.empty
    assert nothing.reliability.empty
    write_report(partly, tmp_path / "out")
    assert (tmp_path / "out" / "tables" / "calibration.tex").is_file()
    assert len(pd.read_csv(tmp_path / "out" / "tables" / "reliability.csv")) == 15
    write_report(nothing, tmp_path / "out")
    for place in ("tables", "figures"):
        assert not [path for path in (tmp_path / "out" / place).iterdir() if "calib" in path.name]
    for name in ("index.html", "report.md"):
        assert "There is no calibration" in (tmp_path / "out" / name).read_text()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda table: table.head(7), "expected 15 bins"),
        (lambda table: table.assign(accuracy=table["accuracy"] * 2), "from 0 to 1"),
        (lambda table: table.assign(confidence=np.nan), "from 0 to 1"),
        (lambda table: table.drop(columns="pixels"), "expected the table of a training"),
        (lambda table: table.assign(pixels="many"), "expected the table of a training"),
    ],
)
def test_a_faulty_table_is_named(two: Comparison, spoil: object, words: str) -> None:
    path = file_of(two, 1, 2)
    spoil(pd.read_csv(path)).to_csv(path, index=False)  # type: ignore[operator]
    with pytest.raises(RunError, match=rf"reliability\.csv: .*{words}"):
        calibration_tables(two.methods)
