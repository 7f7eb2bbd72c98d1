"""The schema of a configuration; nothing heavy is imported here.

`conf/` holds the values, `rules.py` the rules between them. `check` refuses what does not fit.
"""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from os.path import expanduser
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from rwseg.core.errors import ConfigError
from rwseg.core.paths import from_home, is_at_home
from rwseg.data.augmentation.config import AugmentConfig
from rwseg.experiments.config.names import suggestion
from rwseg.experiments.config.rules import evaluate_rules, train_rules

CONF = Path(__file__).resolve().parents[3] / "conf"


def _fixed(value: Any, planned: Any = None, *, _root_: DictConfig) -> Any:
    """`${fixed:[256,224]}`: a value of the fixed plan; null (or a 2nd argument) where dataset.plan=auto."""
    chosen = planned if _root_.dataset.plan == "auto" else value
    return OmegaConf.create(chosen) if isinstance(chosen, list) else chosen


OmegaConf.register_new_resolver("fixed", _fixed, replace=True)
OmegaConf.register_new_resolver("from_home", expanduser, replace=True)  # for what Hydra itself writes

Choices = dict[str, str]
"""Which file of each group was chosen: {"dataset": "acdc", "loss": "rrw", ...}."""


@dataclass
class DatasetConfig:
    """Where the data lies, how it is split, prepared (`data.preprocessing.config`) and cut into patches.

    `cache` is a folder for copies of the prepared arrays. `plan` is `fixed`, or `auto`: then that of
    `rwseg.models.planner` fills in what is null here and in the model.
    """

    name: str
    adapter: str
    root: str
    fold: Any
    folds: int
    split_seed: int
    plan: str
    crop: bool
    spacing: Any
    size: list[int] | None
    zoom: float
    interpolation: str
    normalisation: str
    patch_size: list[int] | None
    batch_size: int | None
    cache: str | None = None  # runs of before have none in their config.yaml
    center_crop: Any = None  # nor this


@dataclass
class MapConfig:
    """Where the region maps of training batches come from."""

    source: str


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
    pools: list[list[int]] | None
    convs_per_stage: int
    norm: str
    deep_supervision: bool


@dataclass
class TrainerConfig:
    """Kind of device, precision, the CPU threads of each process; all else as `pl.Trainer` has it.

    The defaults are what runs have whose config.yaml is older than the setting.
    """

    accelerator: str
    precision: str
    threads: int
    devices: Any = "auto"
    num_nodes: Any = "auto"
    strategy: Any = "auto"
    sync_batchnorm: bool = True
    fast_dev_run: Any = False
    min_epochs: int | None = None
    max_steps: int = -1
    min_steps: int | None = None
    max_time: Any = None
    limit_train_batches: Any = None
    limit_val_batches: Any = None
    limit_test_batches: Any = None
    limit_predict_batches: Any = None
    overfit_batches: Any = 0.0
    val_check_interval: Any = None
    num_sanity_val_steps: int = 0
    log_every_n_steps: int | None = None
    enable_model_summary: bool = False
    accumulate_grad_batches: int = 1
    gradient_clip_algorithm: str | None = None
    deterministic: Any = None
    benchmark: bool | None = None
    inference_mode: bool = True
    profiler: Any = None
    detect_anomaly: bool = False
    barebones: bool = False
    plugins: Any = None
    reload_dataloaders_every_n_epochs: int = 0
    enable_autolog_hparams: bool = True
    model_registry: str | None = None


_OPTIONAL = [item for item in fields(TrainerConfig) if item.default is not MISSING]
FOR_TRAINING = {f"trainer.{item.name}": item.default for item in _OPTIONAL if item.name != "devices"}
"""Settings of a training that an evaluation refuses."""


@dataclass
class EvaluationConfig:
    """Validation on whole volumes."""

    every: int
    flips: bool
    missed: str


@dataclass
class StabilityConfig:
    """What training measures of its own loss; it changes no result."""

    every: int
    patience: int


@dataclass
class TrainConfig:
    """Everything that `train.py` takes; loss, logger and callbacks are checked against the chosen files."""

    dataset: DatasetConfig
    loss: Any
    strategy: StrategyConfig
    schedule: ScheduleConfig
    model: ModelConfig
    augment: AugmentConfig
    map: MapConfig
    trainer: TrainerConfig
    evaluation: EvaluationConfig
    stability: StabilityConfig
    seed: int
    output_root: str
    prepared_root: str
    workers: int | None
    force: bool
    logger: Any = field(default_factory=dict)
    callbacks: Any = field(default_factory=dict)


@dataclass
class OtherDataConfig:
    """Other data in the layout of the run's dataset."""

    root: str | None


@dataclass
class EvaluateConfig:
    """Everything that `evaluate.py` takes; `run_dir` is a directory or a list of them."""

    run_dir: Any
    split: str
    checkpoint: str
    input: str | None
    output: str | None
    force: bool
    name: str | None
    trainer: TrainerConfig
    missed: str | None
    overlays: int
    dataset: OtherDataConfig


SCHEMAS: Mapping[str, type] = {"train": TrainConfig, "evaluate": EvaluateConfig}

TO_GIVE = {"run_dir": "a directory that train.py wrote, such as outputs/default/phantom/rrw/alone/seed0"}


def check(cfg: DictConfig, schema: type = TrainConfig) -> DictConfig:
    """Return `typed(cfg)`; `ConfigError` as there, and with a line for every rule that is broken."""
    known = typed(cfg, schema)
    training = schema is TrainConfig
    problems = list(train_rules(known) if training else [*evaluate_rules(known), *_unread(known)])
    if problems:
        lines = (f"  - {problem}" for problem in problems)
        raise ConfigError("\n".join(["the configuration does not fit together:", *lines]))
    return known


def _unread(cfg: DictConfig) -> Iterator[str]:
    """Settings of Lightning's Trainer that are for a training, and that an evaluation would pass over."""
    for key, default in FOR_TRAINING.items():
        value = OmegaConf.select(cfg, key)
        if value != default:
            advice = "an evaluation takes trainer.accelerator, precision and threads"
            yield f"{key}={value}: expected no such setting, got one; {advice}"


def typed(cfg: DictConfig, schema: type = TrainConfig) -> DictConfig:
    """Return `cfg` resolved and typed (1 becomes 1.0 where a float belongs), `~` replaced in paths.

    Raises `ConfigError` naming the first unknown key or mistyped value, or all missing values.
    """
    try:
        known = OmegaConf.merge(_structure(schema), cfg)
        missing = sorted(OmegaConf.missing_keys(known))
        OmegaConf.resolve(known)
    except ConfigKeyError as error:
        key = error.full_key or str(error.key)
        raise ConfigError(f"unknown key '{key}'{suggestion(key, list(_keys(schema)))}") from error
    except OmegaConfBaseException as error:
        raise ConfigError(_first_line(error)) from error
    assert isinstance(known, DictConfig)
    if missing:
        lines = (
            f"{key}: expected {TO_GIVE.get(key, 'a value')}, got none; give {key}=..." for key in missing
        )
        raise ConfigError("\n".join(lines))
    _expand_home(known, "")
    return known


def _expand_home(node: DictConfig | ListConfig, prefix: str) -> None:
    """Put the home directory for `~`, wherever the text came from; `ConfigError` where it is nobody's."""
    for key in list(node) if isinstance(node, DictConfig) else range(len(node)):
        value = node[key]
        if isinstance(value, DictConfig | ListConfig):
            _expand_home(value, f"{prefix}{key}.")
        elif isinstance(value, str) and is_at_home(value):
            try:
                node[key] = from_home(value)
            except ValueError as error:
                raise ConfigError(f"{prefix}{key}: {error}") from error


@cache
def _structure(schema: type) -> DictConfig:
    """The schema for OmegaConf, made once; to be read only."""
    structure = OmegaConf.structured(schema)
    assert isinstance(structure, DictConfig)
    return structure


def _keys(schema: type, prefix: str = "") -> Iterator[str]:
    for item in fields(schema):
        yield f"{prefix}{item.name}"
        if isinstance(item.type, type) and is_dataclass(item.type):
            yield from _keys(item.type, f"{prefix}{item.name}.")


def _first_line(error: OmegaConfBaseException) -> str:
    """OmegaConf's message with the full key in front of it."""
    text = str(error).splitlines()[0]
    return f"{error.full_key}: {text}" if error.full_key else text
