"""Optimizers and schedules of the learning rate: PyTorch's own numbers, and the runs of before."""

import warnings
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.plugins import MixedPrecision
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from rwseg.core.errors import ConfigError
from rwseg.experiments.build import build_data, build_learner
from rwseg.experiments.composition import compose
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.config.validation import check, plain
from rwseg.experiments.optimisation import lr_schedule_of, optimizer_of
from rwseg.experiments.prepared_run import prepare_run
from rwseg.experiments.run_directory import config_digest
from rwseg.training.fit import expect_warnings


def config(*overrides: str) -> TrainConfig:
    return check(compose("train", list(overrides))[0])


def made(*overrides: str) -> tuple[Optimizer, dict[str, Any]]:
    cfg = config(*overrides)
    optimizer = optimizer_of(cfg)([nn.Parameter(torch.ones(3))])
    return optimizer, dict(lr_schedule_of(cfg)(optimizer))


def rates(optimizer: Optimizer, scheduler: Any, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_the_default_is_the_papers() -> None:
    optimizer, schedule = made()
    assert type(optimizer) is torch.optim.Adam
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"], group["fused"]) == (2e-3, 3e-5, True)
    assert schedule["interval"] == "epoch"
    assert rates(optimizer, schedule["scheduler"], 7) == [2e-3 * max(0.0, 1 - e / 6) ** 0.9 for e in range(7)]


def test_sgd_is_nnu_nets_and_cosine_pytorchs() -> None:
    optimizer, schedule = made("optimizer=sgd", "schedule/lr=cosine", "schedule.epochs=9")
    assert type(optimizer) is torch.optim.SGD
    (group,) = optimizer.param_groups
    assert (group["lr"], group["momentum"], group["nesterov"], group["weight_decay"]) == (
        1e-2,
        0.99,
        True,
        3e-5,
    )
    reference = torch.optim.SGD([nn.Parameter(torch.ones(3))], lr=1e-2)
    expected = rates(reference, CosineAnnealingLR(reference, T_max=9), 9)
    assert rates(optimizer, schedule["scheduler"], 9) == expected
    assert expected[0] == 1e-2
    assert 0 < expected[-1] < 1e-3


def test_a_given_learning_rate_stands_with_every_optimizer() -> None:
    for option in ("adam", "adamw", "sgd"):
        optimizer, _ = made(f"optimizer={option}", "schedule.learning_rate=0.3", "schedule.weight_decay=0.2")
        (group,) = optimizer.param_groups
        assert (group["lr"], group["weight_decay"]) == (0.3, 0.2)
    assert made("optimizer=adamw")[0].param_groups[0]["weight_decay"] == 0.01


def test_a_schedule_per_step_runs_over_all_steps() -> None:
    settings = ["schedule.epochs=2", "schedule.batches_per_epoch=5", "trainer.accumulate_grad_batches=2"]
    optimizer, schedule = made("schedule.lr.interval=step", *settings)
    assert schedule["interval"] == "step"
    np.testing.assert_allclose(
        rates(optimizer, schedule["scheduler"], 6), 2e-3 * (1 - np.arange(6) / 6) ** 0.9, rtol=1e-12
    )


def test_own_optimizers_and_schedules_get_what_they_ask_for_by_name() -> None:
    optimizer, schedule = made(
        "optimizer=custom", "optimizer._target_=torch.optim.RMSprop", "+optimizer.alpha=0.9",
        "schedule/lr=custom", "schedule.lr._target_=mine.warmed_up", "+schedule.lr.warmup=3",
    )  # fmt: skip
    (group,) = optimizer.param_groups
    assert type(optimizer) is torch.optim.RMSprop
    assert (group["initial_lr"], group["weight_decay"], group["alpha"]) == (2e-3, 3e-5, 0.9)
    expected = [2e-3 * min(1, (e + 1) / 3) * (1 - e / 6) for e in range(6)]
    np.testing.assert_allclose(rates(optimizer, schedule["scheduler"], 6), expected, rtol=1e-12)
    optimizer, _ = made("optimizer=custom", "optimizer._target_=torch.optim.SGD", "+optimizer.lr=5")
    assert optimizer.param_groups[0]["lr"] == 5
    one_cycle = ["schedule/lr=custom", "schedule.lr._target_=torch.optim.lr_scheduler.OneCycleLR"]
    _, schedule = made(*one_cycle, "+schedule.lr.max_lr=0.1", "schedule.lr.interval=step")
    assert schedule["scheduler"].total_steps == 6 * 80
    constant, schedule = made("schedule/lr=constant")
    assert rates(constant, schedule["scheduler"], 8) == [2e-3] * 8


PLATEAU = ["schedule/lr=custom", "schedule.lr._target_=torch.optim.lr_scheduler.ReduceLROnPlateau"]


def test_a_schedule_that_waits_for_a_plateau_needs_to_know_of_what() -> None:
    with pytest.raises(
        ConfigError, match=r"schedule.lr.monitor: expected a column .* schedule.lr.monitor=val/loss"
    ):
        made(*PLATEAU)
    _, schedule = made(*PLATEAU, "schedule.lr.monitor=val/loss")
    assert isinstance(schedule["scheduler"], ReduceLROnPlateau)
    assert schedule["monitor"] == "val/loss"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("optimizer=custom optimizer._target_=torch.nn.ReLU", "optimizer: expected an optimizer of PyTorch"),
        ("optimizer=sgd optimizer.momentum=-1", "optimizer: ValueError: Invalid momentum value"),
        ("schedule/lr=custom schedule.lr._target_=torch.nn.ReLU", "schedule.lr: expected a scheduler of"),
        ("optimizer=custom optimizer._target_=nowhere.A", "optimizer._target_=nowhere.A: expected a module"),
        ("optimizer=sgd +optimizer.momentun=1", "optimizer.momentun: expected an argument of torch.optim"),
    ],
)  # fmt: skip
def test_what_is_none_or_does_not_fit_is_refused_in_a_sentence(overrides: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(*overrides.split())


def test_runs_from_before_these_groups_are_the_same_runs() -> None:
    cfg = config()
    old = plain(cfg)
    del old["optimizer"], old["schedule"]["lr"]
    loaded = check(OmegaConf.create(old))
    assert loaded == cfg
    assert config_digest(loaded) == config_digest(cfg)
    assert config_digest(config("optimizer=custom", "optimizer._target_=torch.optim.Adam")) != config_digest(
        cfg
    )
    same = config("optimizer=custom", "optimizer._target_=torch.optim.Adam", "+optimizer.fused=true")
    assert config_digest(same) == config_digest(cfg)


def flat(network: nn.Module) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def updates(cfg: TrainConfig, scale: float) -> torch.Tensor:
    """How two steps in 16 bit with scaled gradients, clipped to almost nothing, change each weight."""
    prepared = prepare_run(cfg)
    learner, data = build_learner(prepared), build_data(prepared)
    before = flat(learner.network)
    trainer = pl.Trainer(
        accelerator="cpu",
        plugins=[MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=scale))],
        gradient_clip_val=1e-3,
        max_steps=2,
        limit_val_batches=0,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    with warnings.catch_warnings():
        expect_warnings()
        warnings.filterwarnings("ignore", message=".*does not have many workers|.*logging interval")
        trainer.fit(learner, datamodule=data)
    return flat(learner.network) - before


@pytest.mark.parametrize("optimizer", ["optimizer=sgd", "optimizer=sgd ~optimizer.fused"])
def test_scaled_gradients_are_clipped_unscaled_whoever_unscales_them(tiny: list[str], optimizer: str) -> None:
    """A fused optimizer leaves it to us, any other one to Lightning; twice raises, never shrinks the step."""
    cfg = config(*tiny, *optimizer.split(), "schedule.weight_decay=0", "trainer.threads=1")
    changes = []
    for scale in (64.0, 4096.0):
        torch.manual_seed(0)
        changes.append(updates(cfg, scale))
    torch.testing.assert_close(changes[0], changes[1], rtol=0.05, atol=1e-6)
    # Steps of 1e-2 along a gradient of length 1e-3, the second one with momentum and Nesterov's look ahead.
    assert 1e-2 * 1e-3 < changes[0].norm() < 1e-2 * 1e-3 * 5
