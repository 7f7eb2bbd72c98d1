"""A sweep on a real SLURM, with jobs queued again, killed and out of time, equals one on this machine.

Opt-in, as it takes a quarter of an hour: make test-slurm.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from slurm_cluster import missing, running

from rwseg.experiments.config.conf import CONF

pytestmark = [
    pytest.mark.skipif("RWSEG_TEST_SLURM" not in os.environ, reason="make test-slurm runs this"),
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"a SLURM of one's own needs {', '.join(missing())}"),
]

TRAIN = str(CONF.parent / "train.py")
SEEDS = 4
SLURM = [
    "hydra/launcher=slurm",
    "hydra.launcher.timeout_min=2",
    "hydra.launcher.signal_delay_s=20",
    "hydra.launcher.cpus_per_task=1",
    "hydra.launcher.gpus_per_node=null",
    "hydra.launcher.mem_gb=null",
]
SECONDS_A_RUN = 100
"""Alone: as long as a job has until it is told to end, which is 20 seconds before its two minutes."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with running(tmp_path_factory.mktemp("slurm") / "files", cpus=1) as environment:
        yield {**environment, "OMP_NUM_THREADS": "1"}


def tell(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def sweep(overrides: list[str], folder: Path, environment: dict[str, str]) -> "subprocess.Popen[str]":
    command = [sys.executable, TRAIN, "-m", *overrides]
    tell(f"$ {' '.join(['python', 'train.py', *command[2:]])}")
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(process: "subprocess.Popen[str]", status: int, seconds: float) -> str:
    output, _ = process.communicate(timeout=seconds)
    tell(f"status {process.returncode}\n{output}")
    assert process.returncode == status
    return output


def wait(until: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 300) -> None:
    last = time.monotonic() + seconds
    while not until():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < last
        time.sleep(0.2)


def ask(command: list[str], environment: dict[str, str]) -> str:
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    tell(f"$ {' '.join(command)}\n{told}")
    return told


def run_of(root: Path, seed: int) -> Path | None:
    """The directory of a run that has written an epoch."""
    found = [path.parents[1] for path in root.rglob("last.ckpt") if path.parents[1].name == f"seed{seed}"]
    return found[0] if found else None


def length(tiny: list[str], folder: Path, environment: dict[str, str]) -> int:
    """Epochs of a run that is long enough to be queued again, killed and out of time."""
    process = sweep([*tiny, "schedule.epochs=4", "seed=99"], folder, environment)
    ended(process, 0, 300)
    [path] = folder.rglob("epochs.csv")
    return int(SECONDS_A_RUN / pd.read_csv(path)["seconds"].iloc[1:].mean())


def test_a_sweep_that_meets_with_everything_equals_one_left_alone(
    tiny: list[str], tmp_path: Path, cluster: dict[str, str]
) -> None:
    settings = [text for text in tiny if not text.startswith("output_root")]
    settings += ["schedule.batches_per_epoch=25", "evaluation.every=20"]
    for name in ("probe", "local", "slurm"):
        (tmp_path / name).mkdir()
    epochs = length(settings, tmp_path / "probe", cluster)
    settings += [f"schedule.epochs={epochs}", f"seed=range({SEEDS})"]
    root = tmp_path / "slurm" / "outputs"

    submitted = sweep([*settings, *SLURM], tmp_path / "slurm", cluster)
    wait(lambda: run_of(root, 0) is not None and run_of(root, 1) is not None, submitted)
    [array] = {path.name.partition("_")[0] for path in (root / ".submitit").glob("[0-9]*_[0-9]*")}
    ask(["squeue", "--array"], cluster)
    ask(["scontrol", "requeue", f"{array}_0"], cluster)
    killed = run_of(root, 1)
    assert killed is not None
    pid = json.loads((killed / "run.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    tell(f"$ kill -9 {pid}   # the process of {array}_1")
    output = ended(submitted, 2, 1500)
    assert f"submitted {SEEDS} of {SEEDS} runs as SLURM job {array}" in output
    assert re.search(r"failed \(\d of 4\): .*seed=1: it ended without a result \(\w+\); see ", output)
    assert "1 of the sweep's jobs failed" in output
    for index in range(SEEDS):
        told = ask(["scontrol", "show", "job", f"{array}_{index}"], cluster)
        times = int(re.search(r"Restarts=(\d+)", told)[1])  # type: ignore[index]
        assert (times > 0) == (index != 1), told  # all but the killed one were queued again
    logs = "".join(path.read_text() for path in (root / ".submitit").rglob("*.err"))
    assert "this job is timed-out" in logs

    again = ended(sweep([*settings, *SLURM], tmp_path / "slurm", cluster), 0, 1500)
    assert f"submitted 1 of {SEEDS} runs" in again

    ended(sweep(settings, tmp_path / "local", cluster), 0, 1500)
    compare(root, tmp_path / "local" / "outputs")


def compare(one: Path, other: Path) -> None:
    """The runs' tables, and the report of all of them, bit for bit."""
    for path in sorted(one.rglob("cases.csv")):
        twin = other / path.relative_to(one)
        assert path.read_bytes() == twin.read_bytes()
        epochs = [pd.read_csv(place.parent / "epochs.csv") for place in (path, twin)]
        kept = [table.loc[:, ~table.columns.str.contains("seconds")] for table in epochs]
        pd.testing.assert_frame_equal(*kept, check_exact=True)
        tell(f"equal: {path.relative_to(one)}")
    tables = [report_of(one), report_of(other)]
    assert "results.csv" in tables[0]
    assert tables[0] == tables[1]
    tell(f"equal: {', '.join(sorted(tables[0]))}\n{tables[0]['results.csv'].decode()}")


def report_of(root: Path) -> dict[str, bytes]:
    """All tables of the report but those of time and of where the runs were made."""
    words = [str(root), "-o", str(root / "report"), "--no-gallery", "--allow", "commit"]
    subprocess.run([sys.executable, "-m", "rwseg.commands.report", *words], check=True, timeout=300)
    files = (root / "report" / "tables").iterdir()
    return {path.name: path.read_bytes() for path in files if path.stem not in ("cost", "settings")}
