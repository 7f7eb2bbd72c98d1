"""A command that ends with the process that started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ray_sweeps import exists

from rwseg.experiments.sweeps import attended
from rwseg.experiments.sweeps.attended import reason_of, run_attended, tail_of

CHILD = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("saved", flush=True), sys.exit(143)))
import os
print("up", os.getpid(), flush=True)
time.sleep(99)
"""


def run(script: str, log: Path, folder: Path) -> int:
    return run_attended(["/bin/sh", "-c", script], log, dict(os.environ), folder)


def test_status_and_output_are_the_commands(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "0.log"
    assert run("echo out; echo err >&2; pwd", log, tmp_path) == 0
    assert log.read_text() == f"out\nerr\n{tmp_path}\n"
    assert run("exit 3", log, tmp_path) == 3
    assert run("kill -9 $$", log, tmp_path) == -9
    assert run("kill -TERM $$", log, tmp_path) == -15
    assert run("echo more", log, tmp_path) == 0
    assert tail_of(log, 0) == f"out\nerr\n{tmp_path}\nmore\n"
    assert tail_of(log, 8) == f"{tmp_path}\nmore\n"


def up(log: Path) -> int:
    until = time.monotonic() + 30
    while not (log.exists() and "\n" in log.read_text()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return int(log.read_text().split()[1])


STARTER = """
import os, sys
from pathlib import Path
from rwseg.experiments.sweeps.attended import run_attended
run_attended([sys.executable, "-c", sys.argv[1]], Path(sys.argv[2]), dict(os.environ), Path.cwd())
"""


@pytest.mark.parametrize("whom", ["starter", "between", "both"])
def test_whoever_is_killed_above_it_the_command_is_asked_to_stop(whom: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    starter = subprocess.Popen([sys.executable, "-c", STARTER, CHILD, str(log)])
    pid = up(log)
    between = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    for victim in {"starter": [starter.pid], "between": [between], "both": [starter.pid, between]}[whom]:
        os.kill(victim, signal.SIGKILL)
    until = time.monotonic() + 20
    while exists(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not exists(pid)
    assert "saved" in log.read_text()
    starter.wait(10)


def test_a_deaf_command_is_killed(tmp_path: Path) -> None:
    patient = f"{attended.GRACE_SECONDS}"
    source = Path(attended.__file__).read_text().replace(f"GRACE_SECONDS = {patient}", "GRACE_SECONDS = 0.3")
    (tmp_path / "impatient.py").write_text(source)
    deaf = CHILD.replace(
        "signal.signal(signal.SIGTERM, ", "signal.signal(signal.SIGTERM, signal.SIG_IGN) or ("
    )
    with open(tmp_path / "log", "wb") as log:
        command = [sys.executable, str(tmp_path / "impatient.py"), sys.executable, "-c", deaf]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log)
    pid = up(tmp_path / "log")
    process.communicate(timeout=20)
    assert (process.returncode, exists(pid)) == (-9, False)


@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [
        (2, "go\ntrain.py: no data\n  - patient 7\n", "no data\n  - patient 7"),
        (2, "go\nrwseg train: no data\n", "no data"),
        (3, "", "exit status 3"),
        (-9, "epoch 3", "killed by SIGKILL"),
        (1, "Trace\nMemoryError: no more of it\n", "MemoryError: no more of it"),
        (0, "anything", None),
        (1, "x" * 10_000, "x" * 300),
    ],
)
def test_reasons(status: int, text: str, reason: str | None) -> None:
    assert reason_of(status, text) == reason
