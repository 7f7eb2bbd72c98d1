"""How long help, a mistake and a finished run take to answer, beside the same with PyTorch imported.

python -m benchmarks.startup [--rounds 5] [--json FILE]
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.timing import paired, parser, report
from rwseg.experiments.composition import compose
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.validation import check
from rwseg.experiments.run_directory import run_path, save_config

ROOT = CONF.parent
HEAVY = "import torch, pytorch_lightning, monai, pandas, matplotlib.pyplot"
COMMANDS: Mapping[str, tuple[list[str], int]] = {
    "train.py --help": (["train.py", "--help"], 0),
    "train.py, a mistyped key": (["train.py", "schedule.epoch=3"], 2),
    "train.py, a mistyped option among 50 runs": (["train.py", "-m", "loss=rrw,rwr", "seed=range(50)"], 2),
    "train.py, a value of a wrong type": (["train.py", "schedule.epochs=many"], 2),
    "train.py, a finished run": (["train.py", "loss=ce"], 0),
    "evaluate.py, a mistyped key": (["evaluate.py", "rundir=x"], 2),
    "rwseg report --help": (["-m", "rwseg.commands.report", "--help"], 0),
    "rwseg doctor --help": (["-m", "rwseg.commands.doctor", "--help"], 0),
    "rwseg plan, a mistyped experiment": (["-m", "rwseg.commands.plan", "acdc_smal"], 2),
}


def start(folder: Path, status: int, words: Sequence[str]) -> None:
    """Run Python in `folder`; `RuntimeError` where it ends with another status."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    if ended.returncode != status:
        raise RuntimeError(f"{words}: expected status {status}, got {ended.returncode}: {ended.stderr}")


def eager(words: Sequence[str]) -> list[str]:
    """The same command in a Python that has imported everything heavy before."""
    name = words[1] if words[0] == "-m" else words[0]
    run = "run_module" if words[0] == "-m" else "run_path"
    arguments = list(words[1:] if words[0] == "-m" else words)
    return [
        "-c",
        f"import runpy, sys; {HEAVY}; sys.argv = {arguments!r}; runpy.{run}({name!r}, run_name='__main__')",
    ]


def finished_run(folder: Path) -> None:
    """The directory that `train.py loss=ce` leaves in `folder`, as far as it is read again."""
    cfg, choices = compose("train", ["loss=ce"])
    run = folder / run_path(cfg, choices)
    save_config(run, check(cfg))
    (run / "run.json").write_text(json.dumps({"status": "finished", "seconds": 1.0}))


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__ or "")
    options.set_defaults(rounds=5)
    asked = options.parse_args(arguments)
    tables = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        finished_run(folder)
        for title, ((first, *rest), status) in COMMANDS.items():
            words = [first if first == "-m" else str(ROOT / first), *rest]
            works = {
                "with PyTorch and its company": partial(start, folder, status, eager(words)),
                "rwseg": partial(start, folder, status, words),
            }
            tables[title] = paired(works, "with PyTorch and its company", asked.rounds)
    report(tables, asked.threads, asked.json)


if __name__ == "__main__":
    main()
