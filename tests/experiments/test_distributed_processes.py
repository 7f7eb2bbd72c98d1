"""Several processes that train one run: the same run as one process trains, whatever becomes of them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from trainings import run

from rwseg.experiments.config.conf import CONF
from rwseg.training.showcase import load_showcase

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
SHARED = ["dataset.batch_size=4", "augment=nnunet", "stability.every=2"]
TWENTY_STEPS = [
    "schedule.epochs=20",
    "schedule.batches_per_epoch=1",
    "evaluation.every=10",
    "schedule.learning_rate=1e-4",
]
ENDLESS = ["schedule.epochs=500", "evaluation.every=500"]

TRAINING = 1e-5
"""Floats are added in another order, 6e-8 of a value of 1 to 3 in each step; over 20 steps of 1e-4 the
weights move apart by some 1e-7, and losses of 1 to 3 by at most some 1e-6."""

OF_SQUARES = 1e-4
"""Weights of the Hausdorff map are squared distances, and gradients as many times as large: losses of 10 to
30 move apart by some 1e-5 of themselves."""

VOXELS = 10
"""Of a structure in a case. Logits that differ by 1e-5 turn voxels whose two best classes are nearer than
that: of 5 x 10^4 voxels, whose margins spread over some tenths, some 3, hardly ever 10 (a Poisson number).
A voxel moves Dice by 2 / (voxels of reference and prediction), here up to 6e-4."""


def epochs(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "metrics" / "epochs.csv")
    return table.drop(columns=["seconds", "train_seconds", "data_seconds"])


def start(launcher: list[str], overrides: list[str], folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*TORCHRUN, *launcher, str(CONF.parent / "train.py"), *overrides],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CONF.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def torchrun(overrides: list[str], folder: Path, outputs: str = "two") -> Path:
    """Train on two processes; the run directory."""
    place = folder / outputs
    process = start(["--nproc_per_node=2", *rendezvous()], [*overrides, f"output_root={place}"], folder)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    [path] = place.rglob("run.json")
    return path.parent


def rendezvous() -> list[str]:
    """A free port: tests run side by side."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return ["--master_addr=127.0.0.1", f"--master_port={found.getsockname()[1]}"]


def until(process: "subprocess.Popen[str]", what: Callable[[], object]) -> None:
    while not what():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def workers(process: "subprocess.Popen[str]") -> list[int]:
    """The processes that torchrun started, in the order of their ranks."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            environment = (path / "environ").read_bytes()
        except OSError:
            continue  # it ended meanwhile
        rank = re.search(rb"\0RANK=(\d+)", environment)
        if parent == process.pid and rank:
            found[int(rank[1])] = int(path.name)
    return [found[rank] for rank in sorted(found)]


def record(folder: Path) -> dict[str, object]:
    [path] = folder.rglob("run.json")
    content: dict[str, object] = json.loads(path.read_text())
    return content


def check_same_run(one: Path, two: Path, tolerance: float = TRAINING) -> None:
    first, second = epochs(one), epochs(two)
    training = [name for name in first if name.startswith("train/") and "wrong_sign" not in name]
    assert len(first) == len(second) == 20
    assert len(training) > 3
    pd.testing.assert_frame_equal(first[training], second[training], rtol=tolerance, atol=tolerance)
    before, after = (pd.read_csv(folder / "metrics" / "cases.csv") for folder in (one, two))
    assert list(before["case"]) == list(after["case"])
    both = before["reference_voxels"] + before["predicted_voxels"]
    moved = before["dice"].sub(after["dice"]).abs() * both / 2
    assert moved.max() < VOXELS + 0.5
    assert before["predicted_voxels"].sub(after["predicted_voxels"]).abs().max() <= VOXELS


@pytest.fixture
def endless(tiny: list[str], tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """train.py on two processes, an epoch of which is written."""
    with start(["--nproc_per_node=2", *rendezvous()], [*tiny, *SHARED, *ENDLESS], tmp_path) as process:
        try:
            until(process, lambda: list(tmp_path.rglob("last.ckpt")))
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    "loss",
    [
        "rrw",
        pytest.param("hausdorff", marks=pytest.mark.slow),
        pytest.param("rw_boundary", marks=pytest.mark.slow),
    ],
)
def test_two_processes_train_what_one_does(tiny: list[str], tmp_path: Path, loss: str) -> None:
    """With compact and dense maps, precomputed or not."""
    settings = [*tiny, *SHARED, *TWENTY_STEPS, f"loss={loss}", "strategy=equal_ce"]
    two = torchrun(settings, tmp_path)
    assert json.loads((two / "run.json").read_text())["processes"] == 2
    exhibits, _ = load_showcase(two / "figures" / "showcase.npz")
    cases = pd.read_csv(two / "metrics" / "cases.csv")["case"]
    assert {one.case for one in exhibits} == set(cases)  # also those that the other process validated
    check_same_run(run(settings), two, OF_SQUARES if loss == "hausdorff" else TRAINING)


@pytest.mark.slow
def test_two_nodes_train_what_one_process_does(tiny: list[str], tmp_path: Path) -> None:
    settings = [*tiny, *SHARED, *TWENTY_STEPS, "strategy=equal_ce"]
    place = rendezvous()
    nodes = [
        start(
            ["--nnodes=2", f"--node_rank={rank}", "--nproc_per_node=1", *place],
            [*settings, f"output_root={tmp_path / 'two'}"],
            tmp_path,
        )
        for rank in (0, 1)
    ]
    outputs = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    [path] = (tmp_path / "two").rglob("run.json")
    check_same_run(run(settings), path.parent)


@pytest.mark.slow
def test_a_rank_that_is_killed_is_named_and_the_same_command_goes_on(
    tiny: list[str], endless: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    rank_1 = workers(endless)[1]
    os.kill(rank_1, signal.SIGKILL)
    output, _ = endless.communicate(timeout=60)
    assert endless.returncode != 0
    sentence = f"rank 1 (host {socket.gethostname()}, process {rank_1}) of the 2 processes"
    assert f"train.py: {sentence}" in output
    assert record(tmp_path / "outputs")["status"] == "failed"
    assert sentence in str(record(tmp_path / "outputs")["reason"])
    again = start(["--nproc_per_node=2", *rendezvous()], [*tiny, *SHARED, *ENDLESS], tmp_path)
    try:
        [table] = tmp_path.rglob("epochs.csv")
        done = len(pd.read_csv(table))
        until(again, lambda: len(pd.read_csv(table)) > done + 1)
        assert list(pd.read_csv(table)["epoch"])[: done + 1] == list(range(done + 1))
    finally:
        os.killpg(again.pid, signal.SIGKILL)
        again.communicate()


@pytest.mark.slow
def test_the_others_end_with_the_first_even_when_it_is_killed(endless: "subprocess.Popen[str]") -> None:
    rank_0, rank_1 = workers(endless)
    os.kill(rank_0, signal.SIGKILL)
    endless.communicate(timeout=60)
    assert not Path(f"/proc/{rank_1}").exists()


@pytest.mark.slow
def test_a_run_on_two_that_was_ended_goes_on_exactly(
    tiny: list[str], endless: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    os.killpg(endless.pid, signal.SIGTERM)  # schedulers tell all processes of a job
    output, _ = endless.communicate(timeout=60)
    assert "train.py: terminated; give the same command again to go on" in output
    assert record(tmp_path / "outputs")["reason"] == "ended by SIGTERM"

    more = [*tiny, *SHARED, "schedule.epochs=12", "evaluation.every=12"]
    alone = torchrun(more, tmp_path, "alone")
    process = start(
        ["--nproc_per_node=2", *rendezvous()], [*more, f"output_root={tmp_path / 'again'}"], tmp_path
    )
    until(process, lambda: list((tmp_path / "again").rglob("last.ckpt")))
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    resumed = torchrun(more, tmp_path, "again")
    pd.testing.assert_frame_equal(epochs(resumed), epochs(alone), check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["dataset.batch_size=3"], "dataset.batch_size=3: expected a multiple of the 2 processes"),
        (["dataset.batch_size=4", "model.norm=batch"], "model.norm=batch: expected GPUs with 2 processes"),
    ],
)
def test_what_rank_0_finds_wrong_is_said_once_and_ends_all(
    tiny: list[str], tmp_path: Path, settings: list[str], words: str
) -> None:
    """The other rank has nothing to do, and says nothing."""
    process = start(["--nproc_per_node=2", *rendezvous()], [*tiny, *settings], tmp_path)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert output.count(f"train.py: {words}") == 1
    assert not (tmp_path / "outputs").exists()
