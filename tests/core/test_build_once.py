"""Folders that are made once: whole or not at all, by one of many processes, whichever of them dies."""

import os
import threading
import time
from pathlib import Path

import pytest
from lock_files import NO_PROCESS, write_lock

from rwseg.core.build_once import build_once
from rwseg.core.errors import DataError, KilledError
from rwseg.core.lease import Lease
from rwseg.core.signals import Terminated

SHORT = 0.4
"""Seconds of a lease."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(text: str, folder: Path) -> None:
    (folder / "content").write_text(text)


def fail_to_make(folder: Path) -> None:
    raise AssertionError(f"{folder} was made twice")


def test_a_folder_appears_whole_and_only_once(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"

    def make(place: Path) -> None:
        write("1", place)
        assert not folder.exists()

    build_once(folder, make)
    build_once(folder, fail_to_make)
    assert (folder / "content").read_text() == "1"
    assert names(folder.parent) == ["folder"]


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
    assert names(tmp_path) == []
    build_once(folder, lambda place: write("whole", place))
    assert names(folder) == ["content"]
    assert names(tmp_path) == ["folder"]


def test_what_a_process_of_this_machine_left_is_removed_before_anew_is_made(tmp_path: Path) -> None:
    write_lock(tmp_path / ".folder.lock", 120.0, pid=NO_PROCESS)
    left = tmp_path / ".building-folder-0a1b"
    other = tmp_path / ".building-folder[x]-0a1b"
    for place in (left, other):
        (place / "image").mkdir(parents=True)

    def make(place: Path) -> None:
        assert not left.exists(), "the disk may have no room for both"
        assert names(place) == []

    build_once(tmp_path / "folder", make)
    assert other.is_dir(), "that belongs to another folder"


@pytest.mark.parametrize("end", [KeyboardInterrupt, Terminated, KilledError])
def test_what_was_begun_is_kept_for_who_can_take_it_over(
    tmp_path: Path, end: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    folder, calls = tmp_path / "folder", list[list[str]]()

    def take_over(left: Path, private: Path) -> None:
        calls.append(names(left))
        assert names(private) == []
        os.link(left / "content", private / "content")

    def make(place: Path) -> None:
        write("half", place)
        raise end("in the middle")

    with pytest.raises(end), caplog.at_level("INFO"):
        build_once(folder, make, take_over=take_over)
    [left] = tmp_path.iterdir()
    assert f"{left} keeps what is finished" in caplog.text
    assert not calls
    build_once(folder, lambda place: None, take_over=take_over)
    assert (calls, (folder / "content").read_text()) == ([["content"]], "half")
    assert names(tmp_path) == ["folder"]


def test_a_fault_leaves_nothing_to_take_over(tmp_path: Path) -> None:
    def make(place: Path) -> None:
        write("half", place)
        raise DataError("a fault of the data: mended, these have another name")

    with pytest.raises(DataError, match="a fault"):
        build_once(tmp_path / "folder", make, take_over=lambda left, private: None)
    assert names(tmp_path) == []


def test_what_the_dead_left_goes_once_it_is_taken_over(tmp_path: Path) -> None:
    write_lock(tmp_path / ".folder.lock", 120.0, pid=NO_PROCESS)
    left = tmp_path / ".building-folder-0a1b"
    left.mkdir()
    write("whole", left)

    def make(place: Path) -> None:
        assert names(place) == ["content"]
        assert not left.exists()

    build_once(
        tmp_path / "folder", make, take_over=lambda old, new: os.link(old / "content", new / "content")
    )
    assert (tmp_path / "folder" / "content").read_text() == "whole"


def test_a_maker_of_another_machine_that_shows_no_heartbeat_is_replaced_and_does_no_harm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    write_lock(tmp_path / ".folder.lock", SHORT, host="elsewhere")
    left = tmp_path / ".building-folder-0a1b"
    left.mkdir()

    def make(place: Path) -> None:
        assert left.is_dir(), "that process may be alive and still write there"
        write("second", place)

    started = time.monotonic()
    with caplog.at_level("INFO"):
        build_once(folder, make, lease_duration=SHORT)
    assert time.monotonic() - started >= SHORT
    assert "waiting for it (host elsewhere, process" in caplog.text
    assert names(tmp_path) == ["folder"]


def test_a_maker_that_was_overtaken_takes_the_other_ones_result(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, lock = tmp_path / "folder", tmp_path / ".folder.lock"

    def slow(place: Path) -> None:  # it stood still, and wakes after another one has finished
        lock.unlink()
        build_once(folder, lambda other: write("other", other))
        assert not place.exists()
        write("own", place)

    build_once(folder, slow)
    assert (folder / "content").read_text() == "other"
    assert "another process took over" in caplog.text
    assert names(tmp_path) == ["folder"]


def test_two_results_at_once_are_one(tmp_path: Path) -> None:
    folder = tmp_path / "folder"

    def make(place: Path) -> None:
        write("late", place)
        folder.mkdir()  # another process, just before our rename
        write("early", folder)

    build_once(folder, make)
    assert (folder / "content").read_text() == "early"
    assert names(tmp_path) == ["folder"]


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


def test_a_folder_that_was_finished_while_the_lease_was_taken_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, take = tmp_path / "folder", Lease.take

    def late(lease: Lease) -> bool:
        folder.mkdir(exist_ok=True)
        return take(lease)

    monkeypatch.setattr(Lease, "take", late)
    build_once(folder, fail_to_make)
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        DataError, match=rf"{place}: expected a folder to write x into, got: .+\(dataset.cache="
    ):
        build_once(tmp_path / place / "x", fail_to_make, setting="dataset.cache")
    assert names(tmp_path) == ["file"]


def test_the_lease_of_a_maker_is_one_of_this_process(tmp_path: Path) -> None:
    def make(place: Path) -> None:
        lease = Lease(tmp_path / ".folder.lock")
        assert not lease.take()
        assert str(lease).endswith(f", process {os.getpid()}")
        assert lease.shows_heartbeat

    build_once(tmp_path / "folder", make)
