"""Whether the process that writes a run directory still lives."""

from pathlib import Path

from rwseg.lease import look
from rwseg.process import is_gone
from rwseg.rundir import CLAIM


def is_alive(folder: Path) -> bool:
    """Whether a process holds the claim of the run directory `folder` and is not known to be gone.

    One of another machine is taken at its word: a single look does not tell whether it gives signs of life.
    """
    claim = look(folder / CLAIM)
    return not claim.free and (claim.holder is None or not is_gone(claim.holder))
