"""Train one run, or a sweep of them with -m: python train.py loss=rrw dataset=acdc seed=0."""

from omegaconf import DictConfig

from rwseg.cli import main
from rwseg.config import Choices
from rwseg.record import left_alone
from rwseg.rundir import run_path
from rwseg.sweep import plan_sweep


def train(cfg: DictConfig, choices: Choices) -> None:
    """Import the heavy parts only for a run that is to be trained."""
    if left_alone(run_path(cfg, choices), cfg):
        return
    from rwseg.run import train_run

    train_run(cfg, choices)


if __name__ == "__main__":
    main(train, "train", plan_sweep)
