"""How preparation, an epoch and a report grow with their data: processor time, and peak memory, at 1x to 8x.

python -m benchmarks.growth [--rounds 3] [--json FILE] [PART ...]

Each measurement is a fresh process, whose memory is its own; processor time is what a busy machine does not
change. `of line` is the median time over the straight line through those of all four sizes: 1 where time is
linear.
"""

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.timing import machine, parser
from rwseg.commands.report import main as compare_runs
from rwseg.core.files import write_json
from rwseg.data.datasets.phantom import write_phantom
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.experiments.prepared_run import prepared_data
from rwseg.experiments.run import train_run

FACTORS = (1, 2, 4, 8)
SUBJECTS, RUNS = 4, 3
"""At 1x: of the phantom, each two volumes; and in a report, of each of two methods."""

TINY = ["trainer=cpu", "workers=1", "model.features=4", "schedule.epochs=1", "schedule.batches_per_epoch=20"]

Part = Callable[[Path, int], Callable[[], object]]
"""Makes all that is not to be timed in a folder, for so many cases or runs, and returns the work."""


def preparation(folder: Path, factor: int) -> Callable[[], object]:
    """Read, standardise and write all volumes, one process."""
    write_phantom(folder / "phantom", subjects=SUBJECTS * factor)
    cfg = _settings(folder)
    return lambda: prepared_data(cfg)


def epoch(folder: Path, factor: int) -> Callable[[], object]:
    """A run of one epoch on prepared data: the same number of batches, and all validation volumes."""
    preparation(folder, factor)()
    return lambda: _train(folder, "rrw")


def report(folder: Path, factor: int) -> Callable[[], object]:
    """Tables, tests, figures and page of runs of two methods."""
    write_phantom(folder / "phantom", subjects=SUBJECTS)
    for loss in ("rrw", "ce"):
        first = _train(folder, loss)
        for seed in range(1, RUNS * factor):
            _copy(first, seed)
    return lambda: _compare([str(folder / "outputs"), "-o", str(folder / "report"), "--allow", "commit"])


PARTS: Mapping[str, Part] = {
    "preparation": preparation,
    "epoch": epoch,
    "report": report,
}


def measure(part: str, factor: int) -> dict[str, float]:
    """Processor seconds of a part, and the peak memory of this process (MiB)."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = PARTS[part](Path(folder), factor)
        start = time.process_time()
        work()
        return {"seconds": time.process_time() - start, "peak_mib": _peak_mib()}


def table(part: str, samples: Mapping[int, Sequence[Mapping[str, float]]]) -> list[dict[str, Any]]:
    """A row per size: medians of the samples, and the time over that of the straight line."""
    seconds = [statistics.median(sample["seconds"] for sample in samples[factor]) for factor in FACTORS]
    line = np.polyval(np.polyfit(FACTORS, seconds, 1), FACTORS)
    unit, one = ("runs", 2 * RUNS) if part == "report" else ("volumes", 2 * SUBJECTS)
    return [
        {
            "name": f"{factor}x",
            unit: one * factor,
            "seconds": own,
            "ms_each": 1e3 * own / (one * factor),
            "of_line": own / straight,
            "peak_mib": statistics.median(sample["peak_mib"] for sample in samples[factor]),
        }
        for factor, own, straight in zip(FACTORS, seconds, line.tolist(), strict=True)
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__ or "")
    options.set_defaults(rounds=3)
    options.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    options.add_argument("--one", nargs=2, metavar=("PART", "FACTOR"), help="measure one, print it as JSON")
    asked = options.parse_args(arguments)
    if asked.one:
        print(json.dumps(measure(asked.one[0], int(asked.one[1]))))
        return
    tables = {}
    for part in asked.parts or PARTS:
        samples: dict[int, list[dict[str, float]]] = {factor: [] for factor in FACTORS}
        for _ in range(asked.rounds):
            for factor in FACTORS:
                samples[factor].append(_elsewhere(part, factor))
        tables[part] = table(part, samples)
        print(f"\n{part}")
        for row in tables[part]:
            print("  " + "  ".join(f"{key} {_short(value)}" for key, value in row.items()))
    if asked.json:
        write_json(asked.json, {"machine": machine(1), "tables": tables})


def _elsewhere(part: str, factor: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.growth", "--one", part, str(factor)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def _settings(folder: Path) -> Any:
    cfg, _ = compose("train", [*TINY, *_places(folder)])
    return check(cfg)


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


def _copy(run: Path, seed: int) -> None:
    """The same run under another seed."""
    other = shutil.copytree(run, run.with_name(f"seed{seed}"))
    path = other / "config.yaml"
    path.write_text(re.sub("^seed: 0$", f"seed: {seed}", path.read_text(), count=1, flags=re.MULTILINE))


def _peak_mib() -> float:
    """Of this process alone: `ru_maxrss` begins with the peak of the process that started it."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1]) / 1024


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
