"""The figures of a report: they show the numbers, nothing covers anything, and bytes repeat."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import study
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image
from synthetic import write_run

from rwseg.report.comparison.comparison import Comparison
from rwseg.report.figures.all_figures import DRAWINGS, draw_figures
from rwseg.report.figures.over_epochs import training_figure
from rwseg.report.figures.over_runs import distribution_figure
from rwseg.report.figures.save import FORMATS, save_figure
from rwseg.report.figures.style import MOST_IN_A_PANEL, blocks, looks, styled

NAMES = [drawing.name for drawing in DRAWINGS]

pytestmark = pytest.mark.xdist_group("studies")


DRAWN: dict[tuple[str, str, int], Figure] = {}
"""Figures by name, reference and number of methods: made once, as the studies are. Read only."""


def drawn(name: str, comparison: Comparison) -> Figure:
    key = (name, comparison.reference, len(comparison.methods))
    if key not in DRAWN:
        with styled():
            figure = next(drawing for drawing in DRAWINGS if drawing.name == name).draw(comparison)
            assert figure is not None
            figure.draw_without_rendering()
        DRAWN[key] = figure
    return DRAWN[key]


def lines(axes: Axes) -> dict[str, Line2D]:
    return {str(line.get_label()): line for line in axes.lines if not str(line.get_label()).startswith("_")}


@pytest.mark.slow
def test_every_figure_is_written_in_all_formats_and_the_same_every_time(
    three: Comparison, page_of_three: Path, tmp_path: Path
) -> None:
    paths = draw_figures(three, tmp_path)
    assert list(paths) == NAMES
    for path in paths.values():
        for suffix in FORMATS:
            file = path.with_suffix(f".{suffix}")
            assert file.read_bytes() == (page_of_three.parent / "figures" / file.name).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_files_are_in_the_size_of_a_journal(name: str, page_of_three: Path) -> None:
    folder = page_of_three.parent / "figures"
    with Image.open(folder / f"{name}.png") as picture:
        assert picture.mode == "P"
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        inches = picture.width / 300
    assert 25.4 * inches == pytest.approx(88, abs=0.1) or 25.4 * inches == pytest.approx(180, abs=0.1)
    root = ElementTree.parse(folder / f"{name}.svg").getroot()
    assert float(root.attrib["width"].removesuffix("pt")) == pytest.approx(72 * inches, abs=1)
    content = (folder / f"{name}.pdf").read_bytes()
    (box,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content)
    assert float(box[0]) == pytest.approx(72 * inches, abs=1)


@pytest.mark.parametrize("name", NAMES)
def test_a_pdf_is_of_vectors_and_embedded_outlines(name: str, page_of_three: Path) -> None:
    content = (page_of_three.parent / "figures" / f"{name}.pdf").read_bytes()
    assert b"/Subtype /CIDFontType2" in content
    assert b"/Subtype /Type3" not in content
    assert content.count(b"/FontFile2") == content.count(b"/Type /FontDescriptor") > 0
    assert b"/Subtype /Image" not in content
    assert b"Date" not in content


STUDIES = ["three", *(pytest.param(one, marks=pytest.mark.slow) for one in ("fourteen", "long"))]


@pytest.mark.parametrize("study_name", STUDIES)
@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_below_six_points_in_print(
    name: str, study_name: str, request: pytest.FixtureRequest
) -> None:
    figure = drawn(name, request.getfixturevalue(study_name))
    assert float(figure.get_figwidth()) * 25.4 in (pytest.approx(88), pytest.approx(180))
    assert figure.get_figheight() * 25.4 < 240  # a page
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 6


def test_numbers_in_texts_of_an_svg_are_not_cut(three: Comparison, tmp_path: Path) -> None:
    with styled():
        figure = distribution_figure(replace(three, threshold=0.7))
        assert figure is not None
        path = save_figure(figure, "Distribution", tmp_path, "distribution")
    assert "slow below 0.700<" in path.with_suffix(".svg").read_text()


@pytest.mark.slow
def test_a_figure_without_numbers_is_left_out(three: Comparison, tmp_path: Path) -> None:
    assert draw_figures(study.nothing(three), tmp_path / "none") == {}
    assert not (tmp_path / "none").exists()
    one = study.one_run(tmp_path / "runs")
    assert list(draw_figures(one, tmp_path / "one")) == [
        "curves",
        "curves_hausdorff",
        "training",
        "cases",
        "collapses",
        "cost",
    ]


@pytest.mark.parametrize("study_name", STUDIES)
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


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_names_of_rows_do_not_overlap(name: str, long: Comparison) -> None:
    for axes in drawn(name, long).axes:
        labels = [label for label in axes.get_yticklabels() if label.get_text()]
        boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.y0)
        assert all(low.y1 <= high.y0 + 0.5 for low, high in pairwise(boxes))


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


def test_training_losses_are_means_over_runs_in_panels_of_their_own(three: Comparison) -> None:
    figure = drawn("training", three)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 6
    for column, method in enumerate(three.methods):
        for axes, name in zip(shown[column::3], ("train/loss", "train/loss_gap"), strict=True):
            values = np.mean([run.epochs[name] for run in method.runs if run.epochs is not None], axis=0)
            (line,) = axes.lines
            kept = values > 0 if name == "train/loss_gap" else np.full(len(values), True)
            assert kept.any()
            np.testing.assert_allclose(line.get_xdata(), np.arange(1, len(values) + 1)[kept])
            np.testing.assert_allclose(line.get_ydata(), values[kept])
    assert [axes.get_yscale() for axes in shown] == ["linear"] * 3 + ["log"] * 3


def test_a_loss_without_a_finite_value_or_a_gap_has_an_empty_panel(tmp_path: Path) -> None:
    epochs = write_run(tmp_path) / "metrics" / "epochs.csv"
    table = pd.read_csv(epochs).assign(**{"train/loss_gap": 0.0})
    table.loc[1, "train/loss"] = np.inf
    table.to_csv(epochs, index=False)
    with styled():
        figure = training_figure(study.read(tmp_path))
        assert figure is not None
        figure.draw_without_rendering()
    above, below = figure.axes
    assert list(above.lines[0].get_xdata()) == [1, 3, 4, 5, 6]
    assert not below.lines


def test_without_epochs_there_are_no_training_losses(tmp_path: Path) -> None:
    (write_run(tmp_path) / "metrics" / "epochs.csv").unlink()
    comparison = study.read(tmp_path)
    assert comparison.training.empty
    assert training_figure(comparison) is None


@pytest.mark.slow
def test_many_methods_are_split_over_rows_with_the_reference_in_each(fourteen: Comparison) -> None:
    figure = drawn("curves", fourteen)
    panels = [list(lines(axes)) for axes in figure.axes if axes.get_title(loc="left") == "LV"]
    assert all(len(panel) <= MOST_IN_A_PANEL + 1 and panel[0] == "rrw" for panel in panels)
    others = [name for panel in panels for name in panel[1:]]
    assert others == [method.name for method in fourteen.methods[1:]]


@pytest.mark.slow
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
    assert len(files) == len(FORMATS) * len(NAMES)
    assert sum(path.stat().st_size for path in files) < 2_500_000
