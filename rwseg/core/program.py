"""How this command was started, for messages that name it and for commands to paste."""

import shutil
import sys
from pathlib import Path

COMMANDS = Path(__file__).resolve().parents[1] / "commands"
"""Where the modules of `rwseg NAME` lie; `rwseg.commands.__main__` makes theirs the script of the process."""


def program() -> str:
    """The name that messages begin with: `rwseg train`, or `train.py` of a checkout."""
    script = Path(sys.argv[0])
    return f"rwseg {script.stem}" if _is_command(script) else script.name


def typed() -> tuple[str, ...]:
    """The words with which this command is started again: `rwseg train`, or `python train.py`."""
    script = Path(sys.argv[0])
    return rwseg(script.stem) if _is_command(script) else (sys.orig_argv[0], sys.argv[0])


def rwseg(name: str) -> tuple[str, ...]:
    """The words that start `rwseg NAME`, also where the folder of installed commands is not on the path."""
    return ("rwseg", name) if shutil.which("rwseg") else (sys.orig_argv[0], "-m", "rwseg.commands", name)


def module() -> tuple[str, ...]:
    """What an interpreter or torchrun is given to run this command: `train.py`, or the command's module."""
    script = Path(sys.argv[0])
    return ("-m", f"rwseg.commands.{script.stem}") if _is_command(script) else (sys.argv[0],)


def _is_command(script: Path) -> bool:
    return script.resolve().parent == COMMANDS
