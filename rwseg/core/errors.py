"""The errors that a user can cause and mend; commands print them without a traceback."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

MALFORMED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    UnpicklingError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What libraries raise for bytes that they did not expect: a damaged file can end in any of these.

For the few lines that hand a file to a library, and name the file in an error of ours.
"""


class RwsegError(Exception):
    """Something the user can mend; the message names it, what was expected and found, and what to do."""


class ConfigError(RwsegError):
    """The configuration asks for something that does not exist or does not fit together."""


class DataError(RwsegError):
    """Files of a dataset are missing or faulty."""


class ReadOnlyError(DataError):
    """A folder for prepared data cannot be written."""


class KilledError(DataError):
    """A process that shared the work was killed; what it had finished is whole."""


class RunError(RwsegError):
    """A run directory cannot be used as asked."""


class ClaimLostError(RunError):
    """Another process has taken over what this one was writing."""


class ExportError(RwsegError):
    """A network cannot leave for another program, or would compute something else there."""


@contextmanager
def table_of_run(path: Path) -> Iterator[None]:
    """Raise `RunError` that names the table `path` where a library finds something else in it."""
    try:
        yield
    except MALFORMED as error:
        reason = f"{type(error).__name__}: {str(error).strip()}"
        raise RunError(
            f"{path}: expected the table of a training, got: {reason}; start over with force=true"
        ) from error
