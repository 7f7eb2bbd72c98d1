"""The same work on every case, in this process or in several, with progress and all faults together."""

import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from signal import SIGINT, SIGTERM
from threading import Thread
from types import TracebackType
from typing import Self, TypeVar

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor

from rwseg.core.errors import DataError, KilledError
from rwseg.core.faults import listed
from rwseg.core.progress import track
from rwseg.core.signals import deaf_children

T = TypeVar("T")
R = TypeVar("R")

SECONDS_BETWEEN_LOOKS = 0.2

SECONDS_TO_START = 3.0
"""Of the processor: what a process takes to import what it needs. Shorter work is done without it."""


class Workers:
    """Processes that share work, each holding one item at a time; with 1, everything runs in this process.

    A context manager: the processes start with the first work, or with what is left of it after
    `seconds_here` of the processor in this one, and end with the block.
    """

    def __init__(self, number: int, seconds_here: float = 0.0) -> None:
        self.number = number
        self.seconds_here = seconds_here
        self._started = False

    def each(
        self,
        work: Callable[[T], R],
        items: Sequence[T],
        description: str,
        note: Callable[[T, R], None] | None = None,
    ) -> tuple[list[R], list[str]]:
        """Results of `work` in the order of `items`, and the messages of the `DataError`s that it raised.

        `work`, the items and the results must be picklable; large arrays belong on disk, not in a result. Any
        other error ends the work and is raised as it is. A process that dies is a `KilledError`. `note` is
        told of each result, in the order of the items, as soon as it is there.
        """
        results: list[R] = []
        faults: list[str] = []
        try:
            with _joblib_silent(), ExitStack() as stack:
                outcomes = self._map(partial(_guarded, work), items, stack)
                for item, outcome in zip(track(items, description), outcomes, strict=True):
                    if isinstance(outcome, DataError):
                        faults.append(str(outcome))
                        continue
                    results.append(outcome)
                    if note is not None:
                        note(item, outcome)
        except BrokenProcessPool as error:
            raise KilledError(
                f"{description}: one of {self.number} processes died, most likely for want of memory; "
                "start again with fewer of them (workers=1)"
            ) from error
        return results, faults

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started:  # else joblib would keep them, and their memory, for minutes
            get_reusable_executor(reuse=True).shutdown(kill_workers=error is not None)
            self._started = False

    def _map(self, work: Callable[[T], R], items: Sequence[T], stack: ExitStack) -> Iterator[R]:
        """Results one by one; where `stack` ends before the last one, the processes that make them end."""
        if min(self.number, len(items)) <= 1:
            yield from map(work, items)
            return
        begun, done = time.thread_time(), 0
        while done < len(items) and time.thread_time() < begun + self.seconds_here:
            yield work(items[done])
            done += 1
        if done < len(items):
            yield from self._by_processes(work, items[done:], stack)

    def _by_processes(self, work: Callable[[T], R], items: Sequence[T], stack: ExitStack) -> Iterable[R]:
        self._started = True
        with parallel_config("loky", inner_max_num_threads=1, initializer=end_with, initargs=(os.getpid(),)):
            # One item at a time, and none as a file in joblib's temporary folder.
            pool = Parallel(self.number, return_as="generator", batch_size=1, max_nbytes=None)
        with deaf_children(SIGINT, SIGTERM):
            return stack.enter_context(closing(pool(delayed(work)(item) for item in items)))


def raise_faults(what: str, faults: Sequence[str], number: int) -> None:
    """Raise `DataError` with the kinds of `faults` among the `number` cases of `what`, if there are any."""
    if faults:
        raise DataError("\n".join([f"{what}: {len(faults)} faults in {number} cases:", *listed(faults)]))


@contextmanager
def _joblib_silent() -> Iterator[None]:
    """No warnings of joblib: of work that an error or Ctrl-C ends it says that it could have been used."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"joblib\.")
        yield


def end_with(parent: int) -> None:
    """Have this process end with its parent, which cannot end it when killed: it would go on writing."""

    def end_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    Thread(target=end_with_parent, daemon=True).start()


def _guarded(work: Callable[[T], R], item: T) -> R | DataError:
    try:
        return work(item)
    except DataError as error:
        return error
