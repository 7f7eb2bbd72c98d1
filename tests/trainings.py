"""Trainings in the process of the test, and train.py in one of its own."""

import subprocess
import sys
from pathlib import Path

import preloaded

from rwseg.experiments.composition import compose
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.validation import check
from rwseg.experiments.run import train_run

TRAIN = CONF.parent / "train.py"


def run(overrides: list[str]) -> Path:
    """Train here; the run directory."""
    cfg, choices = compose("train", overrides)
    return train_run(check(cfg), choices)


def start(overrides: list[str], folder: Path, session: bool = False) -> "subprocess.Popen[str]":
    """train.py in `folder`, with all that it says on its standard output; `session`: in one of its own."""
    return preloaded.Popen(
        [sys.executable, str(TRAIN), *overrides],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=session,
    )
