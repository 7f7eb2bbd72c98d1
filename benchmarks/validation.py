"""A validation whose metrics are measured in this process, in a thread, or in processes beside the network.

    python -m benchmarks.validation RUN_DIR [--threads 1 2] [--ways here thread 1 2] [--rounds 3] [--cases N]

Whole validations of a trained run, as its training does them, in turns: the clock counts, and cases a second.
Every way must find the same rows. A thread is what `rwseg` does not offer: the distance transform keeps
Python's lock, and the network stands still.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import machine
from rwseg.core.files import write_json
from rwseg.experiments.build import build_data, build_learner
from rwseg.experiments.device import training_device
from rwseg.experiments.prepared_run import prepare_run
from rwseg.experiments.run_directory import config_digest, load_config
from rwseg.models.inference.metrics_pool import MetricsPool
from rwseg.models.inference.reliability import no_counts
from rwseg.models.inference.whole_volumes import Row, case_rows, case_table
from rwseg.training.callbacks.checkpoints import LAST, load_checkpoint

HERE, THREAD = "here", "thread"


class ThreadOfMetrics(MetricsPool):
    """What `MetricsPool` would be with a thread in place of processes."""

    def __init__(self) -> None:
        super().__init__(0)
        self.pool = ThreadPoolExecutor(1)
        self.begun: list[Future[list[Row]]] = []

    def add(self, *given: Any) -> None:
        self.begun.append(self.pool.submit(case_rows, *given))

    def rows(self) -> list[Row]:
        found, self.begun = [row for one in self.begun for row in one.result()], []
        return found


def pool_of(way: str) -> MetricsPool:
    """The pool of a way; the processes of one are there when its second case comes."""
    if way == THREAD:
        return ThreadOfMetrics()
    return MetricsPool(0 if way == HERE else int(way), seconds_here=0)


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("run", type=Path)
    options.add_argument("--threads", type=int, nargs="+", default=[1], help="of the network")
    options.add_argument("--ways", nargs="+", default=[HERE, "1"], help="here, thread, or so many processes")
    options.add_argument("--rounds", type=int, default=3, help="after one of warming up")
    options.add_argument("--cases", type=int, help="the first so many, or fewer")
    options.add_argument("--json", type=Path)
    asked = options.parse_args(arguments)
    rows = measure(asked.run, asked.threads, asked.ways, asked.rounds, asked.cases)
    for row in rows:
        print(f"{row['name']:<28} {row['seconds']:.2f} s  {row['cases_per_second']:.2f} cases a second")
    if asked.json:
        write_json(asked.json, {"machine": machine(max(asked.threads)), "tables": {"validation": rows}})


@torch.inference_mode()
def measure(
    folder: Path, threads: Sequence[int], ways: Sequence[str], rounds: int, cases: int | None
) -> list[dict[str, Any]]:
    """A row per number of threads and way: the median over rounds, which take turns."""
    run = prepare_run(load_config(folder))
    device = training_device(run.cfg.trainer.accelerator)
    data, learner = build_data(run), build_learner(run).to(device).eval()
    data.prepare_data()
    last = load_checkpoint(folder / "checkpoints" / LAST, config_digest(load_config(folder)))
    learner.load_state_dict(last["state_dict"])
    if cases is not None:
        data.measured_entries = data.measured_entries[:cases]
    plans = {(number, way): pool_of(way) for number in threads for way in ways}
    took: dict[tuple[int, str], list[float]] = {plan: [] for plan in plans}
    tables = []
    for _ in range(rounds + 1):
        for plan, pool in plans.items():
            torch.set_num_threads(plan[0])
            learner.metrics_pool, learner.counts = pool, no_counts(device)
            begun = time.perf_counter()
            for group in data.val_dataloader():
                learner.validation_step([data.volume(data.measured_entries[one], device) for one in group], 0)
            tables.append(case_table(pool.rows()))
            took[plan].append(time.perf_counter() - begun)
            if not tables[0].equals(tables[-1]):
                raise RuntimeError(f"{plan}: other metrics than {next(iter(plans))}")
    for pool in plans.values():
        pool.close()
    return [
        {
            "name": f"{number} threads, metrics {_told(way)}",
            "seconds": statistics.median(seconds[1:]),
            "cases_per_second": len(data.measured_entries) / statistics.median(seconds[1:]),
            "samples": seconds[1:],
        }
        for (number, way), seconds in took.items()
    ]


def _told(way: str) -> str:
    return {HERE: "here", THREAD: "in a thread"}.get(way, f"in {way} processes")


if __name__ == "__main__":
    main()
