import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import preloaded
import pytest
from small_dataset import PLAIN

from rwseg.data.datasets.acdc import ACDC
from rwseg.data.preprocessing.distances import ensure_distances
from rwseg.data.preprocessing.prepare import prepare

PHANTOM_CASES = 8

COUNTING = """
import json, sys, time
from pathlib import Path
import rwseg.data.preprocessing.distances as distances
import rwseg.data.preprocessing.prepare as preparation
from rwseg.data.datasets.acdc import ACDC
from rwseg.data.preprocessing.config import PreprocessingConfig

PLAIN = PreprocessingConfig(False, None, None, 1.0, "spline", "zscore")

counts = {"read": 0, "inside": 0}
read_case, inside = preparation.read_case, distances.COMPUTE["inside"]

def counting(name, work, stop):
    def counted(*arguments):
        counts[name] += 1
        if counts[name] == stop:
            print("in the middle", flush=True)
            time.sleep(60)
        time.sleep(0.02)
        return work(*arguments)
    return counted

root, prepared_root = map(Path, sys.argv[1:3])
stop_read, stop_inside = map(int, sys.argv[3:5])
preparation.read_case = counting("read", read_case, stop_read)
distances.COMPUTE["inside"] = counting("inside", inside, stop_inside)
print("ready", flush=True)
sys.stdin.readline()
prepared = preparation.prepare(ACDC, root, prepared_root, PLAIN)
distances.ensure_distances(prepared, "rrw")
total = sum(float(prepared.distance("inside", entry).sum()) for entry in prepared.entries)
print(json.dumps({**counts, "folder": str(prepared.folder), "total": total}))
"""


def start(root: Path, prepared_root: Path, stop_read: int = 0, stop_inside: int = 0) -> subprocess.Popen[str]:
    """A process that prepares the phantom and its RRW distances, counting, once it is told to go."""
    arguments = [str(root), str(prepared_root), str(stop_read), str(stop_inside)]
    return preloaded.Popen(
        [sys.executable, "-c", COUNTING, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert line(process) == "ready"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def close(process: subprocess.Popen[str]) -> None:
    """End what may still run, and close its pipes."""
    process.kill()
    process.communicate()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_processes_that_start_together_share_one_preparation(phantom_root: Path, tmp_path: Path) -> None:
    processes = [start(phantom_root, tmp_path) for _ in range(2)]
    try:
        go(processes)
        told = [json.loads(line(process)) for process in processes]
        assert [process.wait(30) for process in processes] == [0, 0]
    finally:
        for process in processes:
            close(process)
    assert sorted(one["read"] for one in told) == [0, PHANTOM_CASES]
    assert sorted(one["inside"] for one in told) == [0, PHANTOM_CASES]
    assert told[0]["folder"] == told[1]["folder"]
    assert told[0]["total"] == told[1]["total"] > 0
    folder = Path(told[0]["folder"])
    assert names(tmp_path) == [folder.name]
    assert names(folder) == ["counts.npz", "image", "inside", "label", "manifest.json"]


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("stop_read", "stop_inside"), [(4, 0), (0, 3)])
def test_after_an_end_in_the_middle_the_next_start_repeats_no_finished_case(
    phantom_root: Path,
    tmp_path: Path,
    how: signal.Signals,
    stop_read: int,
    stop_inside: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = start(phantom_root, tmp_path, stop_read, stop_inside)
    try:
        go([process])
        assert line(process) == "in the middle"
        [half] = tmp_path.rglob(".building-*")
        process.send_signal(how)
        assert process.wait(30) != 0
    finally:
        close(process)
    before = {path.relative_to(half): path.stat().st_ino for path in half.rglob("*.npy")}
    with caplog.at_level("INFO"):
        prepared = prepare(ACDC, phantom_root, tmp_path, PLAIN)
        ensure_distances(prepared, "rrw")
    done = (stop_read or stop_inside) - 1
    assert f"{done} of {PHANTOM_CASES} cases were finished before" in caplog.text
    assert not list(tmp_path.rglob(".building-*")) + list(tmp_path.rglob("*.jsonl"))
    made = prepared.folder / half.name.split("-")[1] if stop_inside else prepared.folder
    kept = {path.stem for path, number in before.items() if (made / path).stat().st_ino == number}
    assert len(kept) == done, "the arrays of finished cases are the same files"
    anew = prepare(ACDC, phantom_root, tmp_path / "anew", PLAIN)
    ensure_distances(anew, "rrw")
    paths = sorted(path.relative_to(anew.folder) for path in anew.folder.rglob("*") if path.is_file())
    assert paths == sorted(p.relative_to(prepared.folder) for p in prepared.folder.rglob("*") if p.is_file())
    for path in paths:
        assert (anew.folder / path).read_bytes() == (prepared.folder / path).read_bytes(), path


FULL_DISK = """
import json, subprocess, sys
from pathlib import Path
from rwseg.data.datasets.acdc import ACDC
from rwseg.data.preprocessing.distances import ensure_distances
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.config import PreprocessingConfig
from rwseg.core.errors import DataError

PLAIN = PreprocessingConfig(False, None, None, 1.0, "spline", "zscore")

def mount(options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(disk)], check=True)

def attempt(work):
    try:
        work()
    except DataError as error:
        return str(error)

def left(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.name != "manifest.json")

root, disk = map(Path, sys.argv[1:3])
prepared_root = disk / "prepared"
told = {}
mount("size=512k")
told["preparing"] = attempt(lambda: prepare(ACDC, root, prepared_root, PLAIN)), left(prepared_root)
attempted = attempt(lambda: prepare(ACDC, root, prepared_root, PLAIN, workers=2))
told["in two processes"] = attempted, left(prepared_root)
mount("remount,size=64m")
prepared = prepare(ACDC, root, prepared_root, PLAIN)
before = left(prepared.folder)
used = int(subprocess.check_output(["du", "-sk", str(disk)]).split()[0])
mount(f"remount,size={used + 300}k")
told["distances"] = attempt(lambda: ensure_distances(prepared, "rrw")), left(prepared.folder), before
mount("remount,size=64m,ro")
told["read-only"] = attempt(lambda: ensure_distances(prepared, "boundary"))
mount("remount,size=64m,rw")
ensure_distances(prepared, "rrw")
told["shapes"] = [[prepared.distance("inside", e).shape, e.shape] for e in prepared.entries]
print(json.dumps(told))
"""


@pytest.fixture
def own_mounts() -> list[str]:
    """The command that gives a process mounts of its own; skips where that is not permitted."""
    command = ["unshare", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        pytest.skip("a full disk needs Linux's unshare and mount")
    trial = [*command, "mount", "-t", "tmpfs", "none", "/mnt"]
    answer = subprocess.run(trial, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        pytest.skip(f"a full disk needs the right to mount one: {answer.stderr.strip()}")
    return command


@pytest.mark.slow
def test_a_full_disk_is_told_and_leaves_nothing_behind(
    own_mounts: list[str], phantom_root: Path, tmp_path: Path
) -> None:
    command = [*own_mounts, sys.executable, "-c", FULL_DISK, str(phantom_root), str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    for message, left in (told["preparing"], told["in two processes"]):
        assert re.match(
            rf"{tmp_path}/prepared: no space left while making acdc-[\w-]+; nothing of it was left", message
        )
        assert "0.5 MB are free now. Free more or choose a folder on another disk" in message
        assert left == []
    message, left, before = told["distances"]
    assert re.match(rf"{tmp_path}/prepared/acdc-[\w-]+: no space left while making inside; nothing", message)
    assert left == before
    assert re.search(r"expected a folder to write signed into, got: Read-only file system", told["read-only"])
    assert len(told["shapes"]) == PHANTOM_CASES
    assert all(found == expected for found, expected in told["shapes"])
