"""A command that trains nothing answers at once: what takes seconds to import is not imported for it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rwseg.experiments.composition import compose
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.validation import check
from rwseg.experiments.run_directory import run_path, save_config

HEAVY = {"torch", "pytorch_lightning", "monai", "wandb", "scipy", "pandas", "matplotlib", "nibabel"}


def start(folder: Path, *arguments: str) -> tuple[int, str, set[str]]:
    """Run Python in `folder` with `arguments`: status, output, and the modules that it imported."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(CONF.parent), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = ended.stderr.splitlines()
    modules = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    told = "\n".join(line for line in lines if not line.startswith("import time:"))
    assert "argparse" in modules  # the list is one
    return ended.returncode, ended.stdout + told, modules


TRAIN, EVALUATE = str(CONF.parent / "train.py"), str(CONF.parent / "evaluate.py")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([TRAIN, "--help"], 0, "experiment: acdc_challenge"),
        (
            [TRAIN, "experiment=acdc_small", "schedule.epochs=many"],
            2,
            "schedule.epochs: expected a whole number such as",
        ),
        ([TRAIN, "-m", "loss=rrw,rrv", "seed=range(50)"], 2, "did you mean 'rrw'?"),
        ([EVALUATE, "rundir=x"], 2, "did you mean 'run_dir'?"),
        (["-m", "rwseg.commands.report", "--help"], 0, "--reference METHOD"),
        (["-m", "rwseg.commands.doctor", "--help"], 0, "contact sheet"),
        (["-m", "rwseg.commands.doctor", "datset=acdc"], 1, "did you mean 'dataset'?"),
        (["-m", "rwseg.commands.plan", "acdc_smal", "--from", "x"], 2, "did you mean 'acdc_small'?"),
    ],
    ids=lambda value: " ".join(map(str, value[1:])) if isinstance(value, list) else "",
)
def test_help_and_mistakes_import_nothing_heavy(
    arguments: list[str], status: int, words: str, tmp_path: Path
) -> None:
    ended, told, modules = start(tmp_path, *arguments)
    assert (ended, modules & HEAVY) == (status, set()), told
    assert words in re.sub(r"\s+", " ", told)
    assert not list(tmp_path.iterdir())


def test_a_finished_run_is_left_alone_without_anything_heavy(tmp_path: Path) -> None:
    overrides = ["loss=ce", f"output_root={tmp_path / 'outputs'}"]
    cfg, choices = compose("train", overrides)
    cfg = check(cfg)
    folder = run_path(cfg, choices)
    save_config(folder, cfg)
    (folder / "run.json").write_text(json.dumps({"status": "finished", "seconds": 1}))
    status, told, modules = start(tmp_path, TRAIN, *overrides)
    assert (status, modules & HEAVY) == (0, set()), told
    assert told.strip() == f"{folder} is finished; nothing to do (force=true starts it over)"
