"""Output that nobody reads any more, as of `rwseg train --help | head`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNREAD = 128 + 13
"""Exit status, as shells have it of programs that SIGPIPE ends."""


@contextmanager
def until_unread() -> Iterator[None]:
    """End the process in silence with `UNREAD` where whoever read its output is gone.

    Python would print an error. Other pipes that break, such as those of helping processes, raise as ever.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # here, and not when Python ends
    except BrokenPipeError:
        if not _is_unread():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the end
        raise SystemExit(UNREAD) from None


def _is_unread() -> bool:
    try:
        print(flush=True)
    except BrokenPipeError:
        return True
    return False
