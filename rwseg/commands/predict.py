"""Segment new images with one run or several: rwseg predict RUN INPUT -o OUTPUT."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from rwseg.experiments.command import run_command
from rwseg.experiments.config.overrides import quote
from rwseg.experiments.config.schema import Choices, PredictConfig

FLAGS = ("overlays", "probabilities", "uncertainty", "force")


def predict(cfg: PredictConfig, choices: Choices) -> None:
    """Predict; the heavy parts are imported once the configuration is known to be right."""
    from rwseg.experiments.evaluation import loaded
    from rwseg.experiments.prediction_extras import extras_of
    from rwseg.models.inference.folder import predict_folder

    with loaded(cfg) as members:
        extras = extras_of(cfg, members)
        predict_folder(members, Path(cfg.input), Path(cfg.output), cfg.checkpoint, cfg.force, extras)


def as_settings(words: Sequence[str]) -> list[str]:
    """The words `RUN [RUN ...] INPUT -o OUTPUT [--overlays ...]` as settings; others stay as they are."""
    own = {"-o", "--output", *(f"--{flag}" for flag in FLAGS)}
    if not words or _is_setting(words[0]) or (words[0].startswith("-") and words[0] not in own):
        return list(words)
    parser = argparse.ArgumentParser("rwseg predict", add_help=False, allow_abbrev=False)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("input", metavar="INPUT")
    parser.add_argument("-o", "--output", required=True)
    for flag in FLAGS:
        parser.add_argument(f"--{flag}", action="store_true")
    is_value = [False, *(word in ("-o", "--output") for word in words)]
    settings = [word for word, value in zip(words, is_value, strict=False) if _is_setting(word) and not value]
    asked, rest = parser.parse_known_args([word for word in words if word not in settings])
    before = ["", *rest]
    stray = [word for word, last in zip(rest, before, strict=False) if "-" not in (word[:1], last[:1])]
    if stray:
        parser.error(f"expected RUN [RUN ...] INPUT in a row, got {stray[0]} apart from them")
    runs = [quote(run) for run in asked.runs]
    named = [
        f"run_dir={runs[0] if len(runs) == 1 else '[' + ','.join(runs) + ']'}",
        f"input={quote(asked.input)}",
        f"output={quote(asked.output)}",
    ]
    flags = [f"{flag}=true" for flag in FLAGS if getattr(asked, flag)]
    return [*named, *flags, *settings, *rest]


def _is_setting(word: str) -> bool:
    """Whether it is one of Hydra's, and no path that has such a name."""
    return re.match(r"[+~]*[\w./@]+=", word) is not None and not Path(word).exists()


def main() -> None:
    """Run the command with the arguments of the process."""
    sys.argv[1:] = as_settings(sys.argv[1:])
    run_command(predict, "predict")


if __name__ == "__main__":
    main()
