"""How long a training step and a validation volume of a configuration take on this machine."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from rwseg.core.errors import ConfigError
from rwseg.data.datamodule import SliceDataModule
from rwseg.experiments.build import build_data, build_learner
from rwseg.experiments.device import device_name, precision
from rwseg.experiments.own_parts import check_own_network
from rwseg.experiments.prepared_run import PreparedRun
from rwseg.losses import head_weights, supervised_loss
from rwseg.models.inference.whole_volumes import predict_labels
from rwseg.training.diagnostics.loss_monitor import measure
from rwseg.training.lightning_module import Learner

FEWEST_STEPS = 2


@dataclass(frozen=True)
class StepTimes:
    """Medians in seconds: a whole step, its data, one measurement of the stability meter, one volume.

    `checkpoint` are the bytes of the network's weights and of what the optimizer keeps of them.
    """

    batch_shape: str
    device: str
    step: float
    data: float
    meter: float
    volume: float
    volumes: int
    checkpoint: int

    @property
    def data_share(self) -> float:
        """The data's share of a step."""
        return self.data / self.step


def time_run(run: PreparedRun, steps: int, seconds: float) -> StepTimes:
    """Time up to `steps` steps of `run` in up to `seconds`, after a first one.

    At least `FEWEST_STEPS` are timed, and the prediction of the
    first validation volume.
    """
    cfg = run.cfg
    if cfg.trainer.devices not in ("auto", 1):
        raise ConfigError(
            f"trainer.devices={cfg.trainer.devices}: expected 1, for steps are timed on one device; several "
            "share the hours of one"
        )
    check_own_network(run)
    data, learner = build_data(run), build_learner(run)
    data.prepare_data()
    name = device_name(cfg.trainer.accelerator)
    device = torch.device("cpu" if name == "cpu" else "cuda")
    learner.to(device).train()
    kind = precision(cfg.trainer.precision, name)
    half = torch.float16 if kind == "16-mixed" and device.type == "cuda" else torch.bfloat16
    autocast = torch.autocast(device.type, half, enabled=kind != "32-true")
    optimizer = learner.configure_optimizers()["optimizer"]
    with autocast:
        times = _steps(data, learner, optimizer, device, cfg.schedule.clip_norm, steps, seconds)
        volume = _volume(data, learner, device)
    shape = (run.batch_size, *run.patch_size)
    step, built, meter = np.median(times, axis=0).tolist()
    kept = [
        *learner.network.parameters(),
        *(value for of in optimizer.state.values() for value in of.values()),
    ]
    checkpoint = sum(value.nbytes for value in kept if isinstance(value, torch.Tensor))
    return StepTimes(
        "x".join(map(str, shape)), name, step, built, meter, volume, len(data.val_entries), checkpoint
    )


def _steps(
    data: SliceDataModule,
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    clip_norm: float,
    steps: int,
    seconds: float,
) -> list[tuple[float, float, float]]:
    times: list[tuple[float, float, float]] = []
    begun = _now(device)
    for step in range(steps + 1):
        started = _now(device)
        batch = data.training_batch(step, device)
        built = _now(device)
        outputs = learner.network(batch.image)
        value = supervised_loss(
            learner.loss,
            outputs,
            batch.labels,
            batch.region_map,
            weights=head_weights(len(outputs), learner.network.deepest_head_counts),
            ignore=learner.ignore,
        )
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learner.network.parameters(), clip_norm)
        optimizer.step()
        ended = _now(device)
        if learner.ignore is None:
            measure(learner.loss, outputs[0].detach(), batch.labels, batch.region_map, learner.classes)
        times.append((ended - started, built - started, _now(device) - ended))
        if len(times) > FEWEST_STEPS and ended - begun > seconds:
            break
    return times[1:]  # the first one reads the arrays and allocates


def _volume(data: SliceDataModule, learner: Learner, device: torch.device) -> float:
    learner.eval()
    volume = data.volume(data.val_entries[0], device)
    started = _now(device)
    predict_labels(learner.network, volume.image, volume.entry, learner.patch_size, learner.flips)
    return _now(device) - started


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
