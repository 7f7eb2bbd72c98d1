"""Runs per hour side by side (hydra/launcher=ray) and one after another, at the size of acdc_small.

python -m benchmarks.packed [--rounds 3] [--slots 2] [--device cuda] [--json FILE] [override ...]

On a CPU each slot is a thread; with --device cuda so many runs share each GPU. A round is a sweep of `--runs`
short runs either way, start of Ray and of the processes included: the shorter the runs, the more that counts
against Ray. Data are prepared before, by a run that is not counted.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.timing import paired, parser, report
from rwseg.experiments.config.conf import CONF

TRAIN = str(CONF.parent / "train.py")


def sweep(folder: Path, words: Sequence[str], runs: int) -> None:
    """Train `runs` runs anew; `RuntimeError` with the last of its output where that fails."""
    command = [sys.executable, TRAIN, "-m", f"seed=range({runs})", "force=true", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"{command}: status {ended.returncode}: {(ended.stdout + ended.stderr)[-2000:]}")


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__ or "")
    options.set_defaults(rounds=3)
    options.add_argument("--slots", type=int, default=2, help="runs at a time (default 2)")
    options.add_argument("--runs", type=int, default=4, help="runs of a sweep (default 4)")
    options.add_argument(
        "overrides", nargs="*", help="as for train.py, such as schedule.batches_per_epoch=500"
    )
    asked = options.parse_intermixed_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        common = settings(folder, asked.device, asked.overrides)
        side_by_side = ["hydra/launcher=ray", *room(asked.device, asked.slots)]
        works = {
            "one after another": partial(
                sweep, folder, [*common, f"output_root={folder / 'one'}"], asked.runs
            ),
            f"{asked.slots} at a time": partial(
                sweep, folder, [*common, f"output_root={folder / 'ray'}", *side_by_side], asked.runs
            ),
        }
        sweep(folder, [*common, f"output_root={folder / 'first'}"], 1)
        rows = paired(works, "one after another", asked.rounds, warm_up=False)
    for row in rows:
        row["runs_per_hour"] = 3.6e6 * asked.runs / row["ms"]
    report({f"sweep of {asked.runs} runs": rows}, asked.threads, asked.json)


def room(device: str, slots: int) -> list[str]:
    """Ray's settings for so many runs at a time."""
    if device == "cuda":  # Ray counts parts of a GPU in ten-thousandths
        return [f"hydra.launcher.num_gpus={10_000 // slots / 10_000}"]
    return ["hydra.launcher.num_gpus=0", f"hydra.launcher.local.num_cpus={slots}"]


def settings(folder: Path, device: str, overrides: Sequence[str]) -> list[str]:
    """acdc_small, a sixth of its length, on real data where `RWSEG_DATA` says where it lies."""
    data = os.environ.get("RWSEG_DATA")
    return [
        "experiment=acdc_small",
        "schedule.epochs=2",
        "evaluation.every=2",
        f"trainer={'gpu' if device == 'cuda' else 'cpu'}",
        f"prepared_root={folder / 'prepared'}",
        f"dataset.root={Path(data).resolve() / 'acdc'}" if data else "dataset=phantom",
        *([] if data else [f"dataset.root={folder / 'phantom'}"]),
        *overrides,
    ]


if __name__ == "__main__":
    main()
