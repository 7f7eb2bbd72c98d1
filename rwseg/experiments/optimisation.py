"""From a checked configuration to its optimizer and the schedule of its learning rate."""

from collections.abc import Callable, Iterable
from math import ceil
from typing import Any

from pytorch_lightning.utilities.types import LRSchedulerConfigType
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from rwseg.core.errors import ConfigError
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.own_callables import callable_of, located


def optimizer_of(cfg: TrainConfig) -> Callable[[Iterable[Parameter]], Optimizer]:
    """What makes the optimizer of a network's parameters.

    `lr` and `weight_decay` are the schedule's unless `cfg.optimizer` gives them. Raises `ConfigError` for a
    target that is not there or does not take its arguments, and when called for one that makes no optimizer.
    """
    schedule = cfg.schedule
    known = {"lr": schedule.learning_rate, "weight_decay": schedule.weight_decay}
    make = callable_of("optimizer", cfg.optimizer, known)

    def optimizer(parameters: Iterable[Parameter]) -> Optimizer:
        made = _made("optimizer", make, parameters)
        if not isinstance(made, Optimizer):
            raise ConfigError(f"optimizer: expected an optimizer of PyTorch, got {type(made).__name__}")
        return made

    return optimizer


def lr_schedule_of(cfg: TrainConfig) -> Callable[[Optimizer], LRSchedulerConfigType]:
    """What makes the schedule of an optimizer's learning rate, as Lightning takes it.

    It takes a step per `interval`; `T_max` and `total_steps` are the number of these in the whole training
    unless they are given. Raises as `optimizer_of`.
    """
    schedule, steps = cfg.schedule, cfg.schedule.epochs
    interval, monitor = schedule.lr["interval"], schedule.lr.get("monitor")
    if interval == "step":
        steps *= ceil(schedule.batches_per_epoch / cfg.trainer.accumulate_grad_batches)
    known = {"T_max": steps, "total_steps": steps, "poly_power": schedule.poly_power}
    make = callable_of("schedule.lr", schedule.lr, known)
    if located("schedule.lr", schedule.lr) is ReduceLROnPlateau and monitor is None:
        raise ConfigError(
            "schedule.lr.monitor: expected a column of epochs.csv for ReduceLROnPlateau, got null; give "
            "schedule.lr.monitor=val/loss"
        )

    def lr_schedule(optimizer: Optimizer) -> LRSchedulerConfigType:
        made = _made("schedule.lr", make, optimizer)
        if not isinstance(made, LRScheduler):
            raise ConfigError(f"schedule.lr: expected a scheduler of PyTorch, got {type(made).__name__}")
        return {"scheduler": made, "interval": str(interval), "monitor": monitor}

    return lr_schedule


def _made(key: str, make: Callable[..., Any], first: Any) -> Any:
    try:
        return make(first)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ConfigError(f"{key}: {type(error).__name__}: {error}") from error
