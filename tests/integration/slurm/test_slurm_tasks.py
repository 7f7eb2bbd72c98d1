"""One SLURM job of two tasks on two nodes, of which each is a process of the same run.

Opt-in: make test-slurm.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import missing, running

from rwseg.experiments.config.conf import CONF

pytestmark = [
    pytest.mark.skipif("RWSEG_TEST_SLURM" not in os.environ, reason="make test-slurm runs this"),
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"a SLURM of one's own needs {', '.join(missing())}"),
]

TRAIN = str(CONF.parent / "train.py")
TASKS = [
    "hydra/launcher=slurm",
    "hydra.launcher.timeout_min=5",
    "hydra.launcher.nodes=2",
    "hydra.launcher.tasks_per_node=1",
    "hydra.launcher.cpus_per_task=1",
    "hydra.launcher.gpus_per_node=null",
    "hydra.launcher.mem_gb=null",
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with running(tmp_path_factory.mktemp("slurm") / "files", cpus=1) as environment:
        # No name server knows the "nodes", which are this machine.
        here = {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CONF.parent)}
        yield {**environment, **here}


def sweep(program: str, folder: Path, cluster: dict[str, str], *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, program, "-m", *TASKS, *words]
    return subprocess.Popen(
        command, cwd=folder, env=cluster, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(process: "subprocess.Popen[str]", status: int, seconds: float = 300) -> str:
    output, _ = process.communicate(timeout=seconds)
    print(output, flush=True)
    assert process.returncode == status, output
    return output


WORLD = """
import os
from pathlib import Path
from rwseg.experiments.command import run_command
from rwseg.core.errors import DataError
from rwseg.experiments.sweeps.manifest import sweep_manifest

def task(cfg, choices):
    number = os.environ["SLURM_PROCID"]
    names = ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURMD_NODENAME")
    Path(cfg.output_root, f"seed{cfg.seed}-{number}").write_text(" ".join(os.environ[name] for name in names))
    if cfg.seed == 1 and number == "0":
        raise DataError("no data of patient 7")
    if cfg.seed == 2 and number == "1":
        os.kill(os.getpid(), 9)

run_command(task, "train", sweep_manifest)
"""


def test_each_task_runs_the_job_and_the_first_ones_result_counts(
    tmp_path: Path, cluster: dict[str, str]
) -> None:
    """Nothing is trained: what the tasks are told of their world, and who says how the job ended."""
    (tmp_path / "train.py").write_text(WORLD)
    output = ended(sweep("train.py", tmp_path, cluster, "seed=0,1,2"), 2)
    worlds = [(tmp_path / "outputs" / f"seed0-{number}").read_text() for number in (0, 1)]
    assert worlds == ["2 0 0 0 node1", "2 1 0 1 node2"]
    assert re.search(r"^failed \(\d of 3\): seed=1: no data of patient 7$", output, re.MULTILINE)
    assert len(re.findall(r"^done \(\d of 3\): seed=[02]$", output, re.MULTILINE)) == 2
    assert "train.py: 1 of the sweep's jobs failed:\nseed=1: no data of patient 7\n" in output


LOST = """
import os
from rwseg.experiments.command import run_command
from rwseg.experiments.sweeps.manifest import sweep_manifest

def task(cfg, choices):
    if cfg.seed == 0:
        os.kill(os.getpid(), 9)

run_command(task, "train", sweep_manifest)
"""


def test_a_job_that_is_killed_is_told_by_slurms_account(tmp_path: Path, cluster: dict[str, str]) -> None:
    (tmp_path / "train.py").write_text(LOST)
    since = time.monotonic()
    output = ended(sweep("train.py", tmp_path, cluster, "seed=0,1"), 2)
    print(f"after {time.monotonic() - since:.0f} s")
    assert "nothing is heard here" not in output
    assert re.search(
        r"^failed \(\d of 2\): seed=0: it ended without a result \(FAILED\); see ", output, re.MULTILINE
    )
    assert re.search(r"^done \(\d of 2\): seed=1$", output, re.MULTILINE)


def process_of(task: int) -> int | None:
    """The process of a task that trains; both "nodes" are this machine."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            words = environ.read_bytes().split(b"\0")
            command = environ.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if f"SLURM_PROCID={task}".encode() in words and b"submitit.core._submit" in command:
            return int(environ.parent.name)
    return None


def test_a_run_of_two_tasks_whose_second_one_is_killed_goes_on(
    tiny: list[str], tmp_path: Path, cluster: dict[str, str]
) -> None:
    words = [text for text in tiny if "batch_size" not in text and "batches_per_epoch" not in text]
    words += ["dataset.batch_size=4", "schedule.batches_per_epoch=20", "schedule.epochs=40", "seed=0"]
    first = sweep(TRAIN, tmp_path, cluster, *words)
    root = tmp_path / "outputs"
    until = time.monotonic() + 200
    while not list(root.rglob("last.ckpt")):
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < until
        time.sleep(0.2)
    victim = process_of(1)
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    output = ended(first, 2)
    assert re.search(
        r"^failed \(1 of 1\): .*seed=0: rank 1 \(host .*, process \d+\) of the 2", output, re.MULTILINE
    )
    assert "Traceback" not in output
    [record] = [json.loads(path.read_text()) for path in root.rglob("run.json")]
    assert record["status"] == "failed"
    ended(sweep(TRAIN, tmp_path, cluster, *words), 0, 600)
    logs = "".join(path.read_text() for path in (root / ".submitit").rglob("*.out"))
    assert "resuming" in logs
    assert len(list(root.rglob("cases.csv"))) == 1
