"""How long a training step and a validation volume of a configuration take on this machine."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from rwseg.core.errors import ConfigError
from rwseg.data.datamodule import SliceDataModule
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.experiments.build import build_data, build_learner, device_name, planned, precision, prepared_data
from rwseg.experiments.config.schema import TrainConfig
from rwseg.losses import head_weights, supervised_loss
from rwseg.models.inference.whole_volumes import predict_labels
from rwseg.training.diagnostics.loss_monitor import measure
from rwseg.training.lightning_module import Learner

FEWEST_STEPS = 2


@dataclass(frozen=True)
class StepTimes:
    """Medians in seconds: a whole step, its data, one measurement of the stability meter, one volume."""

    batch_shape: str
    device: str
    step: float
    data: float
    meter: float
    volume: float
    volumes: int

    @property
    def data_share(self) -> float:
        """The data's share of a step."""
        return self.data / self.step


def time_run(cfg: TrainConfig, steps: int, seconds: float, prepared: Prepared | None = None) -> StepTimes:
    """Time up to `steps` steps of `cfg` (checked) in up to `seconds`, after a first one.

    Its data are `prepared`, or prepared now. At least `FEWEST_STEPS` are timed, and the prediction of the
    first validation volume.
    """
    if cfg.trainer.devices not in ("auto", 1):
        raise ConfigError(
            f"trainer.devices={cfg.trainer.devices}: expected 1, for steps are timed on one device; several "
            "share the hours of one"
        )
    prepared = prepared or prepared_data(cfg)
    cfg = planned(cfg, prepared)
    data, learner = build_data(cfg, prepared), build_learner(cfg, prepared)
    data.prepare_data()
    name = device_name(cfg.trainer.accelerator)
    device = torch.device("cpu" if name == "cpu" else "cuda")
    learner.to(device).train()
    autocast = torch.autocast(
        device.type,
        torch.float16 if device.type == "cuda" else torch.bfloat16,
        enabled=precision(cfg.trainer.precision, name) != "32-true",
    )
    with autocast:
        times = _steps(cfg, data, learner, device, steps, seconds)
        volume = _volume(data, learner, device)
    shape = (cfg.dataset.batch_size, *(cfg.dataset.patch_size or ()))
    step, built, meter = np.median(times, axis=0).tolist()
    return StepTimes("x".join(map(str, shape)), name, step, built, meter, volume, len(data.val_entries))


def _steps(
    cfg: TrainConfig,
    data: SliceDataModule,
    learner: Learner,
    device: torch.device,
    steps: int,
    seconds: float,
) -> list[tuple[float, float, float]]:
    optimizer = learner.configure_optimizers()["optimizer"]
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
            weights=head_weights(len(outputs)),
            ignore=learner.ignore,
        )
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learner.network.parameters(), cfg.schedule.clip_norm)
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
