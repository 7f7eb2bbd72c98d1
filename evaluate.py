"""Evaluate a run that train.py wrote, or predict new images with it.

python evaluate.py run_dir=DIR [split=val] [dataset.root=OTHER]
python evaluate.py run_dir=DIR input=FOLDER output=FOLDER
"""

from omegaconf import DictConfig

from rwseg.cli import main
from rwseg.config import Choices


def evaluate(cfg: DictConfig, choices: Choices) -> None:
    """Import the heavy parts only once the configuration is known to be right."""
    from rwseg.evaluation import evaluate_run

    evaluate_run(cfg)


if __name__ == "__main__":
    main(evaluate, "evaluate")
