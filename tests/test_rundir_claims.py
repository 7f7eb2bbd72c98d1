"""Run directories have one writer at a time, and it is told who that is."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rwseg.cli import compose
from rwseg.config import check
from rwseg.errors import RunError
from rwseg.rundir import claimed, clear, save_config

CLAIM = """
import sys
from pathlib import Path
from rwseg.rundir import claimed
with claimed(Path(sys.argv[1])):
    print("claimed", flush=True)
    sys.stdin.read()
"""


@contextmanager
def claiming_process(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    line = [sys.executable, "-c", CLAIM, str(folder)]
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
        assert (folder / ".owner").read_text() == who  # the refused one does not touch it
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=10) == -signal.SIGKILL
        with claimed(folder):
            assert (folder / ".owner").read_text() == f"host {socket.gethostname()}, process {os.getpid()}"
    assert not (folder / ".owner").exists()


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
        assert {entry.name for entry in tmp_path.iterdir()} <= {".lock", ".owner"}
        with pytest.raises(RunError, match="another process"), claimed(tmp_path):
            pytest.fail("the claim was cleared")
