"""SIGTERM, by which schedulers ask a process to end: within `terminable` it ends in order, like Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType


class Terminated(BaseException):
    """SIGTERM came. No `Exception`: whoever goes on after a failure must not go on after this."""


@contextmanager
def terminable() -> Iterator[None]:
    """Raise `Terminated` in the block when SIGTERM comes; further ones do not disturb the tidying up.

    For the time of a training Lightning sets a handler of its own, which calls the one that it found.
    Only the main thread can hear of signals: in any other one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = False

    def terminate(number: int, frame: FrameType | None) -> None:
        nonlocal came
        if not came:
            came = True
            raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def deaf_children(*signals: signal.Signals) -> Iterator[None]:
    """Have processes that start in the block not hear `signals`: Ctrl-C reaches all of them, we answer it."""
    resource_tracker.ensure_running()  # it starts with them otherwise, and takes the mask away (Python 3.11)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, set(signals))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
