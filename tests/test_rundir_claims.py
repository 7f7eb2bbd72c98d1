"""Run directories have one writer at a time, and it is told who that is."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from rwseg.cli import compose
from rwseg.config import check
from rwseg.errors import ClaimLostError, RunError
from rwseg.lease import look
from rwseg.process import this_process
from rwseg.rundir import CLAIM, claimed, clear, save_config

HOLD = """
import sys
import threading
from pathlib import Path
from rwseg.rundir import claimed
with claimed(Path(sys.argv[1])):
    print("claimed", flush=True)
    sys.stdin.read()
"""


@contextmanager
def claiming_process(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    line = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_until_the_first_one_dies(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    with claiming_process(folder) as process:
        who = f"host {socket.gethostname()}, process {process.pid}"
        with pytest.raises(RunError, match=f"another process is writing this run: {who}"), claimed(folder):
            pytest.fail("two processes hold the same run")
        assert str(look(folder / CLAIM).holder) == who  # the refused one does not touch it
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=10) == -signal.SIGKILL
        with claimed(folder):
            assert look(folder / CLAIM).holder == this_process()
    assert look(folder / CLAIM).free


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


def test_clear_leaves_nothing_but_the_claim(tmp_path: Path) -> None:
    with claimed(tmp_path):
        save_config(tmp_path, check(compose("train", [])[0]))
        (tmp_path / "metrics").mkdir()
        (tmp_path / "metrics" / "cases.csv").write_text("case\n")
        clear(tmp_path)
        assert {entry.name for entry in tmp_path.iterdir()} == {CLAIM}
        with pytest.raises(RunError, match="another process"), claimed(tmp_path):
            pytest.fail("the claim was cleared")


def pretend(folder: Path, token: str, **changes: str) -> None:
    """A claim of a process that is not this one."""
    (folder / CLAIM).mkdir(exist_ok=True)
    process = asdict(replace(this_process(), **changes))  # type: ignore[arg-type]
    (folder / CLAIM / "0001").write_text(json.dumps({"token": token, "process": process}))


def test_a_process_of_another_machine_is_refused_while_it_gives_signs_of_life(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pretend(tmp_path, "abc", host="elsewhere")
    threading.Timer(0.1, (tmp_path / CLAIM / "0001-abc").write_text, ("1",)).start()
    with (
        caplog.at_level("INFO"),
        pytest.raises(RunError, match="another process is writing this run: host elsewhere"),
        claimed(tmp_path, patience=20.0),
    ):
        pytest.fail("it lives")
    assert "is claimed by host elsewhere, process" in caplog.text
    assert "watching for up to 20 s whether it lives" in caplog.text


def test_a_process_of_another_machine_is_replaced_where_it_gives_none(tmp_path: Path) -> None:
    pretend(tmp_path, "abc", host="elsewhere")
    with claimed(tmp_path, patience=0.2) as lease:
        assert lease.number == 2


def test_a_claim_that_is_lost_ends_the_block_with_an_error(tmp_path: Path) -> None:
    with pytest.raises(ClaimLostError, match="another process took it over"), claimed(tmp_path):
        (tmp_path / CLAIM / "0001").rename(tmp_path / CLAIM / "0002")
