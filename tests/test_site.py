"""The site: what its check finds, and that the pages made of the code are those of the code."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def site_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site"))


@pytest.fixture
def hooks() -> ModuleType:
    return importlib.import_module("hooks")


@pytest.fixture
def made_pages() -> ModuleType:
    return importlib.import_module("made_pages")


def found(folder: Path, body: str) -> list[str]:
    (folder / "below").mkdir(exist_ok=True)
    (folder / "below" / "other page.html").write_text('<h2 id="there">x</h2>')
    (folder / "picture.png").write_bytes(b"")
    (folder / "index.html").write_text(f"<html><body>{body}</body></html>")
    faults: list[str] = importlib.import_module("site_check").faults(folder)
    return faults


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="gone.html">', "index.html: gone.html leads nowhere"),
        ('<a href="below">', "index.html: below leads nowhere"),
        (
            '<a href="below/other%20page.html#here">',
            "index.html: below/other%20page.html#here has no such heading",
        ),
        ('<a href="#here">', "index.html: #here has no such heading"),
        ('<img src="gone.png">', "index.html: gone.png leads nowhere"),
        ('<script src="https://cdn.org/x.js">', "index.html: https://cdn.org/x.js is not of the site"),
        ('<link rel="stylesheet" href="//fonts.org/x">', "index.html: //fonts.org/x is not of the site"),
        ("<p>a `span</p>", "index.html: Markdown left as text: a `span"),
        ("<p>These:\n- <code>one</code></p>", "index.html: Markdown left as text: These:\n- _"),
        ("<p>a [link](to <em>x</em>)</p>", "index.html: Markdown left as text: a [link](to x)"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, body: str, fault: str) -> None:
    assert found(tmp_path, body) == [fault]


def test_what_is_right_is_passed_over(tmp_path: Path) -> None:
    body = """<a href="below/other%20page.html#there"> <a href="https://arxiv.org/"> <a href="mailto:x@y.z">
    <img src="picture.png"> <p id="here">2 ** 3, <code>`a` ](</code></p> <pre>- x</pre> <a href="#here">"""
    assert found(tmp_path, body) == []


def test_nav_takes_all_pages_of_a_pattern_that_no_other_line_has(hooks: ModuleType) -> None:
    nav = ["index.md", {"Maps": ["m*.md", {"Last": "maps-z.md"}]}, {"One": "one.md"}]
    pages = ["index.md", "maps-b.md", "maps-a.md", "maps-z.md", "one.md"]
    expected = ["index.md", {"Maps": ["maps-b.md", "maps-a.md", {"Last": "maps-z.md"}]}, {"One": "one.md"}]
    assert hooks.expanded(nav, pages) == expected


def test_pages_are_made_of_files_that_exist(made_pages: ModuleType) -> None:
    missing = [path for path in made_pages.made_of() if not (ROOT / path).exists()]
    assert missing == []


def test_the_api_has_every_package_that_says_what_is_public(made_pages: ModuleType) -> None:
    public = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "rwseg").rglob("*/__init__.py")
        if re.search(r"^__all__", path.read_text(), re.MULTILINE)
    }
    assert public - {"rwseg", "rwseg.report.play"} <= set(made_pages.MODULES.values())
