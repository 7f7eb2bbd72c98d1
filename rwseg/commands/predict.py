"""Predict new images with one run or several: rwseg predict run_dir=DIR input=FOLDER output=FOLDER."""

from rwseg.core.errors import ConfigError
from rwseg.experiments.command import run_command
from rwseg.experiments.config.schema import Choices, EvaluateConfig


def predict(cfg: EvaluateConfig, choices: Choices) -> None:
    """Predict; the heavy parts are imported once the configuration is known to be right."""
    if cfg.input is None:
        raise ConfigError("input: expected a folder of images to predict, got none; give input=...")
    from rwseg.experiments.evaluation import evaluate_run

    evaluate_run(cfg)


def main() -> None:
    """Run the command with the arguments of the process."""
    run_command(predict, "evaluate")


if __name__ == "__main__":
    main()
