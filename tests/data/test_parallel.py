import os
import signal
import subprocess
import sys
from functools import partial

import pytest

from rwseg.data.parallel import MOST_FAULTS, Workers, raise_faults
from rwseg.errors import DataError


def double(number: int) -> tuple[int, int]:
    if number % 5 == 3:
        raise DataError(f"{number} is faulty")
    return 2 * number, os.getpid()


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


@pytest.mark.parametrize("number", [1, 2])
def test_any_other_error_is_raised_as_it_is(number: int) -> None:
    with Workers(number) as workers, pytest.raises(OSError, match="No space left") as caught:
        workers.each(fail, range(5), "failing")
    assert caught.value.errno == 28


def test_a_process_that_dies_is_told() -> None:
    with Workers(2) as workers, pytest.raises(DataError, match=r"dying: one of 2 processes died.*workers=1"):
        workers.each(partial(die, os.getpid()), range(6), "dying")


KILLED = """
import time
from functools import partial
from rwseg.data.parallel import Workers

with Workers(2) as workers:
    workers.each(partial(print, flush=True), ["up", "up"], "starting")
    workers.each(time.sleep, [60, 60], "sleeping")
"""


def test_processes_end_with_a_parent_that_is_killed() -> None:
    """Its output ends only when nobody can write there any more."""
    command = [sys.executable, "-c", KILLED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        assert [parent.stdout.readline() for _ in range(2)] == ["up\n", "up\n"]
        parent.kill()
        assert parent.communicate(timeout=30)[0] == ""


def test_ctrl_c_is_heard_by_the_parent_alone() -> None:
    """A terminal sends it to the whole group: the others would each print a traceback."""
    command = [sys.executable, "-c", KILLED.replace("60", "3")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as parent:
        assert parent.stdout is not None
        assert [parent.stdout.readline() for _ in range(2)] == ["up\n", "up\n"]
        os.killpg(parent.pid, signal.SIGINT)
        told = parent.communicate(timeout=30)[1]
    assert parent.returncode == -signal.SIGINT
    assert told.count("Traceback") == 1, told


def test_no_work_is_no_result() -> None:
    with Workers(2) as workers:
        assert workers.each(double, [], "nothing") == ([], [])


def test_a_long_list_of_faults_is_cut() -> None:
    raise_faults("dataset", [], 5)
    faults = [f"fault {n}" for n in range(MOST_FAULTS + 3)]
    with pytest.raises(DataError, match="dataset: 23 faults in 30 cases:\n  - fault 0\n") as caught:
        raise_faults("dataset", faults, 30)
    lines = str(caught.value).splitlines()
    assert (len(lines), lines[-1]) == (22, "  and 3 more")
