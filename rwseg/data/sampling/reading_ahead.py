"""Batches read before they are asked for: by a thread from host memory, by processes from disk."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import forkserver
from signal import SIGINT
from threading import Thread
from typing import Any, Generic, TypeVar

from joblib import cpu_count
from torch.utils.data import DataLoader, Dataset

from rwseg.core.errors import DataError
from rwseg.core.signals import deaf_children

T = TypeVar("T")

AHEAD = 2
"""Batches that each thread or process has read before they are asked for."""

HELD = AHEAD + 1
"""Batches that each of them holds at once, with the one that is made."""

FEW_CORES = 4
"""With fewer, one process reads: the training needs the others."""


def by_thread(read: Callable[[int], T], steps: Iterable[int]) -> Iterator[T]:
    """`read` of each step, in order; the thread ends with the iterator."""
    with ThreadPoolExecutor(1) as pool:
        begun: deque[Future[T]] = deque()
        try:
            for step in steps:
                begun.append(pool.submit(read, step))
                if len(begun) > AHEAD:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for one in begun:
                one.cancel()


class ProcessReader(Generic[T]):
    """Processes that call `read`, which is pickled; they start with the first step and end with `close`.

    They are forked from a process that has imported what they need and nothing else: they inherit no array,
    no thread and no signal. `pin` has batches come in pinned memory. What `read` raises as a `DataError` is
    raised here, as is one where a process dies.
    """

    def __init__(self, read: Callable[[int], T], pin: bool) -> None:
        self.read = read
        self.pin = pin
        self.steps: Iterable[int] = ()
        self.loader: DataLoader[T | DataError] | None = None
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["rwseg.data.training_steps"])
        with deaf_children(SIGINT):  # by SIGTERM Python ends those that are left
            forkserver.ensure_running()  # it imports while the training is built

    def batches(self, steps: Iterable[int]) -> Iterator[T]:
        """The batches of `steps`, in order."""
        self.steps = steps
        if self.loader is None:
            self.loader = self._start()
        batches = iter(self.loader)
        try:
            while (batch := _next(batches)) is not None:
                if isinstance(batch, DataError):
                    raise batch
                yield batch
        finally:
            del batches  # an error would keep it in its traceback, and the processes with it

    def close(self) -> None:
        """End the processes."""
        self.loader = None

    def _start(self) -> DataLoader[T | DataError]:
        return DataLoader(
            _Guarded(self.read),
            batch_size=None,
            sampler=_Now(self),
            collate_fn=_as_it_is,
            num_workers=reading_processes(),
            prefetch_factor=AHEAD,
            persistent_workers=True,
            pin_memory=self.pin,
            worker_init_fn=_follow,
            multiprocessing_context=self.context,
        )


def _next(batches: Iterator[T]) -> T | None:
    """The next batch; None after the last one."""
    try:
        return next(batches, None)
    except (RuntimeError, OSError, EOFError) as error:  # so PyTorch tells of a process that is gone
        if type(error) is RuntimeError and not str(error).startswith("DataLoader worker"):
            raise
        raise DataError(
            "data.residency=disk: a process that reads batches died, most likely for want of memory "
            f"({error}); allow more memory, or give a smaller dataset.batch_size"
        ) from error


class _Now(Iterable[int]):
    """The steps that are asked for now: the loader goes through them anew each time."""

    def __init__(self, reader: ProcessReader[Any]) -> None:
        self.reader = reader

    def __iter__(self) -> Iterator[int]:
        return iter(self.reader.steps)


class _Guarded(Dataset[Any]):
    """A map-style dataset of whole batches; errors of data come as they are, without a traceback."""

    def __init__(self, read: Callable[[int], Any]) -> None:
        self.read = read

    def __getitem__(self, step: int) -> Any:
        try:
            return self.read(step)
        except DataError as error:
            return error


def reading_processes() -> int:
    """How many processes read: few, for they share the cores with the training."""
    return 1 if cpu_count() < FEW_CORES else 2


def _follow(_: int) -> None:
    """Have this process end with the training where that is killed; PyTorch looks at the fork server only."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    Thread(target=end_with_parent, daemon=True).start()


def _as_it_is(batch: T) -> T:
    return batch
