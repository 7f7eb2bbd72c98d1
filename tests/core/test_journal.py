"""Journals of finished items: what is whole is taken over, and nothing else."""

import errno
import os
from pathlib import Path

import pytest

from rwseg.core.journal import NAME, Journal, take_over


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A folder in which three items are finished, one of them without files."""
    folder = tmp_path / "left"
    (folder / "image").mkdir(parents=True)
    for name in ("a", "b"):
        (folder / "image" / name).write_text(f"array of {name}")
        Journal(folder).add(name, [f"image/{name}"], {"name": name, "spacing": 0.1})
    Journal(folder).add("/", [], [1, 2])
    return folder


def empty(tmp_path: Path) -> Path:
    (tmp_path / "new").mkdir()
    return tmp_path / "new"


def test_finished_items_come_with_their_files_and_results(left: Path, tmp_path: Path) -> None:
    folder = empty(tmp_path)
    take_over(left, folder)
    journal = Journal(folder)
    assert journal.finished == {
        "a": {"name": "a", "spacing": 0.1},
        "b": {"name": "b", "spacing": 0.1},
        "/": [1, 2],
    }
    assert (folder / "image" / "b").read_text() == "array of b"
    assert (folder / "image" / "b").stat().st_ino == (left / "image" / "b").stat().st_ino
    take_over(left, folder)
    assert (folder / NAME).read_text().count("\n") == 3, "nothing twice"
    journal.remove()
    assert sorted(path.name for path in folder.iterdir()) == ["image"]


@pytest.mark.parametrize("damage", ["shorter", "gone", "line cut off", "no line"])
def test_what_is_not_whole_is_made_again(left: Path, tmp_path: Path, damage: str) -> None:
    if damage == "shorter":
        os.truncate(left / "image" / "b", 3)
    elif damage == "gone":
        (left / "image" / "b").unlink()
    else:
        lines = (left / NAME).read_text().splitlines(keepends=True)
        lines[1] = lines[1][:20] + "\n" if damage == "line cut off" else ""
        (left / NAME).write_text("".join(lines))
    folder = empty(tmp_path)
    take_over(left, folder)
    assert sorted(Journal(folder).finished) == ["/", "a"]
    assert not (folder / "image" / "b").exists()


def test_what_the_other_one_writes_later_changes_nothing(left: Path, tmp_path: Path) -> None:
    folder = empty(tmp_path)
    take_over(left, folder)
    (left / "later").write_text("another array")
    os.replace(left / "later", left / "image" / "a")
    Journal(left).add("c", [], None)
    assert (folder / "image" / "a").read_text() == "array of a"
    assert "c" not in Journal(folder).finished


def test_a_file_system_without_links_is_told(
    left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    folder = empty(tmp_path)
    take_over(left, folder)
    assert Journal(folder).finished == {}
    assert f"{left}: cannot be linked (Operation not permitted), all of it is made again" in caplog.text
