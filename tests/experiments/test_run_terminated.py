"""A run that a scheduler ends goes on exactly; one whose claim another process took over stops."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import preloaded
import pytest
import torch
from lock_files import write_lock
from trainings import run

from rwseg.core.errors import ClaimLostError
from rwseg.experiments.config.conf import CONF
from rwseg.models.unet import UNet

SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": "1",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
}


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}


def terminate(arguments: list[str], folder: Path, when: Callable[[], bool]) -> str:
    """Run train.py, send SIGTERM to all of its processes once `when()` holds, and return what it said."""
    process = preloaded.Popen(
        [sys.executable, str(CONF.parent / "train.py"), *arguments],
        cwd=folder,
        env={**os.environ, **SLURM},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        while not when():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGTERM)
        output, _ = process.communicate(timeout=200)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 143, output
    assert "Traceback" not in output
    return output


@pytest.mark.slow
@pytest.mark.parametrize("residency", ["device", pytest.param("disk", marks=pytest.mark.slow)])
def test_a_run_that_a_scheduler_ends_goes_on_and_ends_as_one_left_alone(
    tiny: list[str], tmp_path: Path, residency: str
) -> None:
    overrides = [*tiny, "schedule.batches_per_epoch=12", f"data.residency={residency}"]
    output = terminate(overrides, tmp_path, lambda: bool(list((tmp_path / "outputs").rglob("last.ckpt"))))
    assert output.splitlines()[-1] == "train.py: terminated; give the same command again to go on"
    [path] = (tmp_path / "outputs").rglob("run.json")
    record = json.loads(path.read_text())
    assert (record["status"], record["reason"]) == ("interrupted", "ended by SIGTERM")
    assert not list(tmp_path.rglob(".writing-*"))

    resumed = run(overrides)
    assert resumed == path.parent
    alone = run([*overrides, "data.residency=device", f"output_root={tmp_path / 'alone'}"])
    for name in ("cases.csv", "epochs.csv"):
        ours, theirs = (pd.read_csv(folder / "metrics" / name) for folder in (resumed, alone))
        same = [column for column in ours if "seconds" not in column]
        pd.testing.assert_frame_equal(ours[same], theirs[same], check_exact=True)


@pytest.mark.slow
def test_a_sweep_that_is_ended_while_it_prepares_leaves_nothing_that_looks_finished(
    tiny: list[str], tmp_path: Path
) -> None:
    prepared = tmp_path / "prepared"
    arguments = ["-m", *tiny, f"prepared_root={prepared}", "workers=2", "seed=0,1,2"]
    output = terminate(arguments, tmp_path, lambda: bool(list(prepared.glob(".building-*"))))
    assert "terminated; 3 of the sweep's runs are left; give the same command again to go on" in output
    [begun] = prepared.iterdir()  # what the next start goes on with
    assert begun.name.startswith(".building-")
    assert not list(begun.rglob("manifest.json"))
    assert not list((tmp_path / "outputs").rglob("run.json"))


def test_a_training_whose_claim_was_taken_over_stops_and_writes_nothing_more(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, left = UNet.forward, {"calls": 12}
    before: dict[Path, bytes] = {}

    def forward(self: UNet, image: torch.Tensor) -> list[torch.Tensor]:
        left["calls"] -= 1
        if left["calls"] == 0:  # another machine took it over while this one stood still
            [lock] = tmp_path.rglob(".lock")
            lock.unlink()
            write_lock(lock, 120.0, host="elsewhere")
            before.update(content(lock.parent))
        return plain(self, image)

    monkeypatch.setattr(UNet, "forward", forward)
    with pytest.raises(ClaimLostError, match=r"seed0: expected to be its only writer"):
        run([*tiny, "evaluation.every=3"])  # 4 batches an epoch: the third one
    [folder] = (path.parent for path in tmp_path.rglob("run.json"))
    assert len(before) >= 5
    assert content(folder) == before
    assert json.loads((folder / "run.json").read_text())["status"] == "running", "it is the other one's now"
    assert pd.read_csv(folder / "metrics" / "epochs.csv")["epoch"].tolist() == [0, 1]
