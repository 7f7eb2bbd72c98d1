"""Folders that are made once: whole or not at all, by one of many processes, whichever of them dies."""

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from rwseg.building import build_once
from rwseg.errors import DataError
from rwseg.lease import Watch
from rwseg.process import this_process

SHORT = 0.4
"""Seconds of patience: a holder beats every 50 ms."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(text: str, folder: Path) -> None:
    (folder / "content").write_text(text)


def fail_to_make(folder: Path) -> None:
    raise AssertionError(f"{folder} was made twice")


def pretend(place: Path, number: int, **changes: object) -> None:
    """A claim of this process, changed."""
    place.mkdir(parents=True)
    process = vars(replace(this_process(), **changes))  # type: ignore[arg-type]
    (place / f"{number:04d}").write_text(json.dumps({"token": "abc", "process": process}))


def test_a_folder_appears_whole_and_only_once(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"

    def make(place: Path) -> None:
        write("1", place)
        assert not folder.exists()

    build_once(folder, make)
    build_once(folder, fail_to_make)
    assert (folder / "content").read_text() == "1"
    assert names(folder.parent) == [".folder.claim", "folder"]
    assert names(folder.parent / ".folder.claim") == ["0001.free"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, FileNotFoundError])
def test_a_failed_folder_is_removed_and_can_be_built_again(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    folder = tmp_path / "folder"

    def fail(place: Path) -> None:
        (place / "half").touch()
        raise failure("in the middle")

    with pytest.raises(failure, match="in the middle"):
        build_once(folder, fail)
    assert names(tmp_path) == [".folder.claim"]
    build_once(folder, lambda place: write("whole", place))
    assert names(folder) == ["content"]
    assert names(tmp_path / ".folder.claim") == ["0002.free"]


def test_what_a_process_of_this_machine_left_is_removed_before_anew_is_made(tmp_path: Path) -> None:
    pretend(tmp_path / ".folder.claim", 7, pid=2**22 + 1)  # beyond the highest number of a process
    left = tmp_path / ".building-folder-7-0a1b"
    other = tmp_path / ".building-folder[x]-7-0a1b"
    for place in (left, other):
        (place / "image").mkdir(parents=True)

    def make(place: Path) -> None:
        assert not left.exists(), "the disk may have no room for both"
        assert names(place) == []

    build_once(tmp_path / "folder", make)
    assert other.is_dir(), "that belongs to another folder"


def test_a_maker_of_another_machine_that_gives_no_sign_of_life_is_replaced_and_does_no_harm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    pretend(tmp_path / ".folder.claim", 1, host="elsewhere")
    left = tmp_path / ".building-folder-1-0a1b"
    left.mkdir()

    def make(place: Path) -> None:
        assert left.is_dir(), "that process may be alive and still write there"
        write("second", place)

    started = time.monotonic()
    with caplog.at_level("INFO"):
        build_once(folder, make, patience=SHORT)
    assert time.monotonic() - started >= SHORT
    assert "waiting for it (host elsewhere, process" in caplog.text
    assert names(tmp_path) == [".folder.claim", "folder"]


def test_a_maker_that_was_overtaken_takes_the_other_ones_result(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, claim = tmp_path / "folder", tmp_path / ".folder.claim"

    def slow(place: Path) -> None:  # it stood still, and wakes after another one has finished
        (claim / "0001").rename(claim / "0001.free")
        build_once(folder, lambda other: write("other", other))
        assert not place.exists()
        write("own", place)

    build_once(folder, slow)
    assert (folder / "content").read_text() == "other"
    assert "another process took over" in caplog.text
    assert names(tmp_path) == [".folder.claim", "folder"]


def test_two_results_at_once_are_one(tmp_path: Path) -> None:
    folder = tmp_path / "folder"

    def make(place: Path) -> None:
        write("late", place)
        folder.mkdir()  # another process, just before our rename
        write("early", folder)

    build_once(folder, make)
    assert (folder / "content").read_text() == "early"
    assert names(tmp_path) == [".folder.claim", "folder"]


def test_a_second_builder_waits_says_so_and_finds_the_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, begun, go_on = tmp_path / "folder", threading.Event(), threading.Event()

    def first(place: Path) -> None:
        begun.set()
        go_on.wait(20)
        write("first", place)

    thread = threading.Thread(target=build_once, args=(folder, first))
    thread.start()
    assert begun.wait(20)
    threading.Timer(0.2, go_on.set).start()
    with caplog.at_level("INFO"):
        build_once(folder, fail_to_make)
    thread.join(20)
    assert (folder / "content").read_text() == "first"
    assert f"another process is making {folder}; waiting for it (host" in caplog.text


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        DataError, match=rf"{place}: expected a folder to write x into, got: .+\(dataset.cache="
    ):
        build_once(tmp_path / place / "x", fail_to_make, setting="dataset.cache")
    assert names(tmp_path) == ["file"]


def test_a_claim_of_a_maker_is_one_of_this_process(tmp_path: Path) -> None:
    def make(place: Path) -> None:
        watch = Watch(tmp_path / ".folder.claim")
        assert watch.take() is None
        assert str(watch) == str(this_process())
        assert watch.is_alive

    build_once(tmp_path / "folder", make)
