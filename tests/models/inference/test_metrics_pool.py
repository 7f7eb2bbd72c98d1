"""Metrics of cases in processes: the same rows, a bounded number of cases, errors as they are."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import pytest

from rwseg.core.errors import KilledError
from rwseg.models.inference.metrics_pool import CASES_EACH, MetricsPool
from rwseg.models.inference.whole_volumes import CaseIdentity, Row, case_rows

CLASSES = ("background", "one", "two")
PLAIN = CaseIdentity("", "subject", "ED", (4.0, 1.5, 1.0), "mm")


class Case:
    """A case whose name is made where it is measured."""

    subject, phase, native_spacing, unit = PLAIN[1:]

    def __init__(self, named: Callable[[], object]) -> None:
        self.named = named

    @property
    def name(self) -> str:
        return str(self.named())


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def slow() -> int:
    until = time.thread_time() + 0.2
    while time.thread_time() < until:
        pass
    return os.getpid()


def maps(seed: int) -> tuple[Any, Any]:
    """Prediction and reference `(Z, H, W)` of one of several shapes; some classes are absent."""
    random = np.random.default_rng(seed)
    shape = (1 + seed % 3, 11 + seed, 17)
    return (random.integers(0, 1 + seed % 3, shape).astype(np.uint8) for _ in range(2))  # type: ignore[return-value]


def add(pool: MetricsPool, seed: int, case: Any = None) -> None:
    pool.add(*maps(seed), case or PLAIN._replace(name=f"case{seed}"), CLASSES, "nan")


def measured(pool: MetricsPool, *cases: Any, case: Any = PLAIN) -> list[Row]:
    for prediction, reference in cases:
        pool.add(prediction, reference, case, CLASSES, "nan")
    return pool.rows()


@contextmanager
def pool_of(processes: int, seconds_here: float = 0) -> Iterator[MetricsPool]:
    with closing(MetricsPool(processes, seconds_here)) as pool:
        yield pool


def same(one: list[Row], other: list[Row]) -> bool:
    return repr(one) == repr(other)  # every bit of a float, and NaN is itself


@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 2])
def test_rows_are_those_of_each_case_in_their_order(processes: int) -> None:
    expected = [
        row
        for seed in range(9)
        for row in case_rows(*maps(seed), PLAIN._replace(name=f"case{seed}"), CLASSES, "nan")
    ]
    with pool_of(processes) as pool:
        for seed in range(9):
            add(pool, seed)
        assert same(pool.rows(), expected)
        assert pool.rows() == []
        add(pool, 3)
        assert same(pool.rows(), [row for row in expected if row["case"] == "case3"])


@pytest.mark.slow
def test_processes_are_others_and_end_with_the_pool() -> None:
    with pool_of(2) as pool:
        for seed in range(6):
            add(pool, seed, Case(slow))
        found = {int(row["case"]) for row in pool.rows()}
        assert len(found) == 2
        assert os.getpid() not in found
    for process in found:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_few_cases_start_no_process() -> None:
    with pool_of(2, seconds_here=60) as pool:
        add(pool, 1, Case(os.getpid))
        assert {row["case"] for row in pool.rows()} == {str(os.getpid())}


@pytest.mark.slow
def test_cases_are_measured_here_until_their_seconds_are_spent() -> None:
    with pool_of(1, seconds_here=0.3) as pool:
        for seed in range(4):
            add(pool, seed, Case(slow))
        here = [row["case"] == str(os.getpid()) for row in pool.rows()][:: len(CLASSES) - 1]
    assert here == [True, True, False, False]


@pytest.mark.slow
def test_no_more_cases_are_held_than_each_process_may_have() -> None:
    with pool_of(1) as pool:
        held = []
        for seed in range(3 * CASES_EACH):
            add(pool, seed, Case(slow))
            held.append(len(pool._begun))
        assert max(held) == CASES_EACH
        assert len(pool.rows()) == 3 * CASES_EACH * (len(CLASSES) - 1)


@pytest.mark.parametrize("processes", [0, 1])
def test_an_error_is_raised_as_it_is_and_the_pool_goes_on(processes: int) -> None:
    prediction, reference = maps(2)
    with pool_of(processes) as pool:
        with pytest.raises(ValueError, match=r"prediction: expected labels in \[0, 3\), got .*7"):
            measured(pool, (np.full_like(prediction, 7), reference))
        add(pool, 4)
        assert [row["case"] for row in pool.rows()] == ["case4", "case4"]


@pytest.mark.slow
def test_a_process_that_is_killed_is_told() -> None:
    with pool_of(1) as pool, pytest.raises(KilledError, match=r"metrics: one of 1 processes.*workers=1"):
        measured(pool, *[maps(seed) for seed in range(5)], case=Case(killed))


@pytest.mark.slow
def test_a_pool_that_is_closed_in_the_middle_forgets_and_may_begin_again() -> None:
    with pool_of(1) as pool:
        add(pool, 1, Case(slow))
        pool.close()
        assert pool.rows() == []
        add(pool, 2)
        assert len(pool.rows()) == len(CLASSES) - 1
