"""The figures of a report: they show the numbers, nothing covers anything, and bytes repeat."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import study
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from PIL import Image

from rwseg.report.comparison.comparison import Comparison
from rwseg.report.figures.all_figures import DRAWINGS, draw_figures
from rwseg.report.figures.style import MOST_IN_A_PANEL, blocks, looks, styled

NAMES = [drawing.name for drawing in DRAWINGS]

pytestmark = pytest.mark.xdist_group("studies")


DRAWN: dict[tuple[str, int], Figure] = {}
"""Figures by name and number of methods: the studies are made once, and so are these. Read only."""


def drawn(name: str, comparison: Comparison) -> Figure:
    key = (name, len(comparison.methods))
    if key not in DRAWN:
        with styled():
            figure = next(drawing for drawing in DRAWINGS if drawing.name == name).draw(comparison)
            assert figure is not None
            figure.draw_without_rendering()
        DRAWN[key] = figure
    return DRAWN[key]


def lines(axes: Axes) -> dict[str, Line2D]:
    return {str(line.get_label()): line for line in axes.lines if not str(line.get_label()).startswith("_")}


def test_every_figure_is_a_png_and_an_svg_and_the_same_every_time(
    three: Comparison, page_of_three: Path, tmp_path: Path
) -> None:
    paths = draw_figures(three, tmp_path)
    assert list(paths) == NAMES
    for path in paths.values():
        with Image.open(path) as picture:
            assert min(picture.size) > 200
        assert ElementTree.parse(path.with_suffix(".svg")).getroot().tag.endswith("svg")
        for name in (path.name, f"{path.stem}.svg"):
            assert (tmp_path / name).read_bytes() == (page_of_three.parent / "figures" / name).read_bytes()


def test_numbers_in_texts_of_an_svg_are_not_cut(three: Comparison, tmp_path: Path) -> None:
    drawn = draw_figures(replace(three, threshold=0.7), tmp_path)
    assert "slow below 0.700<" in drawn["distribution"].with_suffix(".svg").read_text()


def test_a_figure_without_numbers_is_left_out(three: Comparison, tmp_path: Path) -> None:
    assert draw_figures(study.nothing(three), tmp_path / "none") == {}
    assert not (tmp_path / "none").exists()
    one = study.one_run(tmp_path / "runs")
    assert list(draw_figures(one, tmp_path / "one")) == [
        "curves",
        "curves_hausdorff",
        "cases",
        "collapses",
        "cost",
    ]


@pytest.mark.parametrize("study_name", ["three", "fourteen"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_covered_or_cut_off(name: str, study_name: str, request: pytest.FixtureRequest) -> None:
    figure = drawn(name, request.getfixturevalue(study_name))
    inside = [axes.get_window_extent() for axes in figure.axes if axes.get_visible()]
    for legend in figure.findobj(Legend):
        assert not any(legend.get_window_extent().overlaps(panel) for panel in inside)
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) > -0.02
    assert box.x1 < width + 0.02
    assert box.y1 < height + 0.02


def test_curves_are_the_means_of_the_runs(three: Comparison) -> None:
    figure = drawn("curves", three)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["mean over classes", *three.classes]
    for method in three.methods:
        for axes, column in zip(
            figure.axes, ("val/dice", *(f"val/dice_{c}" for c in three.classes)), strict=True
        ):
            values = np.mean([run.epochs[column] for run in method.runs if run.epochs is not None], axis=0)
            line = lines(axes)[method.name]
            np.testing.assert_allclose(line.get_xdata(), np.arange(1, len(values) + 1))
            np.testing.assert_allclose(line.get_ydata(), values)


def test_many_methods_are_split_over_rows_with_the_reference_in_each(fourteen: Comparison) -> None:
    figure = drawn("curves", fourteen)
    panels = [list(lines(axes)) for axes in figure.axes if axes.get_title(loc="left") == "LV"]
    assert all(len(panel) <= MOST_IN_A_PANEL + 1 and panel[0] == "rrw" for panel in panels)
    others = [name for panel in panels for name in panel[1:]]
    assert others == [method.name for method in fourteen.methods[1:]]


def test_methods_of_a_panel_differ_in_colour_and_in_line(fourteen: Comparison) -> None:
    names = [method.name for method in fourteen.methods]
    found = looks(names, "rrw")
    assert len({(look.colour, str(look.line), look.marker) for look in found.values()}) == 14
    for panel in blocks(names, "rrw"):
        for feature in zip(*(found[name] for name in panel), strict=True):
            assert len({str(one) for one in feature}) == len(panel)


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (2, [2]), (6, [6]), (7, [4, 4]), (14, [6, 5, 5])])
def test_blocks_are_filled_evenly(count: int, sizes: list[int]) -> None:
    names = [f"m{i}" for i in range(count)]
    found = blocks(names, "m0")
    assert [len(block) for block in found] == sizes
    assert sorted({name for block in found for name in block}) == sorted(names)
    assert all("m0" not in block for block in blocks(names[1:], "m0"))


def test_distribution_counts_runs(three: Comparison) -> None:
    (axes,) = drawn("distribution", three).axes
    for method in three.methods:
        means = [
            run.cases.groupby("case")["dice"].mean().mean() for run in method.runs if run.cases is not None
        ]
        x, y = (np.asarray(data, float) for data in lines(axes)[method.name].get_data())
        for value in np.linspace(*axes.get_xlim(), 50)[1:-1]:
            there = np.flatnonzero(x <= value)[-1]
            assert y[there] == pytest.approx(np.mean(np.array(means) <= value))


def test_a_case_keeps_its_height_in_all_rows(three: Comparison) -> None:
    figure = drawn("cases", three)
    for axes, name in zip(figure.axes, three.classes, strict=True):
        points = [
            np.asarray(one.get_offsets(), float) for one in axes.collections if one.get_offsets().shape[0] > 1
        ]
        assert len(points) == 3
        for row, (method, xy) in enumerate(zip(three.methods, points, strict=True)):
            np.testing.assert_allclose(xy[:, 1] - row, points[0][:, 1])
            tables = [run.cases for run in method.runs if run.cases is not None]
            expected = np.mean([t[t["class_name"] == name].set_index("case")["dice"] for t in tables], axis=0)
            np.testing.assert_allclose(np.sort(xy[:, 0]), np.sort(expected))
        assert (np.argsort(points[0][:, 0]) == np.argsort(-points[0][:, 1])).all()  # the best on top


def test_differences_are_those_of_the_tests_and_filled_where_sure(three: Comparison) -> None:
    figure = drawn("differences", three)
    table = three.tests[three.tests["metric"].isin(["dice", "hausdorff"])]
    points = [
        (line.get_xdata()[0], line.get_markerfacecolor() == line.get_color())
        for axes in figure.axes
        for line in axes.lines
        if line.get_marker() in "oDs"
    ]
    np.testing.assert_allclose(sorted(x for x, _ in points), np.sort(table["difference"].to_numpy()))
    assert sum(filled for _, filled in points) == (table["p_holm"] < 0.05).sum() > 0


def test_collapses_show_share_and_count(three: Comparison) -> None:
    (axes,) = drawn("collapses", three).axes
    assert [text.get_text() for text in axes.texts] == ["0 of 4", "1 of 4", "0 of 4"]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"] == [0, 0.25, 0]


def test_reliability_shows_the_pooled_bins(three: Comparison) -> None:
    upper, lower = drawn("reliability", three).axes
    assert next(iter(lines(upper))) == "as right as sure"
    for method in three.methods:
        bins = three.reliability[three.reliability["method"] == method.name].dropna()
        line = lines(upper)[method.name]
        np.testing.assert_allclose(line.get_xdata(), bins["confidence"])
        np.testing.assert_allclose(line.get_ydata(), bins["accuracy"])
    shares = [patch.get_data().values.sum() for patch in lower.patches]
    np.testing.assert_allclose(shares, [1, 1, 1])


@pytest.mark.slow
def test_figures_of_many_methods_stay_small(page_of_fourteen: Path) -> None:
    files = list((page_of_fourteen.parent / "figures").iterdir())
    assert len(files) == 22
    assert sum(path.stat().st_size for path in files) < 1_180_000
