"""Distances in pixels: no heading, axis or caption of a report calls them millimetres."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import study
from matplotlib.text import Text
from synthetic import write_run

from rwseg.report.comparison.comparison import Comparison
from rwseg.report.figures.all_figures import DRAWINGS, Drawing
from rwseg.report.figures.style import styled
from rwseg.report.files import report_text, write_tables
from rwseg.report.html.page import write_page
from rwseg.report.tables import text_tables

MILLIMETRES = re.compile(r"\bmm\b|millimet", re.IGNORECASE)


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("pixels")
    for loss in ("rrw", "ce"):
        for seed in range(2):
            cases = write_run(folder, loss, seed=seed, cases=4) / "metrics" / "cases.csv"
            cases.write_text(cases.read_text().replace(",mm,", ",px,"))
    comparison = study.read(folder)
    study.add_reliability(comparison)
    return study.again(comparison)


@pytest.mark.parametrize("drawing", DRAWINGS, ids=[drawing.name for drawing in DRAWINGS])
def test_figures(comparison: Comparison, drawing: Drawing) -> None:
    with styled():
        figure = drawing.draw(comparison)
        assert figure is not None
        figure.draw_without_rendering()
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert not [text for text in (*texts, drawing.caption_of(comparison)) if MILLIMETRES.search(text)]
    if drawing.name in ("curves_hausdorff", "differences"):
        assert any("HD px" in text for text in texts)


def test_tables_and_report(comparison: Comparison, tmp_path: Path) -> None:
    tables = text_tables(comparison)
    texts = {path.name: path.read_text() for path in write_tables(comparison, tables, tmp_path)}
    texts["report.md"] = report_text(comparison, tables, {})
    assert not [name for name, text in texts.items() if MILLIMETRES.search(text)]
    for name in ("phases.md", "tests.md", "results.tex", "results_onecolumn.tex", "report.md"):
        assert "HD px" in texts[name], name
    assert "HD95 px" in texts["results_hd95.tex"]
    for name in ("results.csv", "tests.csv", "per_run.csv", "over_seeds.csv", "curves.csv"):
        assert ",px" in texts[name], name


class Words(HTMLParser):
    """What a reader of a page sees, labels and titles among it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.hidden = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden = tag == "style"
        self.found += [value for name, value in attrs if name in ("aria-label", "title", "alt") and value]

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.found.append(data)


def test_the_page(comparison: Comparison, tmp_path: Path) -> None:
    words = Words(write_page(comparison, {}, tmp_path).read_text()).found
    assert not [text for text in words if MILLIMETRES.search(text)]
    assert sum("HD px" in text for text in words) >= 4
