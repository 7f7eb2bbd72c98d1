"""How long the preparation of an ACDC volume takes on one core.

    OMP_NUM_THREADS=1 python -m benchmarks.preparation --root data/acdc --repeats 3

Prints the median and the worst volume in ms, each the fastest of `--repeats` runs: reading; cropping,
resampling to 1.5625 mm by splines and standardising; the distances of RRW maps, and those of boundary maps.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from rwseg.data.datasets.acdc import ACDC
from rwseg.data.datasets.phantom import write_phantom
from rwseg.data.io.cases import read_case, slice_axis_of
from rwseg.data.preprocessing.config import PreprocessingConfig
from rwseg.data.preprocessing.distances import COMPUTE
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.volume import prepare_volume

ACDC_RULES = PreprocessingConfig(
    crop=True, spacing=(1.5625, 1.5625), size=None, zoom=1.0, interpolation="spline", normalisation="zscore"
)


def fastest(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of `repeats` runs: what the work takes when nothing else disturbs it."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def measure(root: Path, prepared_root: Path, repeats: int) -> list[list[float]]:
    """Seconds of the four parts, in the order of the report, for each labelled volume."""
    source = ACDC.load(root)
    slice_axis = slice_axis_of(source)
    prepared = prepare(ACDC, root, prepared_root, ACDC_RULES)
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


def report(title: str, seconds: Sequence[float]) -> None:
    milliseconds = 1000 * np.array(seconds)
    print(f"{title:<30} median {np.median(milliseconds):6.1f} ms   worst {milliseconds.max():6.1f} ms")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="ACDC's folder; by default a phantom in its layout")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the fastest counts")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = asked.root or Path(folder) / "phantom"
        if asked.root is None:
            write_phantom(root)
        rows = measure(root, Path(folder), asked.repeats)
    print(f"{len(rows)} volumes of {asked.root or 'the phantom'}, one thread")
    titles = ("read", "crop, resample, standardise", "RRW distances", "boundary distances")
    for title, seconds in zip(titles, zip(*rows, strict=True), strict=True):
        report(title, seconds)


if __name__ == "__main__":
    main()
