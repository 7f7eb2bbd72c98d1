"""The same work on every case, in this process or in several, with progress and all faults together."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context, parent_process
from signal import SIG_BLOCK, SIG_SETMASK, SIGINT, pthread_sigmask
from threading import Thread
from types import TracebackType
from typing import Self, TypeVar

import torch

from rwseg.errors import DataError
from rwseg.progress import track

T = TypeVar("T")
R = TypeVar("R")

MOST_FAULTS = 20


class Workers:
    """Processes that share work, each holding one item at a time; with 1, everything runs in this process.

    A context manager: the processes start with the first work and end with the block.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._pool: ProcessPoolExecutor | None = None

    def each(self, work: Callable[[T], R], items: Sequence[T], description: str) -> tuple[list[R], list[str]]:
        """Results of `work` in the order of `items`, and the messages of the `DataError`s that it raised.

        `work`, the items and the results must be picklable; large arrays belong on disk, not in a result. Any
        other error ends the work and is raised as it is. A process that dies is a `DataError`.
        """
        results: list[R] = []
        faults: list[str] = []
        outcomes = self._map(partial(_guarded, work), items)
        try:
            for _, outcome in zip(track(items, description), outcomes, strict=True):
                if isinstance(outcome, DataError):
                    faults.append(str(outcome))
                else:
                    results.append(outcome)
        except BrokenProcessPool as error:
            raise DataError(
                f"{description}: one of {self.number} processes died, most likely for want of memory; "
                "start again with fewer of them (workers=1)"
            ) from error
        return results, faults

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _map(self, work: Callable[[T], R | DataError], items: Sequence[T]) -> Iterable[R | DataError]:
        if min(self.number, len(items)) <= 1:
            return map(work, items)
        if self._pool is None:
            # Not forked: a child of a process with threads (PyTorch's) may hang on a lock that nobody opens.
            self._pool = ProcessPoolExecutor(self.number, get_context("spawn"), initializer=_start)
        # Processes start in here and inherit the mask. Ctrl-C reaches the whole group: only we answer it.
        mask = pthread_sigmask(SIG_BLOCK, {SIGINT})
        try:
            return self._pool.map(work, items)
        finally:
            pthread_sigmask(SIG_SETMASK, mask)


def raise_faults(what: str, faults: Sequence[str], number: int) -> None:
    """Raise `DataError` with all `faults` among the `number` cases of `what`, if there are any."""
    if not faults:
        return
    shown = [f"  - {fault}" for fault in faults[:MOST_FAULTS]]
    if len(faults) > MOST_FAULTS:
        shown.append(f"  and {len(faults) - MOST_FAULTS} more")
    raise DataError("\n".join([f"{what}: {len(faults)} faults in {number} cases:", *shown]))


def _start() -> None:
    torch.set_num_threads(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed cannot end its processes; they would wait for ever, and go on writing."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _guarded(work: Callable[[T], R], item: T) -> R | DataError:
    try:
        return work(item)
    except DataError as error:
        return error
