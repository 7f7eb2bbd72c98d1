"""Segment new images with one run or several: rwseg predict run_dir=DIR input=FOLDER output=FOLDER."""

from pathlib import Path

from rwseg.experiments.command import run_command
from rwseg.experiments.config.schema import Choices, PredictConfig


def predict(cfg: PredictConfig, choices: Choices) -> None:
    """Predict; the heavy parts are imported once the configuration is known to be right."""
    from rwseg.experiments.evaluation import loaded
    from rwseg.models.inference.folder import predict_folder

    with loaded(cfg) as members:
        predict_folder(members, Path(cfg.input), Path(cfg.output), cfg.checkpoint, cfg.force)


def main() -> None:
    """Run the command with the arguments of the process."""
    run_command(predict, "predict")


if __name__ == "__main__":
    main()
