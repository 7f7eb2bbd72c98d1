"""How long the preparation of an ACDC volume takes on one core.

    OMP_NUM_THREADS=1 python -m benchmarks.preparation --root data/acdc [--spacing MM] [--workers 1 2]

Prints the median and the worst volume in ms, each the fastest of `--repeats` runs: reading; cropping,
resampling to `--spacing` by splines and standardising; the distances of RRW maps, and those of boundary maps.
Then what the boundary distances of all volumes take by the clock with so many `workers`, in turns.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from rwseg.data.datasets.acdc import ACDC
from rwseg.data.datasets.phantom import write_phantom
from rwseg.data.io.cases import read_case, slice_axis_of
from rwseg.data.preprocessing.config import PreprocessingConfig
from rwseg.data.preprocessing.distances import COMPUTE, ensure_distances
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.volume import prepare_volume

ACDC_RULES = PreprocessingConfig(
    crop=True, spacing=(1.5625, 1.5625), size=None, zoom=1.0, interpolation="spline", normalisation="zscore"
)
"""Of the paper; `--spacing` takes another in the slices."""


def fastest(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of `repeats` runs: what the work takes when nothing else disturbs it."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def measure(root: Path, prepared_root: Path, rules: PreprocessingConfig, repeats: int) -> list[list[float]]:
    """Seconds of the four parts, in the order of the report, for each labelled volume."""
    source = ACDC.load(root)
    slice_axis = slice_axis_of(source)
    prepared = prepare(ACDC, root, prepared_root, rules)
    rows = []
    for entry, case in zip(prepared.entries, source.cases, strict=True):
        if not entry.has_label:
            continue
        loaded = read_case(case, source, slice_axis)
        parts: list[Callable[[], object]] = [
            partial(read_case, case, source, slice_axis),
            partial(prepare_volume, loaded, prepared.preprocessing, len(source.classes)),
            partial(COMPUTE["inside"], prepared, entry),
            partial(COMPUTE["signed"], prepared, entry),
        ]
        rows.append([fastest(part, repeats) for part in parts])
    return rows


def whole_set(
    root: Path, prepared_root: Path, rules: PreprocessingConfig, workers: Sequence[int], repeats: int
) -> dict[int, float]:
    """Median seconds of the boundary distances of all volumes, by the number of processes."""
    prepared = prepare(ACDC, root, prepared_root, rules)
    seconds: dict[int, list[float]] = {number: [] for number in workers}
    for _ in range(repeats):
        for number in workers:
            shutil.rmtree(prepared.folder / "signed", ignore_errors=True)
            started = time.perf_counter()
            ensure_distances(prepared, "boundary", number)
            seconds[number].append(time.perf_counter() - started)
    return {number: statistics.median(each) for number, each in seconds.items()}


def report(title: str, seconds: Sequence[float]) -> None:
    milliseconds = 1000 * np.array(seconds)
    print(f"{title:<30} median {np.median(milliseconds):6.1f} ms   worst {milliseconds.max():6.1f} ms")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="ACDC's folder; by default a phantom in its layout")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the fastest counts")
    parser.add_argument("--spacing", type=float, default=1.5625, help="mm in the slices")
    parser.add_argument("--workers", type=int, nargs="*", default=[], help="that share all volumes")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rules = replace(ACDC_RULES, spacing=(asked.spacing, asked.spacing))
    with tempfile.TemporaryDirectory() as folder:
        root = asked.root or Path(folder) / "phantom"
        if asked.root is None:
            write_phantom(root)
        rows = measure(root, Path(folder), rules, asked.repeats)
        shared = whole_set(root, Path(folder), rules, asked.workers, asked.repeats)
    print(f"{len(rows)} volumes of {asked.root or 'the phantom'}, one thread")
    titles = ("read", "crop, resample, standardise", "RRW distances", "boundary distances")
    for title, seconds in zip(titles, zip(*rows, strict=True), strict=True):
        report(title, seconds)
    for number, clock in shared.items():
        print(f"boundary distances of all, {number} workers: {clock:.2f} s")


if __name__ == "__main__":
    main()
