"""Leases: one holder at a time, taken over only where the holder is gone, whatever clocks and files say."""

import os
import time
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from filelock import _soft
from lock_files import KEPT, NO_PROCESS, SHORT, names, seconds_until_taken, take, write_lock

from rwseg.core.errors import RunError
from rwseg.core.lease import Lease, holder_lives


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".lock"


@pytest.fixture
def no_exchange(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file system refuses to exchange two files in one step, as NFS, SMB, Lustre and Ceph do."""
    exchange = _soft.exchange_names

    def refuse(source: str, target: str) -> bool:
        return target != str(path) and exchange(source, target)

    monkeypatch.setattr(_soft, "exchange_names", refuse)


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "not" / "there" / ".lock"
    for _ in range(3):
        assert holder_lives(path) is False
        with take(path) as lease:
            other = Lease(path, KEPT)
            assert not other.take()
            assert other.shows_heartbeat
            assert (other.holder and other.holder.token, str(other).split()[-1]) == (
                lease.token,
                str(os.getpid()),
            )
            lease.check()
        assert names(path.parent) == []


def test_a_holder_that_shows_a_heartbeat_keeps_its_lease(path: Path) -> None:
    with take(path) as lease:
        watcher, end, seen = Lease(path, KEPT), time.monotonic() + 2.5 * KEPT, set()
        while time.monotonic() < end:
            assert not watcher.take()
            seen.add(path.stat().st_mtime_ns)
            watcher.wait()
        assert len(seen) > 4
        lease.check()


def test_a_lease_of_another_machine_is_taken_over_after_its_duration_and_not_before(path: Path) -> None:
    write_lock(path, SHORT, host="elsewhere")
    assert SHORT <= seconds_until_taken(path) < 5 * SHORT
    assert names(path.parent) == []


def test_one_heartbeat_starts_the_duration_anew_and_shows_that_the_holder_lives(path: Path) -> None:
    write_lock(path, KEPT, host="elsewhere")
    lease = Lease(path, KEPT)
    assert not lease.take()
    assert not lease.shows_heartbeat
    time.sleep(0.6 * KEPT)
    os.utime(path)
    assert not lease.take()
    assert lease.shows_heartbeat
    time.sleep(0.6 * KEPT)
    assert not lease.take(), "1.2 durations after it was seen first"
    time.sleep(0.6 * KEPT)
    assert lease.take()


@pytest.mark.parametrize("years", [-40, pytest.param(40, marks=pytest.mark.slow)])
def test_clocks_that_differ_change_nothing(tmp_path: Path, years: int) -> None:
    """Neither does an old file lose its holder the lease, nor does one of the future keep a dead one's."""
    then = time.time() + years * 365 * 24 * 3600
    path, dead = tmp_path / ".lock", tmp_path / ".dead"
    with take(path) as lease:
        watcher, end = Lease(path, KEPT), time.monotonic() + 2 * KEPT
        while time.monotonic() < end:
            os.utime(path, (then, then))
            assert not watcher.take()
            watcher.wait()
        lease.check()
    write_lock(dead, SHORT, host="elsewhere")
    os.utime(dead, (then, then))
    assert SHORT <= seconds_until_taken(dead) < 5 * SHORT


GONE = [{"pid": NO_PROCESS}, {"start": 1}]
GONE_IDS = ["no such process", "the number was given to another process"]


@pytest.mark.parametrize("changes", GONE, ids=GONE_IDS)
def test_a_process_that_is_gone_from_this_machine_loses_its_lease_at_once(
    path: Path, changes: dict[str, object]
) -> None:
    write_lock(path, 120.0, **changes)
    assert holder_lives(path) is False
    with take(path, 120.0) as lease:
        assert lease.holder is not None
        assert lease.holder.token == "0a1b"
        assert lease.follows_the_dead == ("pid" in changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"pid": NO_PROCESS, "host": "another-machine"},
        {"pid": NO_PROCESS, "host": "this-machine?pidns-f0000000"},
        {"start": None},
    ],
    ids=["another machine", "another container", "no start in the file"],
)
def test_where_nothing_can_tell_a_process_is_not_taken_for_gone(
    path: Path, changes: dict[str, object]
) -> None:
    write_lock(path, 120.0, **changes)
    content, status = path.read_bytes(), path.stat()
    assert holder_lives(path) is (True if "start" in changes else None)
    assert not Lease(path).take()
    after = path.stat()
    assert (path.read_bytes(), after.st_ino, after.st_mtime_ns) == (
        content,
        status.st_ino,
        status.st_mtime_ns,
    )


@pytest.mark.parametrize("error", [FileNotFoundError, OSError])
def test_without_a_place_for_temporary_files_nobody_is_taken_for_gone(
    path: Path, error: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error("no usable temporary directory")

    monkeypatch.setattr("rwseg.core.lease.TemporaryDirectory", fail)
    with take(path) as lease:
        assert holder_lives(path) is None
        assert not Lease(path, KEPT).take()
        lease.check()


@pytest.mark.parametrize("content", ["", "{", "filelock/2\n", "filelock/2\npid=1\nhost=a\nmode=lea"])
def test_a_lock_file_that_nobody_finished_is_waited_for(path: Path, content: str) -> None:
    path.write_text(content)
    assert holder_lives(path) is None
    lease = Lease(path, SHORT)
    assert not lease.take()
    assert (str(lease), lease.shows_heartbeat) == ("an unknown process", False)
    assert SHORT <= seconds_until_taken(path) < 5 * SHORT


def test_another_lease_duration_is_refused_and_the_file_named(path: Path) -> None:
    with take(path), pytest.raises(RunError, match=r"\.lock: expected the lease duration.*1\.0s.*process \d"):
        Lease(path).take()


@pytest.mark.usefixtures("no_exchange")
def test_where_files_cannot_be_exchanged_a_lease_of_another_machine_is_taken_over_too(path: Path) -> None:
    write_lock(path, SHORT, host="elsewhere")
    assert SHORT <= seconds_until_taken(path) < 5 * SHORT


@pytest.mark.usefixtures("no_exchange")
@pytest.mark.parametrize("changes", GONE, ids=GONE_IDS)
def test_where_files_cannot_be_exchanged_a_process_that_is_gone_loses_its_lease_too(
    path: Path, changes: dict[str, object]
) -> None:
    write_lock(path, 120.0, **changes)
    assert seconds_until_taken(path, 120.0) < 5


def _hold(path: Path, inside: Path, rounds: int, start: Barrier, duration: float) -> None:
    start.wait(60)
    for _ in range(rounds):
        lease = Lease(path, duration)
        while not lease.take():
            time.sleep(0.001)
        with lease:
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # fails where another one is inside
            lease.check()
            inside.unlink()


@pytest.mark.parametrize(
    ("many", "rounds", "duration", "left"), [(4, 6, 60.0, None), (8, 1, 2.0, "elsewhere")]
)
def test_many_processes_are_inside_one_after_another(
    path: Path, many: int, rounds: int, duration: float, left: str | None
) -> None:
    if left is not None:
        write_lock(path, duration, host=left)
    context = get_context("forkserver")
    start = context.Barrier(many)
    arguments = (path, path.with_name("inside"), rounds, start, duration)
    processes = [context.Process(target=_hold, args=arguments) for _ in range(many)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * many
    assert names(path.parent) == []
