"""Evaluate a run that training wrote, or predict new images with it.

rwseg evaluate run_dir=DIR [split=val] [dataset.root=OTHER]
rwseg evaluate run_dir=DIR input=FOLDER output=FOLDER
"""

from rwseg.experiments.command import run_command
from rwseg.experiments.config.schema import Choices, EvaluateConfig


def evaluate(cfg: EvaluateConfig, choices: Choices) -> None:
    """Import the heavy parts only once the configuration is known to be right."""
    from rwseg.experiments.evaluation import evaluate_run

    evaluate_run(cfg)


def main() -> None:
    """Run the command with the arguments of the process."""
    run_command(evaluate, "evaluate")


if __name__ == "__main__":
    main()
