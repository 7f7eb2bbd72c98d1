"""A small study, from data to report: two losses, three seeds.

python -m benchmarks.study [--device cuda] [--json FILE] [--keep FOLDER] [override ...]

acdc_small where RWSEG_DATA is set, else phantom_convergence. On a GPU runs share it, up to six at a time,
where Ray is installed. Runs and report stay in `--keep`.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.packed import TRAIN, room
from benchmarks.timing import machine, parser
from rwseg.core.files import write_json
from rwseg.report.comparison.runs import Run, find_runs

LOSSES, SEEDS = ("rrw", "rw_boundary"), 3


def settings(folder: Path, device: str, overrides: Sequence[str]) -> list[str]:
    """The words of the sweep."""
    data = os.environ.get("RWSEG_DATA")
    side_by_side = ["hydra/launcher=ray", *room(device, len(LOSSES) * SEEDS)]
    return [
        f"experiment={'acdc_small' if data else 'phantom_convergence'}",
        f"loss={','.join(LOSSES)}",
        f"seed=range({SEEDS})",
        "force=true",  # also where an earlier one was kept
        f"trainer={'gpu' if device == 'cuda' else 'cpu'}",
        f"prepared_root={folder / 'prepared'}",
        f"output_root={folder / 'outputs'}",
        f"dataset.root={Path(data).resolve() / 'acdc' if data else folder / 'phantom'}",
        *(side_by_side if device == "cuda" and find_spec("ray") else []),
        *overrides,
    ]


def study(folder: Path, device: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Train and compare; `RuntimeError` with the last of its output where either fails."""
    started = time.perf_counter()
    _command([TRAIN, "-m", *settings(folder, device, overrides)], folder)
    trained = time.perf_counter()
    report = ["-m", "rwseg.commands", "report", str(folder / "outputs"), "-o", str(folder / "report")]
    report += ["--allow", "commit"]  # whoever checks a GPU may have changed something
    said = _command(report, folder)
    seconds = {"training": trained - started, "report": time.perf_counter() - trained}
    lacks_ray = device == "cuda" and find_spec("ray") is None
    return {
        "left_out": ["runs side by side: expected the package ray, found none"] if lacks_ray else [],
        "says": [line.removeprefix("* ") for line in said.splitlines() if line.startswith("* ")],
        "tables": {
            "runs of each loss": _rows(find_runs([folder / "outputs"])),
            "time": [{"name": name, "seconds": took} for name, took in seconds.items()],
        },
    }


def _rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    rows = []
    for loss in LOSSES:
        own = [run for run in runs if run.choices["loss"] == loss]
        last = [float(run.epochs["val/dice"].iloc[-1]) for run in own if run.epochs is not None]
        mean, seconds = sum(last) / len(last), sum(run.seconds for run in own) / len(own)
        rows.append(
            {"name": loss, "runs": len(own), "dice": mean, "least": min(last), "seconds_a_run": seconds}
        )
    return rows


def _command(words: Sequence[str], folder: Path) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *words]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"{command}: status {ended.returncode}: {(ended.stdout + ended.stderr)[-2000:]}")
    return ended.stdout


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__ or "")
    options.add_argument("--keep", type=Path, help="folder for runs and report (default: none is kept)")
    options.add_argument("overrides", nargs="*")
    asked = options.parse_intermixed_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = (asked.keep or Path(name)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        found = study(folder, asked.device, asked.overrides)
    print("\n".join(found["says"]))
    if asked.json:
        write_json(asked.json, {"machine": machine(1), **found})


if __name__ == "__main__":
    main()
