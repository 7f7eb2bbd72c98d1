"""Leases that are lost: by a process that is killed or stands still, or by what becomes of the lock file."""

import errno
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from filelock import _lease
from lock_files import KEPT, holding_process, seconds_until_taken, take, write_lock

from rwseg.core.errors import ClaimLostError
from rwseg.core.lease import Lease, holder_lives


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".lock"


def test_a_process_that_is_killed_loses_its_lease_at_once_even_before_its_parent_has_asked(
    path: Path,
) -> None:
    with holding_process(path, 120.0) as process:
        waiting = Lease(path)
        assert not waiting.take()
        assert waiting.shows_heartbeat
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert holder_lives(path) is False
        assert seconds_until_taken(path, 120.0) < 5


def test_a_process_that_was_stopped_for_longer_than_the_lease_is_told_before_it_writes(path: Path) -> None:
    with holding_process(path, KEPT) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        lease, started = Lease(path, KEPT), time.monotonic()
        while not lease.take():
            assert time.monotonic() - started < 30
            lease.wait()
        assert KEPT <= time.monotonic() - started < 5 * KEPT
        assert not lease.follows_the_dead
        with lease:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()  # it finds the line the moment it goes on, before any heartbeat
            process.send_signal(signal.SIGCONT)
            assert process.communicate(timeout=20)[0] == "told\n"
            lease.check()


def test_a_holder_that_was_overtaken_says_so_and_touches_nothing(path: Path) -> None:
    with take(path, 120.0) as lease:  # no heartbeat in the meantime
        path.unlink()
        write_lock(path, 120.0, host="elsewhere")
        content = path.read_bytes()
        with pytest.raises(ClaimLostError, match=f"{path.parent}: expected to be its only writer"):
            lease.check()
        answers: list[bool] = []
        thread = threading.Thread(target=lambda: answers.append(lease.is_lost))
        thread.start()
        thread.join()
        assert answers == [True], "any thread may ask"
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [None, "", "another one's\n"])
def test_a_lock_file_that_was_deleted_is_lost_and_lost_is_lost(path: Path, content: str | None) -> None:
    with take(path, 120.0) as lease:
        own = path.read_bytes()
        path.unlink()
        if content is not None:
            path.write_text(content)
        assert lease.is_lost
        path.write_bytes(own)
        assert lease.is_lost
    assert path.exists(), "another file with the same content"


def test_a_contender_that_holds_the_file_in_its_hands_for_a_moment_costs_nobody_a_lease(path: Path) -> None:
    with take(path, 120.0) as lease:
        aside = path.rename(path.with_name(".lock.break"))
        threading.Timer(0.02, aside.rename, (path,)).start()
        lease.check()


def test_heartbeats_end_with_the_lease_and_when_it_is_lost(path: Path) -> None:
    before = threading.active_count()
    with take(path) as lease:
        assert threading.active_count() == before + 1
        path.unlink()
        end = time.monotonic() + 20
        while threading.active_count() > before:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert lease.is_lost
    with take(path):
        pass
    assert threading.active_count() == before


def test_a_lease_that_no_heartbeat_reaches_is_lost_before_another_process_may_take_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str, *, fd: int) -> None:
        raise OSError(errno.EIO, "the server is away")

    with take(path) as lease:
        monkeypatch.setattr(_lease, "touch", fail)
        started = time.monotonic()
        while not lease.is_lost:
            time.sleep(0.01)
        assert time.monotonic() - started >= 0.5 * KEPT
