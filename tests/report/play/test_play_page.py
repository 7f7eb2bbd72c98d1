"""The page in Chromium: it opens cleanly, and is drawn on with mouse, finger and keyboard."""

from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import Browser

from rwseg.maps import BASES
from rwseg.report.play import write_play_page

pytestmark = pytest.mark.xdist_group("play")

LABELS = "Array.from(page.drawing.labels)"
SETTLED = (
    "new Promise((done) => { const ask = (left) => (!scheduled && location.hash === fragmentOf(page))"
    " || !left ? done() : setTimeout(ask, 50, left - 1); ask(200); })"
)
"""Waits until everything is drawn and the address holds the state, ten seconds at most."""
BOX = (
    "((c) => {{ c.scrollIntoView({{ block: 'center' }}); const b = c.getBoundingClientRect();"
    " return [b.left, b.top, b.width, b.height]; }})({})"
)
"""Where an element is in the window, after it was brought there."""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return write_play_page(tmp_path / "play.html")


def at(tab: Browser, row: float, column: float, canvas: str = "element('grid')") -> tuple[float, float]:
    """Where a pixel of the usual grid is in the window."""
    left, top, width, height = tab.run(BOX.format(canvas))
    return left + (column + 0.5) / 48 * width, top + (row + 0.5) / 48 * height


def mouse(tab: Browser, kind: str, place: tuple[float, float]) -> None:
    x, y = place
    tab.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)


def drag(tab: Browser, *places: tuple[float, float]) -> None:
    mouse(tab, "mousePressed", places[0])
    for place in places[1:]:
        mouse(tab, "mouseMoved", place)
    mouse(tab, "mouseReleased", places[-1])


def click(tab: Browser, selector: str) -> None:
    tab.run(f"document.querySelector('{selector}').click()")


def set_value(tab: Browser, name: str, value: Any, kind: str = "input") -> None:
    tab.run(
        f"element('{name}').value = '{value}';"
        f"element('{name}').dispatchEvent(new Event('{kind}', {{ bubbles: true }}))"
    )


def label_at(tab: Browser, row: int, column: int) -> int:
    return int(tab.run(f"page.drawing.labels[{48 * row + column}]"))


def test_the_page_is_small_and_the_same_every_time(page: Path, tmp_path: Path) -> None:
    content = page.read_bytes()
    assert len(content) < 200_000
    assert write_play_page(tmp_path / "again" / "play.html").read_bytes() == content
    assert b"http://" not in content
    assert b"https://" not in content


@pytest.mark.parametrize(
    ("width", "dark"),
    [
        (1280, False),
        (390, True),
        *(pytest.param(*look, marks=pytest.mark.slow) for look in ((1280, True), (390, False))),
        *(pytest.param(800, dark, marks=pytest.mark.slow) for dark in (False, True)),
    ],
)
def test_it_opens_without_an_error_a_request_or_a_sideways_scroll(
    tab: Browser, page: Path, width: int, dark: bool
) -> None:
    tab.open(page, width=width, dark=dark)
    tab.run(SETTLED)
    assert tab.errors == []
    assert [url for url in tab.requests if not url.startswith("data:")] == [page.as_uri()]
    assert tab.run("document.documentElement.scrollWidth") == width
    assert "wrong sign" in tab.run("element('headline').textContent")


def test_every_preset_and_every_base_is_drawn(tab: Browser, page: Path) -> None:
    tab.open(page)
    presets = tab.run("PRESETS.map((one) => one.id)")
    bases = tab.run("[...element('base').options].map((one) => one.value)")
    for preset, base in zip(islice(cycle(presets), len(bases)), bases, strict=True):
        click(tab, f"#presets [data-id={preset}]")
        set_value(tab, "base", base)
        tab.run("render()")
        assert tab.run("element('values').rows.length - 1") == tab.run("page.drawing.classes")
    assert {*bases} == {*BASES}
    assert tab.errors == []


def test_every_control_has_a_name_and_every_picture_says_what_it_shows(tab: Browser, page: Path) -> None:
    tab.open(page)
    tab.run(SETTLED)
    nameless = (
        "[...document.querySelectorAll('input, select, button, canvas')].filter((one) => !one.ariaLabel"
        " && !one.hasAttribute('aria-labelledby') && !one.labels?.length && !one.textContent.trim())"
        ".map((one) => one.outerHTML)"
    )
    assert tab.run(nameless) == []
    said = tab.run("panels.gradients.map((one) => one.getAttribute('aria-label'))")
    assert len(said) == 4
    assert all("wrong sign at" in text for text in said)


def test_a_mouse_draws_without_gaps_and_undo_takes_it_back(tab: Browser, page: Path) -> None:
    tab.open(page)
    before = tab.run(LABELS)
    click(tab, "#classes label:nth-child(3)")
    set_value(tab, "size", 1)
    drag(tab, at(tab, 4, 5), at(tab, 4, 40))
    assert [label_at(tab, 4, column) for column in range(4, 42)] == [0, *[2] * 36, 0]
    assert tab.run("page.cursor") == 4 * 48 + 40
    click(tab, "#undo")
    np.testing.assert_array_equal(tab.run(LABELS), before)
    assert tab.errors == []


def test_the_eraser_paints_background_and_the_picker_paints_nothing(tab: Browser, page: Path) -> None:
    tab.open(page)
    before = tab.run(LABELS)
    click(tab, "#tools label:nth-child(3)")
    drag(tab, at(tab, 24, 14))
    tab.run(SETTLED)
    np.testing.assert_array_equal(tab.run(LABELS), before)
    assert tab.run("element('pixel-said').textContent").startswith("Row 25, column 15 (class 1)")
    click(tab, "#tools label:nth-child(2)")
    drag(tab, at(tab, 24, 14))
    assert label_at(tab, 24, 14) == 0


def test_a_finger_draws_on_a_phone(tab: Browser, page: Path) -> None:
    tab.open(page, width=390, height=844)
    places = [at(tab, 2, column) for column in (3, 12, 20)]
    for kind, place in zip(("touchStart", "touchMove", "touchMove"), places, strict=True):
        tab.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": place[0], "y": place[1]}])
    tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    assert [label_at(tab, 2, column) for column in range(3, 21)] == [1] * 18
    assert tab.errors == []


def test_it_is_drawn_on_with_the_keyboard(tab: Browser, page: Path) -> None:
    tab.open(page)
    set_value(tab, "size", 1)
    tab.run("page.cursor = 48 * 3 + 3; element('grid').focus()")
    tab.press("3", 51, "3")
    tab.press("ArrowRight", 39)
    tab.press(" ", 32, " ")
    assert label_at(tab, 3, 3) == 0
    assert label_at(tab, 3, 4) == 3
    assert tab.run("element('said').textContent") == "Row 4, column 5: class 3. Brush: class 3."
    tab.press("u", 85, "u")
    assert label_at(tab, 3, 4) == 0
    assert tab.run("getComputedStyle(element('grid')).outlineStyle") == "solid"


def test_a_click_in_a_map_chooses_the_pixel(tab: Browser, page: Path) -> None:
    tab.open(page)
    tab.run(SETTLED)
    drag(tab, at(tab, 30, 10, "panels.maps[2]"))
    assert tab.run("page.cursor") == 30 * 48 + 10


def test_the_address_holds_all_of_it(tab: Browser, page: Path) -> None:
    tab.open(page)
    click(tab, "#presets [data-id=rare]")
    set_value(tab, "anneal", 0.5)
    set_value(tab, "confidence", 4)
    set_value(tab, "row-spacing", 2.5, "change")
    click(tab, "[data-key=rectify]")
    tab.run(SETTLED)
    state = (
        "JSON.stringify([page.drawing.labels, page.drawing.spacing, page.map, page.prediction, page.cursor])"
    )
    fragment, before = tab.run("location.hash"), tab.run(state)
    assert len(fragment) < 1500
    tab.open(page, fragment=fragment)
    assert tab.run(state) == before
    assert tab.run("element('confidence').value") == "4"
    assert (
        tab.run("element('map-text').textContent")
        == "loss=rw 'loss.map=[boundary, {anneal: 0.5}, rectify]' map.source=online 'loss.spacing=[2.5, 1]'"
    )


@pytest.mark.parametrize(
    "fragment",
    [
        "#size=48x48&classes=4&runs=a12",
        "#size=9999x9999&classes=2&runs=a",
        "#classes=<b>&base=x",
        "#size=2x2&classes=2&spacing=1x1&runs=d4",
    ],
)
def test_an_address_that_is_none_shows_the_usual_drawing(tab: Browser, page: Path, fragment: str) -> None:
    tab.open(page, fragment=fragment)
    tab.run(SETTLED)
    assert tab.run("page.drawing.classes") == 4
    assert tab.run("page.map.base") == "boundary"
    assert tab.errors == []


def test_the_figure_of_a_pixel_lets_other_predictions_be_tried(tab: Browser, page: Path) -> None:
    tab.open(page)
    tab.run(SETTLED)
    own = tab.run("element('values').innerText")
    tab.run("element('simplex').focus()")
    tab.press("ArrowUp", 38)
    tab.run(SETTLED)
    assert tab.run("element('values').innerText") != own
    assert "tried" in tab.run("element('pixel-said').textContent")
    click(tab, "#own")
    tab.run(SETTLED)
    assert tab.run("element('values').innerText") == own
    set_value(tab, "kept", 0, "change")
    tab.run(SETTLED)
    assert "background held at" in tab.run("element('simplex-said').textContent")


def test_rectifying_takes_all_wrong_signs_away(tab: Browser, page: Path) -> None:
    tab.open(page)
    click(tab, "[data-key=rectify]")
    tab.run("render()")
    assert tab.run("element('headline').textContent").startswith("No pixel has a wrong sign.")
    assert "No prediction" in tab.run("element('simplex-said').textContent")
    assert "The map is rectified" in tab.run("element('loss-said').textContent")
