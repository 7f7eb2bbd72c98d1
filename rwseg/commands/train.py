"""Train one run, or a sweep of them with -m: rwseg train loss=rrw dataset=acdc seed=0."""

from rwseg.experiments.command import run_command
from rwseg.experiments.config.schema import Choices, TrainConfig
from rwseg.experiments.run_directory import run_path
from rwseg.experiments.run_status import left_alone
from rwseg.experiments.sweeps.manifest import sweep_manifest


def train(cfg: TrainConfig, choices: Choices) -> None:
    """Import the heavy parts only for a run that is to be trained."""
    if left_alone(run_path(cfg, choices), cfg):
        return
    from rwseg.experiments.run import train_run

    train_run(cfg, choices)


def main() -> None:
    """Run the command with the arguments of the process."""
    run_command(train, "train", sweep_manifest)


if __name__ == "__main__":
    main()
