"""How long a training step takes, and how much of it goes into the batch and into the stability meter.

python -m benchmarks.training_step [--steps 100] [override ...]
for example: python -m benchmarks.training_step experiment=acdc_small dataset.root=../shared/data/acdc
"""

import argparse

import torch

from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.experiments.cost.step_time import time_run
from rwseg.experiments.prepared_run import prepare_run


def main(arguments: list[str] | None = None) -> None:
    """Print median milliseconds of step, batch and measurement, and the shares of the last two."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("overrides", nargs="*")
    asked = parser.parse_args(arguments)
    cfg, choices = compose("train", asked.overrides)
    cfg = check(cfg)
    torch.set_num_threads(cfg.trainer.threads)
    times = time_run(prepare_run(cfg), asked.steps, asked.seconds)
    every = cfg.stability.every
    print(
        f"{choices['dataset']}, {choices['loss']}, augment={choices['augment']}, batch {times.batch_shape}, "
        f"{times.device}, {torch.get_num_threads()} threads, torch {torch.__version__}: "
        f"step {1e3 * times.step:.1f} ms, batch {1e3 * times.data:.2f} ms, "
        f"{100 * times.data_share:.1f} % of the step; stability meter {1e3 * times.meter:.2f} ms "
        f"in every {every}th step, {100 * times.meter / times.step / every:.2f} % of the time; "
        f"{times.volume:.2f} s per validation volume"
    )


if __name__ == "__main__":
    main()
