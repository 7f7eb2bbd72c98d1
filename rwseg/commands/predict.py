"""Segment new images with one run or several: rwseg predict RUN INPUT -o OUTPUT."""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rwseg.experiments.command import run_command
from rwseg.experiments.config.schema import Choices, PredictConfig

FLAGS = ("overlays", "probabilities", "uncertainty", "force")


def predict(cfg: PredictConfig, choices: Choices) -> None:
    """Predict; the heavy parts are imported once the configuration is known to be right."""
    from rwseg.experiments.evaluation import loaded
    from rwseg.experiments.prediction_extras import wanted, write_extras
    from rwseg.models.inference.folder import predict_folder

    with loaded(cfg) as members:
        extras = partial(write_extras, cfg, members[0].data) if wanted(cfg) else None
        predict_folder(members, Path(cfg.input), Path(cfg.output), cfg.checkpoint, cfg.force, extras)


def as_settings(words: Sequence[str]) -> list[str]:
    """The words `RUN [RUN ...] INPUT -o OUTPUT [--overlays ...]` as settings; others stay as they are."""
    if not words or words[0].startswith("-") or "=" in words[0]:
        return list(words)
    parser = argparse.ArgumentParser("rwseg predict", add_help=False, allow_abbrev=False)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("input", metavar="INPUT")
    parser.add_argument("-o", "--output", required=True)
    for flag in FLAGS:
        parser.add_argument(f"--{flag}", action="store_true")
    settings = [word for word in words if "=" in word and not Path(word).exists()]
    asked, rest = parser.parse_known_args([word for word in words if word not in settings])
    runs = asked.runs[0] if len(asked.runs) == 1 else asked.runs
    named = {"run_dir": runs, "input": asked.input, "output": asked.output}
    flags = [f"{flag}=true" for flag in FLAGS if getattr(asked, flag)]
    return [*(f"{key}={json.dumps(value)}" for key, value in named.items()), *flags, *settings, *rest]


def main() -> None:
    """Run the command with the arguments of the process."""
    sys.argv[1:] = as_settings(sys.argv[1:])
    run_command(predict, "predict")


if __name__ == "__main__":
    main()
