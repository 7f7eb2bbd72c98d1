"""The page: well formed, self-contained, small, and every number on it leads to the cases it is made of."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import study

from rwseg.core.errors import RunError
from rwseg.core.progress import duration
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.same_cases import same_cases
from rwseg.report.figures.same_case import titles
from rwseg.report.html.case_pictures import LARGEST_PICTURE, MOST_BYTES, gallery
from rwseg.report.html.page import write_page
from rwseg.report.html.same_case_pictures import MOST_BYTES as SAME_CASE_BYTES
from rwseg.report.html.same_case_pictures import same_case_rows
from rwseg.report.html.svg import inline_svg
from rwseg.report.printed import NOTHING

pytestmark = pytest.mark.xdist_group("studies")

VOID = {"meta", "link", "img", "br", "input", "hr"}


class Reader(HTMLParser):
    """Collects elements with their attributes and texts; refuses tags that are not closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"{tag} has an attribute twice"
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="session")
def text(page_of_three: Path) -> str:
    return page_of_three.read_text()


@pytest.fixture(scope="session")
def page(text: str) -> Reader:
    return Reader(text)


def case_data(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="cases-data">(.*?)</script>', text)
    assert found is not None
    data = json.loads(found[1])
    assert isinstance(data, dict)
    return data


def test_names_are_unique_and_links_lead_somewhere(page: Reader, text: str) -> None:
    names = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(names) == len(set(names))
    for _, attributes in page.found:
        for key in ("href", "aria-labelledby", "for"):
            targets = attributes.get(key) or ""
            for target in [] if targets.startswith("data:") else targets.removeprefix("#").split():
                assert target in names or re.fullmatch(r"cases-\d+-\d+", target), target
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(names)


def test_nothing_comes_from_elsewhere(page: Reader, text: str) -> None:
    assert "://" not in text
    assert "@import" not in text
    for tag, attributes in page.found:
        for key in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert re.match(r"data:|#|$", attributes.get(key) or ""), (tag, attributes)
    policy = next(one["content"] for one in page.all("meta") if "content" in one and "http-equiv" in one)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_the_structure_can_be_read_aloud(page: Reader) -> None:
    headings = [tag for tag, _ in page.found if re.fullmatch(r"h\d", tag)]
    assert headings[0] == "h1"
    assert set(headings[1:]) == {"h2"}
    assert len(page.all("caption")) == len(page.all("table")) >= 8
    assert all(image["alt"] is not None for image in page.all("img"))
    assert all(one.get("aria-label") for one in page.all("svg"))
    assert all(one.get("scope") for one in page.all("th"))
    assert page.all("html") == [{"lang": "en"}]


def test_names_are_escaped(text: str) -> None:
    assert "<h1>Maps &lt;alone&gt; &amp; combined</h1>" in text
    assert study.TITLE not in text


def test_every_number_of_the_main_table_leads_to_the_cases_it_is_the_mean_of(text: str) -> None:
    data = case_data(text)
    table = re.search(r'<table id="results-table".*?</table>', text, re.DOTALL)
    assert table is not None
    links = re.findall(r'<a href="#cases-(\d+)-(\d+)">([\d.]+) ± ([\d.]+)', table[0])
    assert len(links) == 3 * 4 * 2
    for place, (method, class_place, mean, std) in enumerate(links):
        rows = [row for row in data["rows"] if row[:2] == [int(method), int(class_place)]]
        values = np.array([row[3 if place % 2 == 0 else 5] for row in rows], float)
        assert len(rows) == study.CASES
        assert np.nanmean(values) == pytest.approx(float(mean), abs=0.006 if place % 2 else 0.0006)
        assert np.nanstd(values) == pytest.approx(float(std), abs=0.006 if place % 2 else 0.0006)


def test_cases_say_how_they_differ_from_the_reference_and_what_was_missed(
    three: Comparison, text: str
) -> None:
    data = case_data(text)
    assert data["methods"] == [method.name for method in three.methods]
    assert data["reference"] == 0
    dice = {(row[0], row[1], row[2]): row[3] for row in data["rows"]}
    for _, k, case, value, difference, *_rest in data["rows"]:
        assert difference == pytest.approx(value - dice[0, k, case], abs=2e-4)
    missed = {
        (data["methods"][row[0]], data["classes"][row[1]], data["cases"][row[2]][0])
        for row in data["rows"]
        if row[7]
    }
    assert missed == {("rrw", "RV", "000_0"), ("rrw", "mean over classes", "000_0")}


def test_the_page_is_the_same_every_time_and_names_no_folder(
    three: Comparison, page_of_three: Path, tmp_path: Path
) -> None:
    figures = {path.stem: path for path in (page_of_three.parent / "figures").glob("*.png")}
    again = write_page(three, figures, tmp_path)
    assert again.read_bytes() == page_of_three.read_bytes()
    assert str(tmp_path.parent) not in again.read_text()


@pytest.mark.slow
def test_the_page_of_many_methods_is_small(page_of_fourteen: Path) -> None:
    text = page_of_fourteen.read_text()
    pictures = sum(map(len, re.findall(r"data:image/webp[^\"]*", text)))
    assert 600_000 < pictures < 1_250_000
    assert len(text) - pictures < 1_200_000
    assert len(Reader(page_of_fourteen.read_text()).all("table")) == 11


def test_pictures_can_be_left_out(three: Comparison, page_of_three: Path, tmp_path: Path) -> None:
    figures = {path.stem: path for path in (page_of_three.parent / "figures").glob("*.png")}
    text = write_page(three, figures, tmp_path, pictures=False).read_text()
    assert text.count("Pictures of cases were left out") == 2
    assert "data:image/webp" not in text
    assert "data:image/webp" in page_of_three.read_text()
    assert Reader(text).all("dialog") == []


def test_without_numbers_the_page_says_so(three: Comparison, tmp_path: Path) -> None:
    text = study.written(study.nothing(three), tmp_path).read_text()
    page = Reader(text)
    said = " ".join(text for _, text in page.texts)
    for sentence in (
        "no run has finished",
        "no validation curves",
        "at least two finished runs",
        "no pictures",
        "There is no calibration",
        "No case can be shown under several methods",
    ):
        assert sentence in said
    assert page.all("table") == page.all("svg") == []


def test_one_run_of_one_class_has_no_mean_no_phase_and_no_test(tmp_path: Path) -> None:
    text = study.written(study.one_run(tmp_path / "runs"), tmp_path).read_text()
    page = Reader(text)
    assert [one["id"] for one in page.all("table")] == [
        "results-table", "hausdorff95-table", "convergence-table", "cost-table", "cases-table", "runs-table",
    ]  # fmt: skip
    assert "mean over classes" not in " ".join(text for tag, text in page.texts if tag in ("th", "button"))
    assert "it takes a second method" in text


def test_a_case_stands_under_every_method_beside_its_reference(three: Comparison, page: Reader) -> None:
    found = same_cases(three.methods)
    shown = [one["alt"] or "" for one in page.all("img") if "one slice with" in str(one["alt"])]
    names = ["reference", *(method.name for method in three.methods)]
    assert [alt.partition(": ")[0] for alt in shown] == names * 3
    assert [alt.partition("prediction. ")[2] for alt in shown[::4]] == titles(found.cases)
    rows = same_case_rows(found)
    sizes = [len(panel.picture.data) for row in rows.rows for panel in row.panels]
    assert sum(sizes) < SAME_CASE_BYTES * 4 / 3 + 1000
    for row, case in zip(rows.rows, found.cases, strict=True):
        values = [panel.dice for panel in row.panels]
        assert values == ["", *(f"Dice {one.dice:.3f}" for one in case.shown)]
        picture = row.panels[0].picture
        assert picture.width / picture.height == pytest.approx(108 / (90 * 1.2), abs=0.01)


def test_gallery_shows_the_median_run_and_the_worst_and_best_overlays(three: Comparison) -> None:
    pictures = gallery(three)
    assert [one.method for one in pictures] == [m.name for m in three.methods for _ in range(3)]
    for method, (sheet, worst, best) in zip(
        three.methods, np.reshape(np.array(pictures, object), (3, 3)), strict=True
    ):
        means = sorted((run.cases["dice"].mean(), run.seed) for run in method.runs if run.cases is not None)
        assert f"seed {means[1][1]}, the median of 4 runs" in sheet.title
        assert dice_of(worst.title) < dice_of(best.title)
    assert sum(len(one.data) for one in pictures) < MOST_BYTES * 4 / 3 + 1000
    assert max(len(one.data) for one in pictures) < LARGEST_PICTURE * 4 / 3 + 100


def dice_of(title: str) -> float:
    return float(title.split("Dice ")[1].split(" ")[0])


def test_gallery_is_empty_without_pictures_and_refuses_what_is_none(tmp_path: Path) -> None:
    comparison = study.one_run(tmp_path)
    assert gallery(comparison) == []
    path = comparison.methods[0].runs[0].folder / "figures" / "cases.png"
    path.parent.mkdir()
    path.write_bytes(b"half a pic")
    with pytest.raises(RunError, match=r"cases\.png: expected a picture, got: .*draw it again"):
        gallery(comparison)


NUMBER = re.compile(r"[+\N{MINUS SIGN}-]?\d+(\.\d+)?(e-?\d+)?")
CELL = re.compile(r'<t[dh][^>]* class="number" data-value="([^"]*)">(.*?)</t[dh]>')
SHAPES = {
    "0.904 ± 0.090*": r"[\d.]+ ± [\d.]+\*",
    "-0.012*": r"\N{MINUS SIGN}[\d.]+\*",
    "[-0.02, 0.04]": r"\[\N{MINUS SIGN}[\d.]+, [^]]+\]",
    "2 of 5": r"\d+ of \d+",
    "5e-05": r"\de-\d\d|0\.0\d+",
    "11:04": r"\d+:\d\d",
    "0.85/0.89": r"[\d.]+/[\d.]+",
    "dash": NOTHING,
}


def test_columns_sort_by_the_number_that_is_shown(text: str) -> None:
    """Each cell carries it in full: what is printed is that number, rounded."""
    cells = [(value, re.sub("<[^>]+>", "", shown)) for value, shown in CELL.findall(text)]
    unseen = {name for name, shape in SHAPES.items() if not any(re.fullmatch(shape, s) for _, s in cells)}
    assert not unseen
    for value, shown in cells:
        if NOTHING in shown[0] or shown == "none would":
            assert value == ""
        elif re.fullmatch(r"(\d+:)?\d+:\d\d", shown):
            assert duration(float(value)) == shown
        else:
            found = NUMBER.search(shown)
            assert found is not None, shown
            first = found[0].replace("\N{MINUS SIGN}", "-")
            if "e" in first:
                assert f"{float(value):.1g}" == first
            else:
                step = 10.0 ** -len(first.partition(".")[2])
                assert float(value) == pytest.approx(float(first), abs=0.5001 * step), shown


def test_a_figure_takes_the_colours_of_the_page_and_keeps_its_names(page_of_three: Path) -> None:
    figures = sorted((page_of_three.parent / "figures").glob("*.svg"))
    ids: list[str] = []
    for path in figures:
        svg = inline_svg(path, 'a "label" & more')
        reader = Reader(svg)
        assert reader.all("svg")[0]["aria-label"] == 'a "label" & more'
        assert "#1f2328" not in svg
        assert "var(--ink)" in svg
        ids += [str(one["id"]) for _, one in reader.found if "id" in one]
        assert set(references(svg)) <= set(ids)
    assert len(ids) == len(set(ids))


def references(svg: str) -> Iterator[str]:
    yield from re.findall(r'(?:url\(|href=")#([^)"]+)', svg)
