import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import pytest

from rwseg.core import progress
from rwseg.core.progress import duration, on_terminal, track


@contextmanager
def terminal() -> Iterator[int]:
    """A pseudo-terminal as standard error; yields the side to read from. A fixture would lose it."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as stream, redirect_stderr(stream):
        yield reader
    os.close(reader)


def test_a_bar_with_description_and_count_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with terminal() as reader:
        assert on_terminal()
        assert list(track(["a", "b", "c"], "reading cases")) == ["a", "b", "c"]
        drawn = ""
        while "3/3" not in drawn and select.select([reader], [], [], 10)[0]:  # it comes in pieces
            drawn += os.read(reader, 100_000).decode(errors="replace")
    assert "reading cases" in drawn
    assert "3/3" in drawn
    assert "left" in drawn


def test_elsewhere_lines_tell_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.05)
    assert not on_terminal()
    seen = []
    for item in track(range(4), "reading cases"):
        time.sleep(0.06)
        seen.append(item)
    out, err = capsys.readouterr()
    assert seen == [0, 1, 2, 3]
    assert err.splitlines() == [f"reading cases: {done}/4, 0:00 left" for done in (1, 2, 3)]
    assert out == "", "standard output belongs to results"


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track([1, 2], "quick")) == [1, 2]
    assert list(track([], "empty")) == []
    assert capsys.readouterr() == ("", "")


def test_a_long_wait_for_the_first_item_does_not_divide_by_zero(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", -1.0)
    assert list(track([1, 2], "at once")) == [1, 2]
    assert capsys.readouterr().err == "at once: 1/2, 0:00 left\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (75.2, "1:15"), (3599.7, "1:00:00"), (4000, "1:06:40")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
