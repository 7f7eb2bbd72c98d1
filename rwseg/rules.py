"""The rules between the fields of a configuration; each yields one line per thing that does not fit."""

import re
from collections.abc import Iterator, Mapping
from math import inf, prod
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rwseg.keys import suggestion


def train_rules(cfg: DictConfig) -> Iterator[str]:
    """What does not fit in the configuration of a training."""
    yield from _range_rules(cfg)
    yield from _outside(
        cfg,
        {
            "model.norm": ("instance", "batch"),
            "strategy.mode": ("alone", "equal", "gradual"),
            "evaluation.missed": ("nan", "diagonal"),
        },
    )
    yield from _device_rules(cfg)
    yield from _network_rules(cfg)
    yield from _loss_rules(cfg)


def _range_rules(cfg: DictConfig) -> Iterator[str]:
    positive = (
        "schedule.epochs",
        "schedule.batches_per_epoch",
        "schedule.learning_rate",
        "schedule.clip_norm",
        "dataset.batch_size",
        "dataset.zoom",
        "model.features",
        "model.convs_per_stage",
        "evaluation.every",
        "stability.every",
        "stability.patience",
    )
    for key in positive:
        value = OmegaConf.select(cfg, key)
        if not 0 < value < inf:
            yield f"{key}: expected a number above 0, got {value}"
    bounds: dict[str, tuple[float, float]] = {
        "schedule.weight_decay": (0, inf),
        "schedule.poly_power": (0, inf),
        "schedule.foreground": (0, 1),
        "strategy.alpha_step": (0, inf),
        "strategy.alpha_floor": (0, 1),
        "dataset.zoom": (0, 1),
        "model.max_features": (cfg.model.features, inf),
        "seed": (0, 2**32 - 1),  # what NumPy's generators take
    }
    for key, (low, high) in bounds.items():
        value = OmegaConf.select(cfg, key)
        if not low <= value <= high or value == inf:
            yield f"{key}: expected {f'{low} or more' if high == inf else f'{low} to {high}'}, got {value}"


def _device_rules(cfg: DictConfig) -> Iterator[str]:
    allowed = {
        "trainer.accelerator": ("auto", "cpu", "gpu"),
        "trainer.precision": ("auto", "32-true", "16-mixed", "bf16-mixed"),
    }
    yield from _outside(cfg, allowed)
    if cfg.trainer.threads < 1:
        yield f"trainer.threads: expected 1 or more, got {cfg.trainer.threads}"
    if cfg.trainer.accelerator == "cpu" and cfg.trainer.precision == "16-mixed":
        yield "trainer: precision 16-mixed needs a GPU; use trainer.precision=32-true or bf16-mixed on a CPU"


def _outside(cfg: DictConfig, allowed: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for key, values in allowed.items():
        value = OmegaConf.select(cfg, key)
        text = "null" if value is None else str(value)
        if text not in values:
            yield f"{key}: expected one of {', '.join(values)}, got {text}{suggestion(text, list(values))}"


def _network_rules(cfg: DictConfig) -> Iterator[str]:
    pools = [list(pool) for pool in cfg.model.pools]
    if not pools or any(pool not in ([2, 2], [2, 1], [1, 2]) for pool in pools):
        yield f"model.pools: expected kernels [2, 2], [2, 1] or [1, 2], at least one, got {pools}"
        return
    patch = list(cfg.dataset.patch_size)
    if len(patch) != 2:
        yield f"dataset.patch_size: expected [height, width], got {patch}"
        return
    factors = [prod(pool[axis] for pool in pools) for axis in range(2)]
    for axis, (size, factor) in enumerate(zip(patch, factors, strict=True)):
        if size <= 0 or size % factor:
            yield f"dataset.patch_size[{axis}]={size}: expected a multiple of {factor}, by model.pools"
    if patch == factors and (cfg.model.norm == "instance" or cfg.dataset.batch_size == 1):
        yield (
            f"dataset.patch_size={patch}: model.pools leaves one pixel of it, which cannot be normalised; "
            "use a larger patch or fewer pools"
        )


def _loss_rules(cfg: DictConfig) -> Iterator[str]:
    mode, partner = cfg.strategy.mode, cfg.strategy.partner
    for key, loss in (("loss", cfg.loss), ("strategy.partner", partner)):
        if not _has_target(loss) and (key, loss) != ("strategy.partner", None):
            yield f"{key}: expected a loss, given by its _target_ as in conf/loss, got {loss}"
    if mode == "alone" and partner is not None:
        yield "strategy.mode=alone: expected no strategy.partner, got one; choose strategy=alone instead"
    if mode not in ("equal", "gradual"):
        return
    if partner is None:
        other = f"strategy={mode}_dice or strategy={mode}_ce"
        yield f"strategy.mode={mode}: expected a strategy.partner, got none; choose {other}"
    if _has_target(cfg.loss) and _has_target(partner) and cfg.loss._target_ == partner._target_:
        yield f"strategy.mode={mode}: expected two different losses, got {cfg.loss._target_} twice"


def _has_target(node: Any) -> bool:
    return isinstance(node, DictConfig) and isinstance(node.get("_target_"), str)


def evaluate_rules(cfg: DictConfig) -> Iterator[str]:
    """What does not fit in the configuration of an evaluation."""
    yield from _outside(
        cfg,
        {
            "split": ("train", "val", "test"),
            "checkpoint": ("last", "best"),
            "missed": ("nan", "diagonal", "null"),
        },
    )
    yield from _device_rules(cfg)
    if cfg.overlays < 0:
        yield f"overlays: expected 0 or more, got {cfg.overlays}"
    if cfg.name is not None and not re.fullmatch(r"\w[\w.+=-]*", cfg.name):  # evaluation/<name> is replaced
        yield f"name: expected a plain folder name (letters, digits and _.+=-), got '{cfg.name}'"
