"""The tables of a report as text: the paper's layout, best values, ties, dashes, and LaTeX that compiles."""

import re
from pathlib import Path

import pytest
from small_report import ABSENT, MISSED, SPURIOUS, report, spoil, value
from synthetic import HEART, write_run
from test_markup import compile_latex

from rwseg.report.markup import TextTable, latex
from rwseg.report.printed import NOTHING, number, p_text, signed
from rwseg.report.tables import results, text_tables


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for loss, dice in (("rrw", 0.9), ("ce", 0.85), ("rw_boundary", 0.9)):
        for seed in range(4):
            write_run(tmp_path, loss, seed=seed, dice=dice)
    return tmp_path


def texts(table: TextTable) -> dict[str, list[str]]:
    return {
        row[0][0].text: [", ".join(piece.text for piece in cell) for cell in row[1:]] for row in table.rows
    }


def bold(table: TextTable, column: int, part: int) -> list[str]:
    return [row[0][0].text for row in table.rows if row[column][part].bold]


def test_results_have_the_layout_of_the_paper(study: Path) -> None:
    spoil(study / "ce" / "alone" / "seed0", "000_0", "LV", **MISSED)
    for case in ("000_0", "001_0"):
        spoil(study / "ce" / "alone" / "seed1", case, "RV", **SPURIOUS)
    comparison = report(study)
    table = results(comparison, "hausdorff", "results")
    assert table.columns == ("method", *HEART, "mean", "missed", "spurious", "runs")
    cells = texts(table)
    assert list(cells) == ["rrw", "ce", "rw_boundary"]
    for method, row in cells.items():
        assert all(
            re.fullmatch(r"0\.\d{3} ± 0\.\d{3}\*?, \d+\.\d\d ± \d+\.\d\d\*?", text) for text in row[:4]
        )
        mean = value(comparison.summary, "mean", method=method, class_name="RV", metric="dice")
        assert row[0].startswith(f"{mean:.3f} ±")
        assert row[4:] == (["1", "2", "4"] if method == "ce" else ["0", "0", "4"])
    assert "*" in cells["ce"][3]
    assert "*" not in "".join(cells["rrw"])
    assert bold(table, 4, 0) in (["rrw"], ["rw_boundary"])
    assert "missed and spurious structures have Dice 0 and no Hausdorff distance" in table.caption
    assert "differs from rrw" in table.caption


def test_the_best_is_the_highest_dice_and_the_lowest_distance(tmp_path: Path) -> None:
    for loss, dice in (("rrw", 0.8), ("ce", 0.9)):
        write_run(tmp_path, loss, dice=dice)
    table = results(report(tmp_path), "hausdorff", "results")
    assert bold(table, 1, 0) == ["ce"]
    assert bold(table, 1, 1) == ["ce"]  # made-up distances shrink as Dice grows


def test_ties_as_printed_are_all_bold_and_all_equal_is_nobody_best(tmp_path: Path) -> None:
    folders = [write_run(tmp_path, loss) for loss in ("rrw", "ce", "focal")]
    source = (folders[0] / "metrics" / "cases.csv").read_text()
    (folders[1] / "metrics" / "cases.csv").write_text(source)
    table = results(report(tmp_path), "hausdorff", "results")
    assert sorted(bold(table, 4, 0)) in (["ce", "rrw"], ["focal"])
    (folders[2] / "metrics" / "cases.csv").write_text(source)
    table = results(report(tmp_path), "hausdorff", "results")
    assert not [piece for row in table.rows for cell in row for piece in cell if piece.bold]


def test_a_structure_that_no_case_has_is_a_dash(tmp_path: Path) -> None:
    folder = write_run(tmp_path, cases=2)
    for case in ("000_0", "000_1"):
        spoil(folder, case, "RV", **ABSENT)
    assert texts(results(report(tmp_path), "hausdorff", "results"))["rrw"][0] == f"{NOTHING}, {NOTHING}"


def test_the_only_class_is_not_repeated_as_the_mean(tmp_path: Path) -> None:
    write_run(tmp_path, classes=("lesion",))
    assert results(report(tmp_path), "hausdorff", "x").columns == (
        "method",
        "lesion",
        "missed",
        "spurious",
        "runs",
    )


def test_every_table_says_what_the_comparison_holds(study: Path) -> None:
    comparison = report(study)
    tables = {table.name: table for table in text_tables(comparison)}
    assert list(tables) == [
        "results", "results_hd95", "over_seeds", "tests", "phases", "convergence", "cost", "settings",
    ]  # fmt: skip
    for table in tables.values():
        assert all(len(row) == len(table.columns) for row in table.rows), table.name
    assert len(tables["tests"].rows) == 2 * 4 * 3
    phases = texts(tables["phases"])["ce"]
    assert tables["phases"].columns[1:3] == ("RV Dice", "RV HD mm")
    means = comparison.phases.query("method == 'ce' and class_name == 'RV' and metric == 'dice'")["mean"]
    assert phases[0] == "/".join(f"{mean:.3f}" for mean in means)
    final = comparison.per_run.query("method == 'rrw' and class_name == 'mean' and metric == 'dice'")["value"]
    assert texts(tables["convergence"])["rrw"][:2] == [
        f"{final.mean():.3f} ± {final.std(ddof=1):.3f}",
        "0 of 4",
    ]
    assert tables["tests"].columns[5:] == ("cases", "subjects", "p", "p by subject", "Holm p", "p over runs")
    assert texts(tables["cost"])["rrw"][1:3] == ["6:00", "50.0"]


def test_one_method_alone_leaves_out_tests_and_settings(tmp_path: Path) -> None:
    write_run(tmp_path, phases=())
    names = [table.name for table in text_tables(report(tmp_path))]
    assert names == ["results", "results_hd95", "convergence", "cost"]


def test_one_value_has_no_deviation(tmp_path: Path) -> None:
    write_run(tmp_path, cases=1)
    comparison = report(tmp_path)
    for table in text_tables(comparison):
        assert not any("±" in text for row in texts(table).values() for text in row), table.name


def test_all_tables_compile(study: Path, tmp_path: Path) -> None:
    tables = [latex(table) for table in text_tables(report(study))]
    log = compile_latex(tmp_path, tables)
    assert "Overfull \\hbox" not in log


@pytest.mark.parametrize(
    ("amount", "digits", "text"),
    [(0.0123, 3, "+0.012"), (-0.0123, 3, "\N{MINUS SIGN}0.012"), (-0.0001, 3, "0.000"), (0.0, 2, "0.00")],
)
def test_differences_carry_their_sign(amount: float, digits: int, text: str) -> None:
    assert signed(amount, digits) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [(1.0, "1.000"), (0.0499, "0.0499"), (0.0501, "0.050"), (0.00049, "0.0005"), (3e-6, "3e-06")],
)
def test_p_values_are_never_printed_as_0(p: float, text: str) -> None:
    assert p_text(p) == text


def test_what_is_not_known_is_a_dash() -> None:
    nothing = float("nan")
    assert {number(nothing, 2), signed(nothing, 2), p_text(nothing)} == {NOTHING}
