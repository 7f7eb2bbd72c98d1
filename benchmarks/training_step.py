"""How long a training step takes, and how much of it goes into the batch and into the stability meter.

python -m benchmarks.training_step [--steps 100] [override ...]
for example: python -m benchmarks.training_step experiment=acdc_small dataset.root=../shared/data/acdc
"""

import argparse
import time

import numpy as np
import torch

from rwseg.cli import compose
from rwseg.config import check
from rwseg.data.module import SliceDataModule
from rwseg.losses import build_loss, head_weights, supervised_loss
from rwseg.monitor import measure
from rwseg.run import build_network, prepared_data


def main(arguments: list[str] | None = None) -> None:
    """Print median milliseconds of step, batch and measurement, and the shares of the last two."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("overrides", nargs="*")
    asked = parser.parse_args(arguments)
    cfg, choices = compose("train", asked.overrides)
    cfg = check(cfg)
    batch, step, meter = _times(cfg, asked.steps)
    every = cfg.stability.every
    shape = "x".join(str(size) for size in (cfg.dataset.batch_size, *cfg.dataset.patch_size))
    print(
        f"{choices['dataset']}, {choices['loss']}, batch {shape}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}: step {np.median(step):.1f} ms, batch {np.median(batch):.2f} ms, "
        f"{100 * np.median(batch / step):.1f} % of the step; stability meter {np.median(meter):.2f} ms "
        f"in every {every}th step, {100 * np.median(meter / step) / every:.2f} % of the time"
    )


def _times(cfg, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
    prepared = prepared_data(cfg)
    loss, network = build_loss(cfg), build_network(cfg, prepared)
    data = SliceDataModule(
        prepared,
        loss.map_name,
        loss.rectified,
        tuple(cfg.dataset.patch_size),
        cfg.dataset.batch_size,
        cfg.schedule.batches_per_epoch,
        cfg.schedule.foreground,
        cfg.augment.flips,
        cfg.seed,
    )
    data.prepare_data()
    optimizer = torch.optim.Adam(network.parameters(), lr=cfg.schedule.learning_rate)
    device = torch.device("cpu")
    data.training_batch(0, device)  # reads the arrays
    milliseconds = []
    for step in range(steps + 5):
        started = time.perf_counter()
        batch = data.training_batch(step, device)
        built = time.perf_counter()
        outputs = network(batch.image)
        value = supervised_loss(
            loss, outputs, batch.labels, batch.region_map, weights=head_weights(len(outputs))
        )
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), cfg.schedule.clip_norm)
        optimizer.step()
        ended = time.perf_counter()
        measure(loss, outputs[0], batch.labels, batch.region_map, prepared.classes)
        measured = time.perf_counter()
        milliseconds.append((built - started, ended - started, measured - ended))
    times = 1e3 * np.array(milliseconds[5:])
    return times[:, 0], times[:, 1], times[:, 2]


if __name__ == "__main__":
    main()
