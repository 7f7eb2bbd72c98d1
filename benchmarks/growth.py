"""How preparation, epochs, training steps and reports grow with their data: processor time, and peak memory.

python -m benchmarks.growth [--rounds 1] [--json FILE] [PART ...]

Each measurement is a fresh process, whose memory is its own. Seconds are of the processor, with those of
processes that read for a training: a busy machine does not change them. `clock` is what the clock said
beside them, whatever else ran. `of line` is the time over the straight line that is nearest to those of all
sizes, in relative terms: 1 where time is linear. Data are generated: phantoms, pictures of 512 x 512 in
three channels (steps), and copies of two trained runs under other seeds (report).
"""

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.residency import now, opened, peak_mib, prepared_pictures
from benchmarks.timing import machine, parser
from rwseg.commands.report import main as compare_runs
from rwseg.core.files import write_json
from rwseg.data.datasets.phantom import write_phantom
from rwseg.data.sampling.residency import PLACES
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.experiments.prepared_run import prepared_data
from rwseg.experiments.run import train_run

TINY = ["trainer=cpu", "workers=1", "model.features=4", "schedule.epochs=1", "schedule.batches_per_epoch=20"]
LAPTOP = ["experiment=acdc_small", "trainer=cpu"]
STEPS = 20
CASES = 24
"""Validated in each run of a report."""

Work = Callable[[], object]


class Part(NamedTuple):
    """`begin` does all that is not timed in a folder, for one of `sizes`, and returns the work.

    `unit` is what a size counts, `each` what milliseconds are given for: `size` of these, or `STEPS` steps.
    """

    begin: Callable[[Path, int], Work]
    unit: str
    sizes: tuple[int, ...]
    each: str = "ms_each"


def preparation(folder: Path, volumes: int) -> Work:
    """Read, standardise and write all volumes, one process."""
    write_phantom(folder / "phantom", subjects=volumes // 2)
    cfg = check(compose("train", [*TINY, *_places(folder)])[0])
    return lambda: prepared_data(cfg)


def epoch(folder: Path, volumes: int) -> Work:
    """A run of one epoch on prepared data: the same number of batches, and all validation volumes."""
    preparation(folder, volumes)()
    return lambda: _train(folder, "rrw")


def report(folder: Path, runs: int) -> Work:
    """Tables, tests, figures and page of runs of two methods."""
    shared = folder.parent / "trained"
    write_phantom(shared / "phantom", subjects=CASES)
    for loss in ("rrw", "ce"):
        first = _train(shared, loss)  # the first time
        for seed in range(runs // 2):
            _copy(first, folder / first.relative_to(shared), seed)
    return lambda: _compare([str(folder / "outputs"), "-o", str(folder / "report"), "--allow", "commit"])


def steps(place: str, folder: Path, pictures: int) -> Work:
    """Training steps at laptop size from slices in one place, after a first one."""
    data = prepared_pictures(folder.parent / f"pictures{pictures}", pictures)
    training = opened(data, place, LAPTOP, torch.device("cpu"))
    given = training.slices.ahead(range(STEPS + 1))

    def step() -> None:
        training.step(training.slices.batch(next(given)))

    step()
    return lambda: [step() for _ in range(STEPS)]


PARTS: Mapping[str, Part] = {
    "preparation": Part(preparation, "volumes", (8, 64, 512)),
    "epoch": Part(epoch, "volumes", (8, 64, 512)),
    **{
        f"steps, {place}": Part(partial(steps, place), "pictures", (8, 64, 512), "ms_a_step")
        for place in PLACES
    },
    "report": Part(report, "runs", (10, 100, 1000)),
}


def measure(name: str, size: int, shared: Path) -> dict[str, float]:
    """Seconds of a part by processor and clock, and the peak memory (MiB), with that of those that read."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        work = PARTS[name].begin(Path(folder), size)
        begun = now()
        work()
        ended = now()
        return {
            "seconds": ended.own + ended.readers - begun.own - begun.readers,
            "clock": ended.seconds - begun.seconds,
            **peak_mib(),
        }


def table(part: Part, samples: Mapping[int, Sequence[Mapping[str, float]]]) -> list[dict[str, Any]]:
    """A row per size: medians of the samples, and the time over that of the straight line."""
    rows = [
        {key: statistics.median(sample[key] for sample in samples[size]) for key in samples[size][0]}
        for size in part.sizes
    ]
    seconds = np.array([row["seconds"] for row in rows])
    # Relative distances count: by absolute ones the largest would decide alone, and the smallest be below 0.
    line = np.polyval(np.polyfit(part.sizes, seconds, 1, w=1 / seconds), part.sizes).tolist()
    return [
        {
            "name": f"{size // part.sizes[0]}x",
            part.unit: size,
            "seconds": row["seconds"],
            part.each: 1e3 * row["seconds"] / (STEPS if part.each == "ms_a_step" else size),
            "of_line": row["seconds"] / straight,
            **{key: value for key, value in row.items() if key != "seconds"},
        }
        for size, row, straight in zip(part.sizes, rows, line, strict=True)
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__ or "")
    options.set_defaults(rounds=1)
    options.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    options.add_argument("--one", nargs=3, metavar=("PART", "SIZE", "FOLDER"), help="measure one, as JSON")
    asked = options.parse_args(arguments)
    if asked.one:
        print(json.dumps(measure(asked.one[0], int(asked.one[1]), Path(asked.one[2]))))
        return
    tables = {}
    with tempfile.TemporaryDirectory() as shared:
        for name in asked.parts or PARTS:
            part = PARTS[name]
            samples: dict[int, list[dict[str, float]]] = {size: [] for size in part.sizes}
            for _ in range(asked.rounds):
                for size in part.sizes:
                    samples[size].append(_elsewhere(name, size, shared))
            tables[name] = table(part, samples)
            print(f"\n{name}")
            for row in tables[name]:
                print("  " + "  ".join(f"{key} {_short(value)}" for key, value in row.items()), flush=True)
    if asked.json:
        write_json(asked.json, {"machine": machine(1), "tables": tables})


def _elsewhere(name: str, size: int, shared: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.growth", "--one", name, str(size), shared]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def _places(folder: Path) -> list[str]:
    return [
        f"dataset.root={folder / 'phantom'}",
        f"prepared_root={folder / 'prepared'}",
        f"output_root={folder / 'outputs'}",
    ]


def _train(folder: Path, loss: str) -> Path:
    cfg, choices = compose("train", [*TINY, *_places(folder), f"loss={loss}"])
    return train_run(check(cfg), choices)


def _compare(arguments: Sequence[str]) -> None:
    if compare_runs(arguments):
        raise RuntimeError(f"no report of {arguments}")


def _copy(run: Path, place: Path, seed: int) -> None:
    """The same run beside `place` under another seed, as far as a report reads it."""
    other = place.with_name(f"seed{seed}")
    shutil.copytree(run, other, ignore=shutil.ignore_patterns("checkpoints"))
    path = other / "config.yaml"
    path.write_text(re.sub("^seed: 0$", f"seed: {seed}", path.read_text(), count=1, flags=re.MULTILINE))


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
