"""Sixteen processes at once, as a job array starts them, on a dataset that nobody has prepared."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from small_dataset import PLAIN

from rwseg.data.datasets.acdc import ACDC
from rwseg.data.preprocessing import distances
from rwseg.data.preprocessing import prepare as preparation

MANY, PHANTOM_CASES = 16, 8

Told = dict[str, Any]


def counted(counts: Told, name: str, work: Callable[..., Any], in_the_middle: Callable[[], None]) -> Any:
    def count(*arguments: object) -> Any:
        counts[name] += 1
        if counts[name] == PHANTOM_CASES // 2:
            in_the_middle()
        time.sleep(0.01)
        return work(*arguments)

    return count


def take_part(root: Path, prepared_root: Path, stopped: Path, start: Barrier, queue: "Queue[Told]") -> None:
    """Prepare; whoever comes to the middle waits there to be killed, unless there is `stopped`."""

    def wait() -> None:
        if not stopped.exists():
            stopped.write_text(str(os.getpid()))
            time.sleep(100)

    counts = {"read": 0, "inside": 0}
    preparation.read_case = counted(counts, "read", preparation.read_case, wait)  # type: ignore[attr-defined]
    distances.COMPUTE["inside"] = counted(counts, "inside", distances.COMPUTE["inside"], lambda: None)
    start.wait(60)
    prepared = preparation.prepare(ACDC, root, prepared_root, PLAIN)
    distances.ensure_distances(prepared, "rrw")
    total = sum(float(prepared.distance("inside", entry).sum()) for entry in prepared.entries)
    queue.put({**counts, "folder": prepared.folder.name, "total": total})


@contextmanager
def many(root: Path, prepared_root: Path, stopped: Path) -> Iterator[tuple[list[BaseProcess], "Queue[Told]"]]:
    context: ForkServerContext = get_context("forkserver")
    context.set_forkserver_preload(
        [
            "rwseg.data.preprocessing.prepare",
            "rwseg.data.preprocessing.distances",
            "rwseg.data.datasets.acdc",
            "nibabel",
            "pytest",
        ]
    )
    start, queue = context.Barrier(MANY), context.Queue()
    arguments = (root, prepared_root, stopped, start, queue)
    processes = [context.Process(target=take_part, args=arguments) for _ in range(MANY)]
    try:
        for process in processes:
            process.start()
        yield list(processes), queue
    finally:
        for process in processes:
            process.kill()
            process.join(30)


def agree(told: list[Told], prepared_root: Path, read: int = PHANTOM_CASES) -> None:
    """One prepared and one computed distances, nobody failed, all have the same, nothing is left over."""
    assert sorted(one["read"] for one in told) == [0] * (len(told) - 1) + [read]
    assert sorted(one["inside"] for one in told) == [0] * (len(told) - 1) + [PHANTOM_CASES]
    assert len({(one["folder"], one["total"]) for one in told}) == 1
    folder = told[0]["folder"]
    assert sorted(path.name for path in prepared_root.iterdir()) == [folder]
    found = sorted(path.name for path in (prepared_root / folder).iterdir())
    assert found == ["counts.npz", "image", "inside", "label", "manifest.json"]


@pytest.mark.slow
def test_one_of_sixteen_prepares_and_none_fails(phantom_root: Path, tmp_path: Path) -> None:
    (tmp_path / "stopped").touch()
    with many(phantom_root, tmp_path / "prepared", tmp_path / "stopped") as (processes, queue):
        told = [queue.get(timeout=120) for _ in processes]
        for process in processes:
            process.join(30)
        assert [process.exitcode for process in processes] == [0] * MANY
    agree(told, tmp_path / "prepared")


@pytest.mark.slow
def test_where_the_preparing_one_is_killed_another_one_goes_on_and_none_fails(
    phantom_root: Path, tmp_path: Path
) -> None:
    stopped = tmp_path / "stopped"
    with many(phantom_root, tmp_path / "prepared", stopped) as (processes, queue):
        until = time.monotonic() + 120
        while not (stopped.exists() and stopped.read_text()):
            assert time.monotonic() < until
            time.sleep(0.02)
        os.kill(int(stopped.read_text()), signal.SIGKILL)
        told = [queue.get(timeout=120) for _ in range(MANY - 1)]
        for process in processes:
            process.join(30)
        assert sorted(process.exitcode or 0 for process in processes) == [-signal.SIGKILL] + [0] * (MANY - 1)
    agree(told, tmp_path / "prepared", read=PHANTOM_CASES - (PHANTOM_CASES // 2 - 1))
