"""Leases: one holder at a time, taken over only where the holder is gone, whatever clocks and files say."""

import json
import os
import shutil
import threading
import time
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from rwseg.errors import ClaimLostError
from rwseg.lease import Lease, Watch, look
from rwseg.process import this_process

SHORT = 0.4
"""Seconds of patience: a holder beats every 50 ms."""

ELSEWHERE = replace(this_process(), host="elsewhere", machine="another")


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def take(place: Path, patience: float = SHORT) -> Lease:
    lease = Watch(place, patience).take()
    assert lease is not None
    return lease


def write_claim(place: Path, number: int = 1, process: object = ELSEWHERE, token: str = "abc") -> None:
    place.mkdir(exist_ok=True)
    content = {"token": token, "process": asdict(process)}  # type: ignore[call-overload]
    (place / f"{number:04d}").write_text(json.dumps(content))


def seconds_until_taken(place: Path, patience: float = SHORT) -> float:
    watch, started = Watch(place, patience), time.monotonic()
    while watch.take() is None:
        watch.wait()
    return time.monotonic() - started


def test_one_holder_at_a_time_and_numbers_that_only_grow(tmp_path: Path) -> None:
    place = tmp_path / "not" / "there" / ".claim"
    assert look(place).free
    for number in (1, 2, 3):
        with take(place) as lease:
            assert (lease.number, names(place)) == (number, [f"000{number}", f"000{number}-{lease.token}"])
            assert look(place).holder == this_process()
            assert Watch(place).take() is None
            lease.check()
        assert names(place) == [f"000{number}.free"]
        assert look(place).free


def test_a_holder_that_gives_signs_of_life_keeps_its_claim(tmp_path: Path) -> None:
    with take(tmp_path / ".claim") as lease:
        watch, end = Watch(lease.place, SHORT), time.monotonic() + 4 * SHORT
        counts = set()
        while time.monotonic() < end:
            assert watch.take() is None
            assert watch.claim is not None
            counts.add(watch.claim.count)
            watch.wait()
        assert len(counts) > 8
        assert all(len(count) == 12 for count in counts)
        lease.check()


def test_a_claim_of_another_machine_is_taken_over_after_the_patience_and_not_before(tmp_path: Path) -> None:
    write_claim(tmp_path)
    (tmp_path / "0001-abc").write_bytes(b"000000000041")
    assert SHORT <= seconds_until_taken(tmp_path) < 4 * SHORT
    assert names(tmp_path)[0] == "0002", "what the lost one left is removed"


def test_one_sign_of_life_starts_the_patience_anew_and_shows_that_the_holder_lives(tmp_path: Path) -> None:
    write_claim(tmp_path)
    (tmp_path / "0001-abc").write_bytes(b"000000000041")
    watch = Watch(tmp_path, SHORT)
    assert watch.take() is None
    assert not watch.is_alive
    time.sleep(0.75 * SHORT)
    (tmp_path / "0001-abc").write_bytes(b"000000000042")
    assert watch.take() is None
    assert watch.is_alive
    time.sleep(0.75 * SHORT)
    assert watch.take() is None
    time.sleep(0.5 * SHORT)
    assert watch.take() is not None


@pytest.mark.parametrize("years", [-40, 40])
def test_clocks_that_differ_change_nothing(tmp_path: Path, years: int) -> None:
    """Neither does an old file lose its holder the claim, nor does one of the future keep a dead one's."""
    then = time.time() + years * 365 * 24 * 3600

    def date() -> None:
        for path in lease.place.iterdir():
            os.utime(path, (then, then))
        os.utime(lease.place, (then, then))

    with take(tmp_path / ".claim") as lease:
        watch, end = Watch(lease.place, SHORT), time.monotonic() + 2 * SHORT
        while time.monotonic() < end:
            date()
            assert watch.take() is None
            watch.wait()
    dead = tmp_path / "dead"
    write_claim(dead)
    (dead / "0001-abc").write_bytes(b"000000000041")
    for path in dead.iterdir():
        os.utime(path, (then, then))
    assert SHORT <= seconds_until_taken(dead) < 4 * SHORT


@pytest.mark.parametrize(
    "process",
    [replace(this_process(), pid=2**22 + 1), replace(this_process(), started="1")],
    ids=["no such process", "the number was given to another process"],
)
def test_a_process_that_is_gone_from_this_machine_loses_its_claim_at_once(
    tmp_path: Path, process: object
) -> None:
    if this_process().machine is None:
        pytest.skip("this system does not tell a boot from another")
    write_claim(tmp_path, process=process)
    assert Watch(tmp_path).take() is not None


@pytest.mark.parametrize(
    "process",
    [
        replace(this_process(), pid=2**22 + 1, machine="another boot or container"),
        replace(this_process(), pid=2**22 + 1, machine=None),
        replace(this_process(), pid=2**22 + 1, host="elsewhere"),
        replace(this_process(), started=None),
    ],
)
def test_where_nothing_can_tell_a_process_is_not_taken_for_gone(tmp_path: Path, process: object) -> None:
    write_claim(tmp_path, process=process)
    assert Watch(tmp_path).take() is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"token": "a"}', '{"token": 1, "process": {"x": 1}}'])
def test_a_claim_that_nobody_finished_is_waited_for(tmp_path: Path, content: str) -> None:
    (tmp_path / "0004").write_text(content)
    assert seconds_until_taken(tmp_path) >= SHORT
    assert look(tmp_path).number == 5


def test_a_holder_that_was_overtaken_says_so_and_touches_nothing(tmp_path: Path) -> None:
    with take(tmp_path / ".claim") as lease:
        write_claim(lease.place, number=2)
        assert lease.is_lost
        with pytest.raises(ClaimLostError, match=f"{tmp_path}: expected to be its only writer"):
            lease.check()
        (lease.place / "0002").unlink()
        assert lease.is_lost, "lost is lost"
        write_claim(lease.place, number=2)
    assert names(lease.place) == ["0001", "0002"]


@pytest.mark.parametrize("how", ["removed", "another one's", "given back"])
def test_a_claim_that_was_deleted_is_lost(tmp_path: Path, how: str) -> None:
    with take(tmp_path / ".claim") as lease:
        shutil.rmtree(lease.place)
        if how != "removed":
            write_claim(lease.place)
        if how == "given back":
            (lease.place / "0001").rename(lease.place / "0001.free")
        assert lease.is_lost
    assert not lease.place.exists() or names(lease.place) in (["0001"], ["0001.free"])


def test_signs_of_life_end_with_the_lease_and_when_it_is_lost(tmp_path: Path) -> None:
    before = threading.active_count()
    with take(tmp_path / ".claim") as lease:
        assert threading.active_count() == before + 1
        write_claim(lease.place, number=2)
        time.sleep(SHORT)
        assert threading.active_count() == before
    with take(tmp_path / "other"):
        pass
    assert threading.active_count() == before


def test_a_number_that_was_used_and_cleared_away_is_not_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client of a network file system may see a list of files that is a minute old."""
    listdir = os.listdir
    for _ in range(2):
        with take(tmp_path):
            pass
    answers: list[list[str]] = [[]]  # the list before anybody came
    monkeypatch.setattr(os, "listdir", lambda place: answers.pop() if answers else listdir(place))
    assert Watch(tmp_path).take() is None
    assert names(tmp_path) == ["0002.free"]


def _hold(place: Path, inside: Path, rounds: int) -> None:
    for _ in range(rounds):
        watch = Watch(place, 60.0)
        while (lease := watch.take()) is None:
            time.sleep(0.001)
        with lease:
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # fails where another one is inside
            lease.check()
            inside.unlink()


def test_many_processes_are_inside_one_after_another(tmp_path: Path) -> None:
    context = get_context("forkserver")
    processes = [
        context.Process(target=_hold, args=(tmp_path / ".claim", tmp_path / "inside", 6)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert names(tmp_path / ".claim") == ["0024.free"]
