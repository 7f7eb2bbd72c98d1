"""`rwseg theory --play`: a page with the user's own labels, opened where there is a browser."""

import webbrowser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rwseg.commands.theory import main


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a browser is asked for, in place of one."""
    asked: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: asked.append(address) or True)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    return asked


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    labels = np.zeros((20, 30), np.uint8)
    labels[5:9, 4:12] = 7
    Image.fromarray(labels).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def test_without_a_display_it_says_where_the_page_is(
    tmp_path: Path, opened: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["--play"])
    page = tmp_path / "play.html"
    assert "<canvas" in page.read_text()
    assert page.resolve().as_uri() in capsys.readouterr().out
    assert opened == []


def test_own_labels_are_on_the_page_and_a_browser_shows_it(
    mask: Path, opened: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    page = mask.parent / "new folder" / "mine.html"
    main(["--play", str(page), "--data", str(mask)])
    text = page.read_text()
    assert '"label 7"' in text
    assert '"size": "20x30"' in text
    assert opened == [page.resolve().as_uri()]
    assert "mask.png, slice 1: 20 x 30 pixels." in capsys.readouterr().out


def test_a_browser_that_does_not_start_is_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_there(address: str) -> bool:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setattr(webbrowser, "open", none_there)
    main(["--play", str(tmp_path / "play.html")])
    assert "no browser" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "expected a folder OUT for pictures, or --play"),
        (["out", "--play", "page.html"], "expected a folder OUT for pictures, or --play"),
        (["--play", "page.html", "--run", "runs/1"], "--play: expected without --run, --loss and --map"),
        (["--play", "page.html", "--loss", "rrw"], "--play: expected without --run, --loss and --map"),
        (["--play", "page.html", "--data", "none.png"], "none.png: expected a label file"),
    ],
)
def test_what_does_not_go_together_is_refused(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
