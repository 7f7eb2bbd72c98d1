"""The results in LaTeX: their cells are those of the table, in columns of their own, and fit a journal."""

import re
from pathlib import Path

import numpy as np
import pytest
from small_report import ABSENT, report, spoil
from synthetic import HEART, write_run
from test_markup import compile_latex

from rwseg.report.comparison.comparison import Comparison
from rwseg.report.latex_results import results_one_column, results_two_columns
from rwseg.report.tables import results


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """Four methods, one with a long name; a class that no case has, distances above ten and below."""
    for loss, strategy, settings in (
        ("rrw", "alone", {}),
        ("ce", "alone", {}),
        ("rw_boundary", "gradual_dice", {"loss.rectify": True}),
        ("rw_boundary", "alone", {}),
    ):
        for seed, dice in ((0, 0.7), (1, 0.9)):
            lower = 0.4 if loss == "rw_boundary" else 0.0
            write_run(tmp_path / "runs", loss, strategy, seed, dice=dice - lower, settings=settings)
    return report(tmp_path / "runs")


def rows(text: str) -> list[list[str]]:
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    return [[cell.strip() for cell in line.removesuffix(r" \\").split(" & ")] for line in body]


def plain(cell: str) -> tuple[str, bool]:
    """A cell as the text has it, and whether it is bold."""
    text = cell.removeprefix(r"\bfseries ").replace(r"{\rlap{\textsuperscript{*}}}", "*").replace("+-", "±")
    return text.replace("{--}", "\N{EN DASH}"), cell.startswith(r"\bfseries ")


def test_two_columns_hold_what_the_table_holds(comparison: Comparison) -> None:
    text = results_two_columns(comparison, "hausdorff", "results")
    shown = [[plain(cell) for cell in row[1:-1]] for row in rows(text)]
    table = results(comparison, "hausdorff", "results")
    expected = [[(one.text, one.bold) for cell in row[1:-3] for one in cell] for row in table.rows]
    assert shown == expected
    assert sum(bold for row in shown for _, bold in row) >= 8
    assert any("*" in cell for row in shown for cell, _ in row)
    groups, headings = re.findall(r"^(.*&.*) \\\\$", text.split(r"\midrule")[0], re.MULTILINE)
    assert re.findall(r"multicolumn\{2\}\{c\}\{(\w+)\}", groups) == [*HEART, "mean"]
    assert headings == " & ".join(["{method}", *["{Dice}", "{HD mm}"] * 4, "{spurious}"])
    assert text.count(r"\cmidrule") == 4
    assert r"\begin{table*}" in text
    assert r"\label{tab:results}" in text


def test_a_column_has_room_for_its_longest_number(comparison: Comparison) -> None:
    text = results_two_columns(comparison, "hausdorff", "results")
    columns = re.findall(r"S\[table-format=(\d)\.(\d)\((\d)\)\]", text)
    for i, (before, after, deviation) in enumerate(columns):
        for row in rows(text):
            number, spread = (part.strip() for part in plain(row[1 + i])[0].rstrip("*").split("±"))
            assert len(number.partition(".")[0]) <= int(before)
            assert len(number.partition(".")[2]) == int(after)
            assert len(str(int(spread.replace(".", "")))) <= int(deviation)
    assert ("2", "2") in {column[:2] for column in columns}


def test_one_column_has_the_mean_and_the_dice_of_each_class(comparison: Comparison) -> None:
    text = results_one_column(comparison, "hausdorff", "results_onecolumn")
    summary = comparison.summary.query("metric == 'dice'").set_index(["method", "class_name"])["mean"]
    for method, row in zip(comparison.methods, rows(text), strict=True):
        assert len(row) == 6
        for name, cell in zip(HEART, row[3:], strict=True):
            assert plain(cell)[0].rstrip("*") == f"{summary[method.name, name]:.3f}"
    assert r"\begin{table}" in text
    assert r"rw\_boundary +\\dice, gradual,\\rectified" in text


def test_one_class_many_classes_and_no_value(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "one", classes=("lesion",), cases=2)
    for case in ("000_0", "000_1"):
        spoil(folder, case, "lesion", **{**ABSENT, "dice": 0.5})
    one = report(tmp_path / "one")
    for written in (results_one_column, results_two_columns):
        ((_, dice, distance, *_),) = rows(written(one, "hausdorff", "results"))
        assert (dice, distance) == ("0.500 +- 0.000", "{--}")
    write_run(tmp_path / "many", classes=[f"organ_{k}" for k in range(9)])
    text = results_two_columns(report(tmp_path / "many"), "hausdorff", "results")
    assert text.count(r"\begin{tabular}") == 3
    assert text.count("continued") == 2
    assert re.findall(r"c}{(organ\\_\d)}", text) == [rf"organ\_{k}" for k in range(9)]
    assert "organ" not in results_one_column(report(tmp_path / "many"), "hausdorff", "results")


@pytest.mark.parametrize("document", ["[twocolumn]{article}", "{article}"])
def test_they_fit_a_journal(comparison: Comparison, tmp_path: Path, document: str) -> None:
    tables = [
        written(comparison, distance, f"{distance}{i}")
        for distance in ("hausdorff", "hausdorff95")
        for i, written in enumerate((results_two_columns, results_one_column))
    ]
    log = compile_latex(tmp_path, tables, document)
    assert "Overfull" not in log
    assert "Float too large" not in log
    assert "LaTeX Error" not in log


def test_distances_in_pixels_say_so(tmp_path: Path) -> None:
    cases = write_run(tmp_path) / "metrics" / "cases.csv"
    cases.write_text(cases.read_text().replace(",mm,", ",px,"))
    text = results_two_columns(report(tmp_path), "hausdorff95", "results_hd95")
    assert "{HD95 px}" in text
    assert not re.search(r"\bmm\b", text)
    assert np.isfinite(float(rows(text)[0][2].split()[0]))
