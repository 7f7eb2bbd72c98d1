"""The schema of a configuration and the rules between its fields; nothing heavy is imported here.

`conf/` holds the values. `check` refuses what does not fit, with every problem in one message.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from rwseg.errors import ConfigError

CONF = Path(__file__).resolve().parent.parent / "conf"

Choices = dict[str, str]
"""Which file of each group was chosen: {"dataset": "acdc", "loss": "rrw", ...}."""


@dataclass
class DatasetConfig:
    """Where the data lies and how patches of it are cut."""

    name: str
    adapter: str
    root: str
    zoom: float
    patch_size: list[int]
    batch_size: int


@dataclass
class StrategyConfig:
    """How the loss is combined with a partner: design, contract C3."""

    mode: str
    partner: Any
    alpha_step: float
    alpha_floor: float


@dataclass
class ScheduleConfig:
    """Optimisation."""

    epochs: int
    batches_per_epoch: int
    learning_rate: float
    weight_decay: float
    poly_power: float
    clip_norm: float
    foreground: float


@dataclass
class ModelConfig:
    """The 2D U-Net."""

    features: int
    max_features: int
    pools: list[list[int]]
    convs_per_stage: int
    norm: str
    deep_supervision: bool


@dataclass
class AugmentConfig:
    """Augmentation of training batches."""

    flips: bool


@dataclass
class TrainerConfig:
    """Device and precision."""

    accelerator: str
    precision: str


@dataclass
class EvaluationConfig:
    """Validation on whole volumes."""

    every: int
    flips: bool
    missed: str


@dataclass
class TrainConfig:
    """Everything that `train.py` takes; `loss` and `logger` are checked against the file that was chosen."""

    dataset: DatasetConfig
    loss: Any
    strategy: StrategyConfig
    schedule: ScheduleConfig
    model: ModelConfig
    augment: AugmentConfig
    trainer: TrainerConfig
    evaluation: EvaluationConfig
    seed: int
    output_root: str
    prepared_root: str
    force: bool
    logger: Any = field(default_factory=dict)


@dataclass
class OtherDataConfig:
    """Other data in the layout of the run's dataset."""

    root: str | None


@dataclass
class EvaluateConfig:
    """Everything that `evaluate.py` takes."""

    run_dir: str
    split: str
    checkpoint: str
    name: str | None
    trainer: TrainerConfig
    missed: str | None
    overlays: int
    prepared_root: str
    dataset: OtherDataConfig


SCHEMAS: Mapping[str, type] = {"train": TrainConfig, "evaluate": EvaluateConfig}


def check(cfg: DictConfig, schema: type = TrainConfig) -> DictConfig:
    """Return `cfg` resolved and typed (1 becomes 1.0 where a float belongs).

    Raises `ConfigError` naming the first unknown key, missing or mistyped value, or every broken rule.
    """
    known = OmegaConf.structured(schema)
    try:
        typed = OmegaConf.merge(known, cfg)
        OmegaConf.to_container(typed, resolve=True, throw_on_missing=True)
    except ConfigKeyError as error:
        key = error.full_key or str(error.key)
        raise ConfigError(f"unknown configuration key '{key}'{suggestion(key, keys_of(known))}") from error
    except OmegaConfBaseException as error:
        raise ConfigError(_first_line(error)) from error
    assert isinstance(typed, DictConfig)
    OmegaConf.resolve(typed)
    problems = list(_train_rules(typed) if schema is TrainConfig else _evaluate_rules(typed))
    if problems:
        raise ConfigError(
            "the configuration does not fit together:\n" + "\n".join(f"  - {line}" for line in problems)
        )
    return typed


def suggestion(name: str, candidates: list[str]) -> str:
    """`; did you mean 'loss'?` with the nearest candidate, or an empty text."""
    nearest = get_close_matches(name, candidates, n=1, cutoff=0.5)
    if not nearest:  # a key given without its group: epochs instead of schedule.epochs
        last = name.rsplit(".", 1)[-1]
        tails = {candidate.rsplit(".", 1)[-1]: candidate for candidate in reversed(candidates)}
        nearest = [tails[tail] for tail in get_close_matches(last, list(tails), n=1, cutoff=0.7)]
    return f"; did you mean '{nearest[0]}'?" if nearest else ""


def keys_of(cfg: DictConfig, prefix: str = "") -> list[str]:
    """Every key of `cfg`, dotted, branches included."""
    found = []
    for key in cfg:
        name = f"{prefix}{key}"
        found.append(name)
        missing_or_leaf = OmegaConf.is_missing(cfg, str(key)) or not OmegaConf.is_dict(cfg._get_node(key))
        if not missing_or_leaf and not OmegaConf.is_interpolation(cfg, str(key)):
            child = cfg[key]
            found += keys_of(child, f"{name}.") if child is not None else []
    return found


def _first_line(error: OmegaConfBaseException) -> str:
    """OmegaConf's message with the full key in front of it."""
    text = str(error.msg or error).splitlines()[0]
    return f"{error.full_key}: {text}" if error.full_key else text


def _train_rules(cfg: DictConfig) -> Iterator[str]:
    yield from _positive(cfg)
    yield from _choices(cfg)
    yield from _network_rules(cfg)
    if not 0 <= cfg.schedule.foreground <= 1:
        yield f"schedule.foreground: expected a share in [0, 1], got {cfg.schedule.foreground}"
    if not 0 < cfg.dataset.zoom <= 1:
        yield f"dataset.zoom: expected a factor in (0, 1], got {cfg.dataset.zoom}"
    if cfg.seed < 0:
        yield f"seed: expected 0 or more, got {cfg.seed}"
    if (cfg.strategy.mode == "alone") != (cfg.strategy.partner is None):
        yield f"strategy.mode={cfg.strategy.mode}: a partner loss goes with equal and gradual, and with these only"
    target = str(cfg.loss.get("_target_", ""))
    if cfg.strategy.mode != "alone" and not target.endswith(("RegionWiseLoss", "RRWLoss")):
        yield f"strategy.mode={cfg.strategy.mode}: combines a region-wise loss with a partner, got loss {target}"


def _positive(cfg: DictConfig) -> Iterator[str]:
    for key in (
        "schedule.epochs",
        "schedule.batches_per_epoch",
        "schedule.learning_rate",
        "schedule.clip_norm",
        "dataset.batch_size",
        "model.features",
        "model.max_features",
        "model.convs_per_stage",
        "evaluation.every",
    ):
        value = OmegaConf.select(cfg, key)
        if value <= 0:
            yield f"{key}: expected more than 0, got {value}"


def _choices(cfg: DictConfig) -> Iterator[str]:
    allowed = {
        "model.norm": ("instance", "batch"),
        "strategy.mode": ("alone", "equal", "gradual"),
        "evaluation.missed": ("nan", "diagonal"),
    }
    yield from _outside(cfg, allowed)
    yield from _device_rules(cfg)


def _device_rules(cfg: DictConfig) -> Iterator[str]:
    allowed = {
        "trainer.accelerator": ("auto", "cpu", "gpu"),
        "trainer.precision": ("auto", "32-true", "16-mixed", "bf16-mixed"),
    }
    yield from _outside(cfg, allowed)
    if cfg.trainer.accelerator == "cpu" and cfg.trainer.precision == "16-mixed":
        yield "trainer: precision 16-mixed needs a GPU; use trainer.precision=32-true or bf16-mixed on a CPU"


def _outside(cfg: DictConfig, allowed: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for key, values in allowed.items():
        value = str(OmegaConf.select(cfg, key))
        if value not in values:
            yield f"{key}: expected one of {', '.join(values)}, got {value}{suggestion(value, list(values))}"


def _network_rules(cfg: DictConfig) -> Iterator[str]:
    pools = [list(pool) for pool in cfg.model.pools]
    if not pools or any(len(pool) != 2 or not set(pool) <= {1, 2} or pool == [1, 1] for pool in pools):
        yield f"model.pools: expected kernels [2, 2], [2, 1] or [1, 2], at least one, got {pools}"
        return
    if len(cfg.dataset.patch_size) != 2:
        yield f"dataset.patch_size: expected [height, width], got {list(cfg.dataset.patch_size)}"
        return
    for axis, size in enumerate(cfg.dataset.patch_size):
        factor = 1
        for pool in pools:
            factor *= pool[axis]
        if size <= 0 or size % factor:
            yield f"dataset.patch_size[{axis}]={size}: expected a multiple of {factor}, the pooling of model.pools"


def _evaluate_rules(cfg: DictConfig) -> Iterator[str]:
    allowed = {
        "split": ("train", "val", "test"),
        "checkpoint": ("last", "best"),
        "missed": ("nan", "diagonal", "None"),
    }
    yield from _outside(cfg, allowed)
    yield from _device_rules(cfg)
    if cfg.overlays < 0:
        yield f"overlays: expected 0 or more, got {cfg.overlays}"
