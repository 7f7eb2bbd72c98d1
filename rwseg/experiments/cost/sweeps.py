"""Which runs an experiment is made of, and which of them have finished."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from rwseg.core.errors import ConfigError
from rwseg.experiments.composition import preflight
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.cost.estimate import Method
from rwseg.experiments.run_directory import run_path
from rwseg.experiments.run_status import is_finished


def commands_of(experiment: str) -> list[list[str]]:
    """The overrides of each `python train.py ...` that the head of `conf/experiment/<experiment>.yaml` gives.

    Where the data lies (`dataset.root`) is an example there, and left out. Raises `ConfigError` where there
    is no such file, or no command in it.
    """
    preflight("train", [f"experiment={experiment}"])
    path = CONF / "experiment" / f"{experiment}.yaml"
    head = re.sub(r"\\\n#", "", path.read_text(encoding="utf-8"))  # a command over two lines
    lines = re.findall(r"^#.* python train\.py (.+)$", head, re.MULTILINE)
    if not lines:
        raise ConfigError(f"{path}: expected a line with python train.py, found none; give overrides instead")
    return [_overrides(line) for line in lines]


def methods_of(sweeps: Sequence[Sequence[str]]) -> list[Method]:
    """The runs of `sweeps`, each a list of overrides, by method; a run that two of them have counts once.

    Each takes all that the command line of a training does, with -m or without. Raises `ConfigError` for what
    that would refuse, and `RunError` where a run directory is of another configuration.
    """
    runs: dict[Path, TrainConfig] = {}
    for overrides in sweeps:
        for cfg, choices in preflight("train", ["-m", *overrides]):
            runs.setdefault(run_path(cfg, choices), cfg)
    if not runs:
        raise ConfigError("expected runs to plan, got a flag that starts none (--cfg, --info, ...)")
    methods: dict[str, list[Path]] = {}
    for run, cfg in runs.items():
        methods.setdefault(run.parent.relative_to(cfg.output_root).as_posix(), []).append(run)
    return [
        Method(name, runs[own[0]], len(own), sum(is_finished(run, runs[run]) for run in own))
        for name, own in methods.items()
    ]


def _overrides(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    return [word for word in words if word != "-m" and not word.startswith("dataset.root=")]
