"""A sweep that is killed at random moments and issued again ends as one that was left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import preloaded
import pytest

from rwseg.experiments.config.conf import CONF
from rwseg.report.status.sweep_state import look

SWEEP = [sys.executable, str(CONF.parent / "train.py"), "-m", "loss=rrw,rw_boundary", "seed=range(2)"]
RUNS, EPOCHS, KILLS = 4, 4, 3
LONGEST_WAIT = 0.5
"""Seconds; an epoch takes a fraction of that, so that a kill comes anywhere in it or in the one after."""


def start(overrides: list[str], root: Path) -> "subprocess.Popen[str]":
    return preloaded.Popen(
        [*SWEEP, *overrides, f"schedule.epochs={EPOCHS}", f"output_root={root}"],
        cwd=root.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def epochs_saved(root: Path) -> int:
    return sum(len(path.read_text().splitlines()) - 1 for path in root.rglob("metrics/epochs.csv"))


def kill_after(process: "subprocess.Popen[str]", root: Path, epochs: int, wait: float) -> None:
    """Kill the process and its workers `wait` seconds after `epochs` of the sweep are there."""
    while epochs_saved(root) < epochs:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_killed_three_times_a_sweep_ends_with_the_same_cases(tiny: list[str], tmp_path: Path) -> None:
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    reference = start(tiny, alone)
    overrides = [*tiny, f"prepared_root={tmp_path / 'prepared'}"]
    rng = np.random.default_rng(20)
    for _ in range(KILLS):  # each one at least an epoch after the one before
        epochs = epochs_saved(killed) + int(rng.integers(1, 4))
        kill_after(start(overrides, killed), killed, epochs, rng.uniform(0, LONGEST_WAIT))
        state = look([killed])
        assert len(state.runs) + len(state.waiting) == RUNS
        assert not state.running
        assert not state.is_done
    output, _ = (last := start(overrides, killed)).communicate(timeout=300)
    assert last.returncode == 0, output
    assert f"run {RUNS} of {RUNS}" in output
    assert "resuming" in output
    assert "finished; nothing to do" in output
    assert look([killed]).is_done

    output, _ = reference.communicate(timeout=300)
    assert reference.returncode == 0, output
    expected = {path.relative_to(alone): path for path in alone.rglob("seed*/metrics/cases.csv")}
    assert len(expected) == RUNS
    for name, path in expected.items():
        assert (killed / name).read_bytes() == path.read_bytes()
        ours, theirs = (pd.read_csv(cases.with_name("epochs.csv")) for cases in (killed / name, path))
        assert list(ours["epoch"]) == list(range(EPOCHS))
        same = [column for column in ours if "seconds" not in column]
        pd.testing.assert_frame_equal(ours[same], theirs[same], check_exact=True)
