"""SIGTERM, by which schedulers ask a process to end: within `terminable` it ends in order, like Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
