"""The queue of processes, with small commands in the place of trainings."""

import itertools
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rwseg.jobs import Job, Slot, reason_of, run_queue

SLOTS = [Slot("a", {"SLOT": "a"}), Slot("b", {"SLOT": "b"})]


@dataclass
class Heard:
    slots: dict[int, str] = field(default_factory=dict)
    reasons: dict[int, str | None] = field(default_factory=dict)
    starts: list[float] = field(default_factory=list)

    def started(self, job: Job, slot: Slot) -> None:
        self.starts.append(time.monotonic())
        self.slots[job.number] = slot.name

    def ended(self, job: Job, seconds: float, reason: str | None) -> None:
        assert seconds > 0
        self.reasons[job.number] = reason


def shell(folder: Path, *scripts: str) -> list[Job]:
    return [
        Job(number, ["/bin/sh", "-c", script], folder / "logs" / f"{number}.log")
        for number, script in enumerate(scripts)
    ]


def run(jobs: Sequence[Job], slots: Sequence[Slot] = SLOTS, stagger: float = 0.0) -> Heard:
    heard = Heard()
    run_queue(jobs, slots, heard, lambda slot: True, stagger)
    return heard


def test_every_job_runs_in_its_order_with_its_slots_environment(tmp_path: Path) -> None:
    heard = run(shell(tmp_path, *["echo out $SLOT; echo err >&2"] * 4))
    assert list(heard.slots) == [0, 1, 2, 3]
    assert heard.reasons == dict.fromkeys(range(4))
    for number, slot in heard.slots.items():
        assert (tmp_path / f"logs/{number}.log").read_text() == f"out {slot}\nerr\n"


def test_no_more_jobs_than_slots_at_a_time_and_all_slots_used(tmp_path: Path) -> None:
    count = "ls busy | wc -l >> counts; mkdir busy/$$; sleep 0.3; rmdir busy/$$"
    (tmp_path / "busy").mkdir()
    jobs = shell(tmp_path, *[f"cd {tmp_path}; {count}"] * 5)
    assert set(run(jobs).slots.values()) == {"a", "b"}
    counts = [int(line) for line in (tmp_path / "counts").read_text().split()]
    assert len(counts) == 5
    assert max(counts) <= 1  # one other, for two slots
    (tmp_path / "counts").unlink()
    run(jobs[:2], SLOTS[:1])
    assert (tmp_path / "counts").read_text().split() == ["0", "0"]


def test_a_failure_is_told_and_stops_no_other(tmp_path: Path) -> None:
    heard = run(
        shell(
            tmp_path,
            "echo go; echo 'train.py: no data\n  - patient 7' >&2; exit 2",
            "kill -9 $$",
            "exit 3",
            "echo Trace; echo 'MemoryError: no more of it'; exit 1",
            "exit 0",
        )
    )
    assert heard.reasons == {
        0: "no data\n  - patient 7",
        1: "killed by SIGKILL",
        2: "exit status 3",
        3: "MemoryError: no more of it",
        4: None,
    }


def test_a_very_long_reason_is_cut() -> None:
    assert len(reason_of(1, "x" * 10_000) or "") == 300


def test_starts_keep_their_distance(tmp_path: Path) -> None:
    starts = run(shell(tmp_path, *["true"] * 3), stagger=0.5).starts
    assert all(later - earlier >= 0.5 for earlier, later in itertools.pairwise(starts))


def test_a_slot_that_cannot_be_used_is_left_until_it_can(tmp_path: Path) -> None:
    asked: list[str] = []

    def can_use(slot: Slot) -> bool:
        asked.append(slot.name)
        return slot.name == "b" and len(asked) > 4

    heard = Heard()
    run_queue(shell(tmp_path, "true", "true"), SLOTS, heard, can_use, 0.0)
    assert heard.slots == {0: "b", 1: "b"}


CHILD = """
import os, sys, time
print("up", os.getpid(), flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("saved")
    sys.exit(130)
"""
DEAF = f"import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n{CHILD}"


@pytest.mark.parametrize(("child", "grace"), [(CHILD, 60.0), (DEAF, 0.5)], ids=["polite", "deaf"])
def test_an_exception_stops_the_processes_and_waits_for_them(
    child: str, grace: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rwseg.jobs.GRACE_SECONDS", grace)
    log = tmp_path / "logs" / "0.log"

    def can_use(slot: Slot) -> bool:
        if slot.name == "b" and "\n" in log.read_text():  # the first one is up
            raise KeyboardInterrupt
        return slot.name == "a"

    command = [sys.executable, "-c", child]
    heard = Heard()
    with pytest.raises(KeyboardInterrupt):
        run_queue([Job(0, command, log), Job(1, command, log)], SLOTS, heard, can_use, 0.0)
    assert (heard.slots, heard.reasons) == ({0: "a"}, {})
    told = log.read_text()
    assert ("saved" in told) == (child == CHILD)
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.split()[1]), 0)
