"""Paired timing: what is compared runs in turns in one process, so a busy machine is busy for all of it."""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from rwseg.core.files import write_json

Work = Callable[[], object]


def paired(
    works: Mapping[str, Work],
    baseline: str,
    rounds: int,
    warm_up: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> list[dict[str, Any]]:
    """Time each of `works` by `clock` once per round, after one round of warming up.

    Returns a row per name: the median milliseconds, median and quartiles of `baseline / name`, each ratio
    taken within a round, and the milliseconds of every round, from which ratios of any two rows follow. A
    ratio of 2 means twice as fast as the baseline. On a GPU a row has the memory, too, that the work took in
    the last round, beside what lay there before: weights and data of all works.
    """
    samples: dict[str, list[float]] = {name: [] for name in works}
    memory: dict[str, dict[str, float]] = {}
    for turn in range(rounds + warm_up):
        for name, work in works.items():
            seconds, memory[name] = _measured(work, clock)
            if turn or not warm_up:
                samples[name].append(1e3 * seconds)
    return [_row(name, times, samples[baseline]) | memory[name] for name, times in samples.items()]


def _measured(work: Work, clock: Callable[[], float]) -> tuple[float, dict[str, float]]:
    wait()
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if on_gpu else 0
    start = clock()
    work()
    wait()
    seconds = clock() - start
    return seconds, {"gpu_mib": (torch.cuda.max_memory_allocated() - before) / 2**20} if on_gpu else {}


def wait() -> None:
    """Until a GPU, if there is one, has done all that it was asked for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _row(name: str, times: list[float], baseline: list[float]) -> dict[str, Any]:
    ratios = [base / own for base, own in zip(baseline, times, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else 3 * ratios
    return {
        "name": name,
        "ms": statistics.median(times),
        "faster": middle,
        "faster_quartiles": [low, high],
        "rounds": len(times),
        "samples_ms": [float(f"{time:.5g}") for time in times],
    }


def machine(threads: int) -> dict[str, Any]:
    """What a reader needs to judge the figures."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((x.split(":")[1].strip() for x in info.read_text().splitlines() if "model name" in x), cpu)
    return {
        "cpu": cpu,
        "threads": threads,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "monai", "scipy", "numpy", "edt")},
    }


def parser(description: str) -> argparse.ArgumentParser:
    """The options that all benchmarks share."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--rounds", type=int, default=15, help="paired runs per comparison (default 15)")
    options.add_argument("--threads", type=int, default=1, help="CPU threads of PyTorch (default 1)")
    options.add_argument("--json", type=Path, help="write the figures to this file as well")
    options.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where ours runs")
    return options


def report(
    tables: Mapping[str, list[dict[str, Any]]],
    threads: int,
    file: Path | None,
    data: str | None = None,
    left_out: Sequence[str] = (),
) -> None:
    """Print the tables, and write them to `file` if there is one.

    With them go the machine, what `data` is, and what this machine `left_out` and why.
    """
    host = machine(threads)
    print(", ".join(f"{key} {value}" for key, value in host.items() if value is not None))
    for title, rows in tables.items():
        print(f"\n{title}")
        for row in rows:
            low, high = row["faster_quartiles"]
            print(
                f"  {row['name']:<36} {row['ms']:9.2f} ms   x {row['faster']:6.2f}  ({low:.2f} to {high:.2f})"
            )
    for line in left_out:
        print(f"left out: {line}")
    if file is not None:
        write_json(file, {"machine": host, "data": data, "left_out": [*left_out], "tables": dict(tables)})
