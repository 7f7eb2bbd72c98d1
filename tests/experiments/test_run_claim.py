"""Run directories have one writer at a time, and it is told who that is."""

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from lock_files import NO_PROCESS, holding_process, write_lock

from rwseg.core.errors import ClaimLostError, RunError
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.experiments.run_claim import LOCK, claimed, clear, gone_unless_begun
from rwseg.experiments.run_directory import save_config

CLAIM = """
import sys
import threading
from pathlib import Path
from rwseg.experiments.run_claim import claimed
with claimed(Path(sys.argv[1])):
    print("holds", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_one_dies(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    with holding_process(folder, code=CLAIM) as process:
        who = f"host {socket.gethostname()}, process {process.pid}"
        with pytest.raises(RunError, match=f"another process is writing this run: {who}"), claimed(folder):
            pytest.fail("two processes hold the same run")
        assert f"pid={process.pid}\n" in (folder / LOCK).read_text(), "the refused one does not touch it"
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=10) == -signal.SIGKILL
        with claimed(folder):
            assert f"pid={os.getpid()}\n" in (folder / LOCK).read_text()
    assert not folder.exists()


def test_a_claim_ends_with_an_error_and_holds_within_one_process_too(tmp_path: Path) -> None:
    def claim_and_fail() -> None:
        with claimed(tmp_path):
            with pytest.raises(RunError, match=f"process {os.getpid()}"), claimed(tmp_path):
                pytest.fail("claimed twice")
            raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            claim_and_fail()


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file")
    with (
        pytest.raises(RunError, match=r"expected a folder that can be written.*output_root"),
        claimed(tmp_path / "outputs" / "run"),
    ):
        pytest.fail("claimed a folder below a file")


def test_clear_leaves_nothing_but_the_lock_file(tmp_path: Path) -> None:
    with claimed(tmp_path):
        save_config(tmp_path, check(compose("train", [])[0]))
        (tmp_path / "metrics").mkdir()
        (tmp_path / "metrics" / "cases.csv").write_text("case\n")
        (tmp_path / ".claim").mkdir()  # what an earlier version of rwseg left
        clear(tmp_path)
        assert {entry.name for entry in tmp_path.iterdir()} == {LOCK}
        with pytest.raises(RunError, match="another process"), claimed(tmp_path):
            pytest.fail("the lock file was cleared")


@pytest.mark.parametrize(("begins", "left"), [(False, False), (True, True)])
def test_a_new_directory_is_gone_where_the_setup_fails(tmp_path: Path, begins: bool, left: bool) -> None:
    folder = tmp_path / "run"

    def set_up() -> None:
        with claimed(folder), gone_unless_begun(folder) as begun:
            (folder / "config.yaml").write_text("seed: 0\n")
            if begins:
                begun.set()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        set_up()
    assert folder.exists() == left
    assert (folder / "config.yaml").exists() == left


def test_a_run_that_was_there_stays_where_the_setup_fails(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(ZeroDivisionError), claimed(tmp_path), gone_unless_begun(tmp_path):
        raise ZeroDivisionError
    assert (tmp_path / "config.yaml").exists()


def test_the_claim_of_an_earlier_version_is_ignored(tmp_path: Path) -> None:
    (tmp_path / ".claim").mkdir()
    (tmp_path / ".claim" / "0001").write_text('{"token": "abc", "process": {}}')
    with claimed(tmp_path) as lease:
        lease.check()


def test_a_process_of_another_machine_is_refused_as_soon_as_it_shows_a_heartbeat(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_lock(tmp_path / LOCK, 20.0, host="elsewhere", pid=NO_PROCESS)
    threading.Timer(0.1, os.utime, (tmp_path / LOCK,)).start()
    started = time.monotonic()
    with (
        caplog.at_level("INFO"),
        pytest.raises(RunError, match="another process is writing this run: host elsewhere"),
        claimed(tmp_path, 20.0),
    ):
        pytest.fail("it lives")
    assert time.monotonic() - started < 10
    assert f"is claimed by host elsewhere, process {NO_PROCESS}" in caplog.text
    assert "watching for up to 20 s whether it shows a heartbeat" in caplog.text


def test_a_process_of_another_machine_is_replaced_where_it_shows_none(tmp_path: Path) -> None:
    write_lock(tmp_path / LOCK, 0.2, host="elsewhere")
    started = time.monotonic()
    with claimed(tmp_path, 0.2):
        assert time.monotonic() - started >= 0.2


def test_another_lease_duration_is_refused(tmp_path: Path) -> None:
    with (
        claimed(tmp_path, 30.0),
        pytest.raises(RunError, match=r"\.lock: expected the lease duration of this version"),
        claimed(tmp_path),
    ):
        pytest.fail("claimed twice")


def test_a_claim_that_is_lost_ends_the_block_with_an_error(tmp_path: Path) -> None:
    def lose() -> None:
        with claimed(tmp_path):
            (tmp_path / LOCK).unlink()
            write_lock(tmp_path / LOCK, 120.0, host="elsewhere")

    with pytest.raises(ClaimLostError, match="another process took it over"):
        lose()
    assert "host=elsewhere" in (tmp_path / LOCK).read_text()
