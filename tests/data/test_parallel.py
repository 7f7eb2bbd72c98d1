import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from rwseg.core.errors import DataError
from rwseg.core.faults import MOST_LISTED
from rwseg.data.parallel import Workers, raise_faults


def double(number: int) -> tuple[int, int]:
    if number % 5 == 3:
        raise DataError(f"{number} is faulty")
    return 2 * number, os.getpid()


def slowly_double(number: int) -> tuple[int, int]:
    until = time.thread_time() + 0.06
    while time.thread_time() < until:
        pass
    return 2 * number, os.getpid()


def threads(_: int) -> int:
    return torch.get_num_threads()


def fail(number: int) -> int:
    if number == 2:
        raise OSError(28, "No space left on device")
    return number


def die(parent: int, number: int) -> int:
    if number == 3 and os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("number", [1, 2])
def test_results_come_in_order_and_faults_together(number: int) -> None:
    with Workers(number) as workers:
        results, faults = workers.each(double, range(14), "doubling")
        again, _ = workers.each(double, [1, 2], "doubling again")
    assert [result for result, _ in results] == [2 * n for n in range(14) if n % 5 != 3]
    assert faults == ["3 is faulty", "8 is faulty", "13 is faulty"]
    processes = {process for _, process in results}
    assert ({os.getpid()} == processes) == (number == 1)
    assert {process for _, process in again} <= processes, "the processes stay for the next work"


@pytest.mark.slow
def test_what_takes_little_time_is_done_here_and_the_rest_by_processes() -> None:
    with Workers(2, seconds_here=60) as workers:
        results, faults = workers.each(double, range(5), "doubling")
    assert ({process for _, process in results}, faults) == ({os.getpid()}, ["3 is faulty"])
    with Workers(2, seconds_here=0.1) as workers:
        results, _ = workers.each(slowly_double, range(6), "doubling slowly")
    assert [result for result, _ in results] == [2 * n for n in range(6)]
    here = [process == os.getpid() for _, process in results]
    assert here == sorted(here, reverse=True), "first here"
    assert {True, False} == set(here)


@pytest.mark.slow
def test_a_process_has_one_thread_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with Workers(2) as workers:
        assert workers.each(threads, [0, 1], "counting") == ([1, 1], [])


@pytest.mark.parametrize("number", [1, 2])
def test_any_other_error_is_raised_as_it_is(number: int) -> None:
    with Workers(number) as workers, pytest.raises(OSError, match="No space left") as caught:
        workers.each(fail, range(5), "failing")
    assert caught.value.errno == 28


def test_a_process_that_dies_is_told() -> None:
    with Workers(2) as workers, pytest.raises(DataError, match=r"dying: one of 2 processes died.*workers=1"):
        workers.each(partial(die, os.getpid()), range(6), "dying")


KILLED = """
import os, time
from functools import partial
from pathlib import Path
from rwseg.data.parallel import Workers
from rwseg.core.signals import Terminated, terminable

try:
    with terminable(), Workers(2) as workers:
        workers.each(partial(os.write, 1), [b"up\\n", b"up\\n"], "starting")
        workers.each(time.sleep, [60, 60], "sleeping")
except Terminated:
    raise SystemExit(143)
"""


def start(seconds: int, folder: Path) -> subprocess.Popen[str]:
    """A session of its own whose processes are at work, with what joblib stores going to `folder`."""
    parent = subprocess.Popen(
        [sys.executable, "-c", KILLED.replace("60", str(seconds))],
        env={**os.environ, "JOBLIB_TEMP_FOLDER": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    assert [parent.stdout.readline() for _ in range(2)] == ["up\n", "up\n"]
    return parent


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Its output ends only when nobody can write there any more."""
    with start(60, tmp_path) as parent:
        parent.kill()
        assert parent.communicate(timeout=30)[0] == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_is_heard_by_the_parent_alone(number: signal.Signals, tmp_path: Path) -> None:
    """A terminal or a scheduler sends it to the whole group: the others would each print a traceback."""
    with start(50, tmp_path) as parent:
        os.killpg(parent.pid, number)
        told = parent.communicate(timeout=30)[1]
    assert parent.returncode in (-number, 128 + number)
    assert "warn" not in told.lower()
    assert told.count("Traceback") == (number == signal.SIGINT), told
    assert not list(tmp_path.iterdir())


def test_no_work_is_no_result() -> None:
    with Workers(2) as workers:
        assert workers.each(double, [], "nothing") == ([], [])


def test_a_long_list_of_faults_is_cut() -> None:
    raise_faults("dataset", [], 5)
    faults = [f"fault {n}" for n in range(MOST_LISTED + 3)]
    with pytest.raises(DataError, match="dataset: 23 faults in 30 cases:\n  - fault 0\n") as caught:
        raise_faults("dataset", faults, 30)
    lines = str(caught.value).splitlines()
    assert (len(lines), lines[-1]) == (22, "  and 3 more")
