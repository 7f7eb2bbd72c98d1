"""Sweeps on Ray for the tests: clusters on this machine, and a train.py whose jobs take a moment."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rwseg.experiments.config.conf import CONF

RAY = ["-m", "hydra/launcher=ray"]

QUICK = """
import os, sys, time
if "-m" not in sys.argv[1:]:  # a job, which needs nothing of rwseg
    seed = next(word for word in sys.argv if word.startswith("seed="))
    def note(what):
        with open("notes", "a") as notes:
            own = os.environ["CUDA_VISIBLE_DEVICES"], os.environ.get("RANK", "-"), os.environ.get("MARK", "-")
            notes.write(" ".join([what, seed, str(os.getpid()), str(time.time()), *own]) + "\\n")
    note("begin")
    {body}
    note("end")
    sys.exit()
from rwseg.experiments.command import run_command
from rwseg.experiments.sweeps.manifest import sweep_manifest
run_command(None, "train", sweep_manifest)
"""


@contextmanager
def cluster(**head: Any) -> Iterator[Any]:
    """A Ray cluster whose first node has what `head` says."""
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_memory_monitor_refresh_ms": "0"})
    from ray.cluster_utils import Cluster

    common = {"include_dashboard": False, "object_store_memory": 100 * 2**20}
    found = Cluster(initialize_head=True, head_node_args={**common, **head})
    try:
        yield found
    finally:
        found.shutdown()


def quick(folder: Path, body: str) -> str:
    """A train.py in `folder` whose jobs do `body`; they note when they begin and end, where, and as whom."""
    path = folder / "train.py"
    path.write_text(QUICK.replace("{body}", body))
    return str(path)


def start(program: str, folder: Path, *overrides: str, **environment: str) -> "subprocess.Popen[str]":
    """A sweep on Ray, in a session of its own, as a terminal has."""
    return subprocess.Popen(
        [sys.executable, program, *RAY, *overrides],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CONF.parent), "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: "subprocess.Popen[str]", status: int, seconds: float = 120) -> tuple[list[str], str]:
    """Lines and errors of a command that must end with `status`."""
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        raise AssertionError(f"no end after {seconds} s:\n{output}{errors}") from None
    assert process.returncode == status, output + errors
    return output.splitlines(), errors


def notes(folder: Path, what: str) -> list[list[str]]:
    """What the jobs of a quick train.py noted: seed, process, time, GPUs, rank, mark."""
    path = folder / "notes"
    lines = path.read_text().splitlines() if path.exists() else []
    return [words[1:] for words in (line.split(" ") for line in lines) if words[0] == what]


def most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    """The largest number of spans that have a moment in common."""
    return max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans)


def wait(until: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 90) -> None:
    """Look until it is so, while the command runs."""
    last = time.monotonic() + seconds
    while not until():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < last
        time.sleep(0.1)


def exists(pid: int) -> bool:
    """Whether a process is there that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
