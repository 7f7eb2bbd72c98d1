"""How long the preparation of an ACDC volume takes on one core.

    OMP_NUM_THREADS=1 python benchmarks/preparation.py --root data/acdc --repeats 3

Prints the median and the worst volume in ms, each the fastest of `--repeats` runs: reading with resampling
and standardising, the distances of RRW maps, and those of boundary maps.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from rwseg.data.acdc import ACDC
from rwseg.data.case import Case
from rwseg.data.distances import COMPUTE
from rwseg.data.nifti import read_case
from rwseg.data.phantom import write_phantom
from rwseg.data.prepare import prepare, standardise
from rwseg.data.resample import plane_size, resample_image, resample_labels
from rwseg.data.store import Entry, Prepared

NUM_CLASSES = len(ACDC.classes)


def fastest(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of `repeats` runs: what the work takes when nothing else disturbs it."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def load(case: Case, zoom: float) -> None:
    """Everything that preparation does with a case but hashing and writing."""
    loaded = read_case(case, NUM_CLASSES)
    height, width = loaded.image.shape[-2:]
    size = plane_size((height, width), zoom)
    standardise(resample_image(loaded.image, size))
    if loaded.label is not None:
        resample_labels(loaded.label, size, NUM_CLASSES)


def measure(prepared: Prepared, entry: Entry, case: Case, zoom: float, repeats: int) -> list[float]:
    """Seconds of the three parts, in the order of the report."""
    work = [
        lambda: load(case, zoom),
        lambda: COMPUTE["inside"](prepared, entry),
        lambda: COMPUTE["signed"](prepared, entry),
    ]
    return [fastest(part, repeats) for part in work]


def report(title: str, seconds: Sequence[float]) -> None:
    milliseconds = 1000 * np.array(seconds)
    print(f"{title:<30} median {np.median(milliseconds):6.1f} ms   worst {milliseconds.max():6.1f} ms")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="ACDC's folder; by default a phantom in its layout")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the fastest counts")
    parser.add_argument("--zoom", type=float, default=1.0, help="in-plane size factor")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = asked.root or Path(folder) / "phantom"
        if asked.root is None:
            write_phantom(root)
        prepared = prepare(ACDC, root, Path(folder), asked.zoom)
        rows = [
            measure(prepared, entry, case, asked.zoom, asked.repeats)
            for entry, case in zip(prepared.entries, ACDC.load(root), strict=True)
            if entry.has_label
        ]
    print(f"{len(rows)} volumes of {asked.root or 'the phantom'}, zoom {asked.zoom}, one thread")
    titles = ("read, resample, standardise", "RRW distances", "boundary distances")
    for title, seconds in zip(titles, zip(*rows, strict=True), strict=True):
        report(title, seconds)


if __name__ == "__main__":
    main()
