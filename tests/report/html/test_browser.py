"""The page in a real browser: no error, tables sort, numbers lead to cases, the gallery opens, it prints."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import study
from chromium import Browser, browser
from PIL import Image

from rwseg.report.comparison.comparison import Comparison
from rwseg.report.figures.all_figures import DRAWINGS
from rwseg.report.figures.save import save_figure
from rwseg.report.figures.style import styled
from rwseg.report.printed import NOTHING

pytestmark = [
    pytest.mark.skipif(browser() is None, reason="no Chromium on this machine"),
    pytest.mark.xdist_group("studies"),
]

COLUMN = "[...document.querySelectorAll('#{} tbody tr')].map((row) => row.cells[{}].textContent)"
HEADING = "[...document.querySelectorAll('#results-table button')].find((b) => b.textContent === '{}')"
ENTER = ("Enter", 13, "\r")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize(
    ("width", "dark"),
    [
        (1280, False),
        (390, True),
        *(pytest.param(*look, marks=pytest.mark.slow) for look in ((1280, True), (390, False))),
    ],
)
@pytest.mark.parametrize("name", ["page_of_three", pytest.param("page_of_fourteen", marks=pytest.mark.slow)])
def test_it_opens_without_an_error_a_request_or_a_sideways_scroll(
    tab: Browser, name: str, width: int, dark: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    page: Path = request.getfixturevalue(name)
    tab.open(page, width=width, dark=dark)
    tab.screenshot(tmp_path / "page.png", whole=True)
    assert tab.errors == []
    assert [url for url in tab.requests if not url.startswith("data:")] == [page.as_uri()]
    assert tab.run("document.documentElement.scrollWidth") == width


def test_errors_and_requests_would_be_seen(tab: Browser, tmp_path: Path) -> None:
    page = tmp_path / "faulty.html"
    page.write_text(
        "<img src='missing.png'><script>console.error('first'); throw new Error('second');</script>"
    )
    tab.open(page)
    said = " ".join(tab.errors)
    assert "first" in said
    assert "second" in said
    assert tab.requests == [page.as_uri(), (tmp_path / "missing.png").as_uri()]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["curves", "cases", "differences"])
def test_a_compact_svg_shows_what_matplotlib_drew(
    tab: Browser,
    name: str,
    three: Comparison,
    page_of_three: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rwseg.report.figures.save.compact", str)
    drawing = next(one for one in DRAWINGS if one.name == name)
    with styled():
        figure = drawing.draw(three)
        assert figure is not None
        save_figure(figure, drawing.title, tmp_path, name)
    shown = []
    for path in (tmp_path / f"{name}.svg", page_of_three.parent / "figures" / f"{name}.svg"):
        tab.open(path)
        tab.screenshot(tmp_path / "shown.png")
        with Image.open(tmp_path / "shown.png") as picture:
            shown.append(np.asarray(picture.convert("L"), float))
        assert tab.errors == []
    assert shown[0].std() > 5  # something is drawn
    assert np.abs(shown[0] - shown[1]).mean() < 0.3
    assert path.stat().st_size < 0.6 * (tmp_path / f"{name}.svg").stat().st_size


def test_colours_follow_the_screen(tab: Browser, page_of_three: Path) -> None:
    brightness = {}
    for dark in (False, True):
        tab.open(page_of_three, dark=dark)
        for part, key in (("body", "backgroundColor"), ("figure svg text", "fill")):
            colour = tab.run(f"getComputedStyle(document.querySelector('{part}')).{key}")
            brightness[part, dark] = sum(map(int, re.findall(r"\d+", colour)[:3])) / 3
    assert brightness["body", True] < 60 < 200 < brightness["body", False]
    assert brightness["figure svg text", False] < 60 < 200 < brightness["figure svg text", True]


def test_tables_sort_by_click_and_by_key(tab: Browser, page_of_three: Path) -> None:
    tab.open(page_of_three)
    column = COLUMN.format("results-table", 1)
    order = tab.run(column)
    tab.run(f"{HEADING.format('Dice')}.click()")
    down = tab.run(column)
    assert down == sorted(order, key=number, reverse=True)
    assert down != order
    assert sorts(tab) == ["none", "descending", *["none"] * 10]
    tab.run(f"{HEADING.format('Dice')}.focus()")
    tab.press(*ENTER)
    assert tab.run(column) == down[::-1]
    assert sorts(tab) == ["none", "ascending", *["none"] * 10]
    tab.run(f"{HEADING.format('method')}.focus()")
    tab.press(" ", 32, " ")
    assert tab.run(COLUMN.format("results-table", 0)) == ["rrw", "rw_boundary", "rw_boundary, rectified"]
    assert tab.errors == []


def test_dashes_come_last_in_both_orders(tab: Browser, page_of_three: Path) -> None:
    tab.open(page_of_three)
    for expected in ("ascending", "descending"):
        tab.run("document.querySelector('#convergence-table th:nth-child(5) button').click()")
        assert tab.run("document.querySelector('#convergence-table th:nth-child(5)').ariaSort") == expected
        values = tab.run(COLUMN.format("convergence-table", 4))
        assert values[-1] == NOTHING
        assert [number(one) for one in values[:-1]] == sorted(
            map(number, values[:-1]), reverse=expected == "descending"
        )


def test_a_number_leads_to_its_cases_and_back(tab: Browser, page_of_three: Path, three: Comparison) -> None:
    tab.open(page_of_three)
    tab.run("document.querySelector('#results-table a[href=\"#cases-1-2\"]').click()")
    assert tab.run("[...document.querySelectorAll('select')].map((s) => s.selectedOptions[0].text)") == [
        "rw_boundary",
        "LV",
    ]
    shown = [float(one) for one in tab.run(COLUMN.format("cases-table", 4))]
    tables = [run.cases for run in three.methods[1].runs if run.cases is not None]
    expected = sum(t[t["class_name"] == "LV"].set_index("case")["dice"] for t in tables) / 4
    assert shown == pytest.approx(sorted(expected), abs=6e-4)
    assert tab.run("document.getElementById('cases-count').textContent") == f"{study.CASES} rows"
    assert tab.run("document.getElementById('cases').getBoundingClientRect().top") < 200
    tab.run("new Promise((done) => { addEventListener('hashchange', done, {once: true}); history.back(); })")
    assert tab.run("location.hash") == ""
    tab.open(page_of_three, fragment="#cases-all-0")
    assert len(tab.run(COLUMN.format("cases-table", 4))) == 3 * study.CASES
    assert tab.errors == []


def test_the_choice_of_cases_can_be_changed(tab: Browser, page_of_three: Path) -> None:
    tab.open(page_of_three)
    tab.run(
        "(() => { const s = document.getElementById('cases-class'); s.value = 'all';"
        " s.dispatchEvent(new Event('change')); })()"
    )
    assert tab.run("location.hash") == "#cases-0-all"
    assert tab.run("document.getElementById('cases-count').textContent") == f"{4 * study.CASES} rows"


def test_the_gallery_opens_leads_on_and_closes(tab: Browser, page_of_three: Path) -> None:
    tab.open(page_of_three)
    count = tab.run("document.querySelectorAll('.thumbnail').length")
    tab.run("document.querySelectorAll('.thumbnail')[1].focus()")
    tab.press(*ENTER)
    state = "[viewer.open, viewer.querySelector('p').textContent, viewer.querySelector('img').naturalWidth]"
    opened, title, width = tab.run(state)
    assert opened
    assert title.endswith(f"(2/{count})")
    assert width > 300
    tab.press("ArrowLeft", 37)
    tab.press("ArrowLeft", 37)
    assert tab.run(state)[1].endswith(f"({count}/{count})")
    tab.press("Escape", 27)
    assert not tab.run(state)[0]
    focused = f"document.activeElement === document.querySelectorAll('.thumbnail')[{count - 1}]"
    # the event that the viewer has closed comes later
    assert tab.run(
        "new Promise((done) => { const ask = (left) => "
        f"{focused} || !left ? done({focused}) : setTimeout(ask, 50, left - 1); ask(100); }})"
    )
    assert tab.errors == []


@pytest.mark.slow
def test_it_prints(tab: Browser, page_of_three: Path, tmp_path: Path) -> None:
    tab.open(page_of_three, dark=True)
    tab.pdf(tmp_path / "page.pdf")
    content = (tmp_path / "page.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 30
    assert tab.run("[...document.querySelectorAll('details')].every((one) => one.open)")
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert tab.errors == []


def sorts(tab: Browser) -> list[str]:
    """What the headings of the main table say about its order, in the order of the columns."""
    found = tab.run("[...document.querySelectorAll('#results-table th[aria-sort]')].map((h) => h.ariaSort)")
    return [found[0], *found[4:], *found[1:4]]  # those over two rows come first in the document


def number(text: str) -> float:
    found = re.match(r"[\d.]+", text)
    assert found is not None, text
    return float(found[0])
