"""The schema of a configuration: types, ranges and choices of every setting; nothing heavy is imported here.

Hydra finds it in its ConfigStore (`hydra_plugins/rwseg_schemas.py`), types what it composes from `conf/` and
from users' own files, and refuses unknown keys. `validation.check` adds ranges, choices and `rules.py`.
"""

from collections.abc import Mapping
from dataclasses import MISSING, field, fields
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from rwseg.core.constraints import Count, NotNegative, OrOwn, Positive, Probability, one_of, or_else, such_as
from rwseg.data.augmentation.config import AugmentConfig
from rwseg.experiments.config.rules import (
    LR_SCHEDULE,
    is_count,
    is_fold,
    is_folder_name,
    is_labels,
    is_lr_schedule,
    is_names,
    is_run_dirs,
    is_sizes,
    is_subject,
    is_target,
    is_window,
)

if TYPE_CHECKING:
    Choice = Any  # the layers below have a Literal, which OmegaConf 2.3 does not take
else:
    Choice = str

Choices = dict[str, str]
"""Which file of each group was chosen: {"dataset": "acdc", "loss": "rrw", ...}."""


@dataclass
class DatasetConfig:
    """Where the data lies, how it is split, prepared (`data.preprocessing.config`) and cut into patches.

    `labels`, `subject`, `mask_suffix` and `channels` say how a folder of images is read (`dataset=folder`).
    `cache` is a folder for copies of the prepared arrays. `plan` is `fixed`, or `auto`: then that of
    `rwseg.models.planner` fills in what is null here and in the model.
    """

    name: str
    adapter: str
    root: str
    fold: Annotated[Any, such_as(is_fold, "null (the data set's own split), all, or 0 and more")]
    folds: Annotated[int, such_as(is_count, "2 or more (1 where that many are published)")]
    split_seed: int
    plan: Annotated[Choice, one_of("fixed", "auto")]
    crop: bool
    spacing: Annotated[
        Any,
        such_as(lambda v: v in (None, "median") or is_sizes(v), "null, median or [y, x] in mm above 0"),
    ]
    size: list[int] | None
    zoom: Annotated[float, Field(gt=0, le=1)]
    interpolation: Annotated[Choice, one_of("spline", "area")]
    normalisation: Annotated[Choice, one_of("zscore", "zscore_nonzero", "ct", "minmax")]
    patch_size: list[int] | None
    batch_size: Count | None
    cache: str | None = None  # runs of before have none in their config.yaml
    center_crop: Annotated[
        Any, such_as(is_window, "null, or [height, width] in whole native pixels above 0")
    ] = None  # nor this
    labels: Annotated[
        Any,
        such_as(
            is_labels,
            "null, or {background: 0, NAME: VALUE, ...} in whole numbers from 0 to 65535, each once",
        ),
    ] = None
    subject: Annotated[Any, such_as(is_subject, "null, or a regular expression with a group")] = None
    mask_suffix: str | None = None
    channels: Annotated[Any, such_as(is_names, "null, or a list of names in quotes, each once")] = None


@dataclass
class MapConfig:
    """Where the region maps of training batches come from."""

    source: Annotated[Choice, one_of("cached", "online")]


@dataclass
class DataConfig:
    """Where the training slices live (`data.sampling.residency`); it changes no batch."""

    residency: Annotated[Choice, one_of("auto", "device", "host", "disk")] = "auto"


@dataclass
class StrategyConfig:
    """How the loss is combined with a partner: design, contract C3."""

    mode: Annotated[Choice, one_of("alone", "equal", "gradual")]
    partner: Any
    alpha_step: NotNegative
    alpha_floor: Probability


ADAM = {"_target_": "torch.optim.Adam", "fused": True}
POLY = {"_target_": "rwseg.training.learning_rate.poly", "interval": "epoch"}
"""What runs have whose config.yaml is older than the groups `optimizer` and `schedule/lr`."""


@dataclass
class ScheduleConfig:
    """Optimisation; `lr` changes the learning rate, as the file of `schedule/lr` has it."""

    epochs: Count
    batches_per_epoch: Count
    learning_rate: Positive
    weight_decay: NotNegative
    poly_power: NotNegative
    clip_norm: Positive
    foreground: Probability
    lr: Annotated[Any, or_else(POLY), such_as(is_lr_schedule, LR_SCHEDULE)] = field(default_factory=dict)


@dataclass
class ModelConfig:
    """The 2D U-Net; a network of another class has whatever settings that takes."""

    features: Count
    max_features: int
    pools: list[list[int]] | None
    convs_per_stage: Count
    norm: Annotated[Choice, one_of("instance", "batch")]
    deep_supervision: bool


AutoOrCount = Annotated[Any, such_as(lambda value: value == "auto" or is_count(value), "auto, or 1 or more")]
Validated = Annotated[
    Any, such_as(lambda value: value != 0, "more than 0, for a run is told by its validation")
]


@dataclass
class TrainerConfig:
    """Kind of device, precision, the CPU threads of each process; all else as `pl.Trainer` has it.

    The defaults are what runs have whose config.yaml is older than the setting.
    """

    accelerator: Annotated[Choice, one_of("auto", "cpu", "gpu")]
    precision: Annotated[Choice, one_of("auto", "32-true", "16-mixed", "bf16-mixed")]
    threads: AutoOrCount
    devices: AutoOrCount = "auto"
    num_nodes: AutoOrCount = "auto"
    strategy: Any = "auto"
    sync_batchnorm: bool = True
    fast_dev_run: Any = False
    min_epochs: int | None = None
    max_steps: int = -1
    min_steps: int | None = None
    max_time: Any = None
    limit_train_batches: Any = None
    limit_val_batches: Validated = None
    limit_test_batches: Any = None
    limit_predict_batches: Any = None
    overfit_batches: Any = 0.0
    val_check_interval: Any = None
    num_sanity_val_steps: int = 0
    log_every_n_steps: int | None = None
    enable_model_summary: bool = False
    accumulate_grad_batches: Count = 1
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
    """Validation on whole volumes; `cases` of them for the curve over epochs, null for all."""

    every: Count
    flips: bool
    missed: Annotated[Choice, one_of("nan", "diagonal")]
    cases: Count | None = None  # runs of before have none in their config.yaml


@dataclass
class StabilityConfig:
    """What training measures of its own loss; it changes no result."""

    every: Count
    patience: Count


if TYPE_CHECKING:
    Model = ModelConfig | dict[str, Any]
    Augment = AugmentConfig | dict[str, Any]
else:
    Model = Augment = Any

TYPED: Mapping[str, type] = {"model": ModelConfig, "augment": AugmentConfig}
"""Groups that have a schema of their own unless they name a class or function of the user's by `_target_`."""


@dataclass
class TrainConfig:
    """Everything that `train.py` takes; loss, logger and callbacks are as the chosen files have them."""

    dataset: DatasetConfig
    loss: Any
    strategy: StrategyConfig
    schedule: ScheduleConfig
    model: Annotated[Model, OrOwn(ModelConfig)]
    augment: Annotated[Augment, OrOwn(AugmentConfig)]
    map: MapConfig
    trainer: TrainerConfig
    evaluation: EvaluationConfig
    stability: StabilityConfig
    seed: Annotated[int, Field(ge=0, lt=2**32)]  # what NumPy's generators take
    output_root: str
    prepared_root: str
    workers: Count | None
    force: bool
    logger: Any = field(default_factory=dict)
    callbacks: Any = field(default_factory=dict)
    data: DataConfig = field(default_factory=DataConfig)  # runs of before have none
    optimizer: Annotated[Any, or_else(ADAM), such_as(is_target, "an optimizer by its _target_")] = field(
        default_factory=dict
    )


@dataclass
class OtherDataConfig:
    """Other data in the layout of the run's dataset."""

    root: str | None


@dataclass
class EvaluateConfig:
    """Everything that `evaluate.py` takes; `run_dir` is a directory or a list of them."""

    run_dir: Annotated[Any, such_as(is_run_dirs, "a run directory or a list of them")]
    split: Annotated[Choice, one_of("train", "val", "test")]
    checkpoint: Annotated[Choice, one_of("last", "best")]
    input: str | None
    output: str | None
    force: bool
    name: Annotated[str | None, such_as(is_folder_name, "a plain folder name (letters, digits and _.+=-)")]
    trainer: TrainerConfig
    missed: Annotated[Choice | None, one_of("nan", "diagonal", None)]
    overlays: Annotated[int, Field(ge=0)]
    dataset: OtherDataConfig


@dataclass
class PredictConfig:
    """Everything that `rwseg predict` takes; `run_dir` is a directory or a list of them."""

    run_dir: Annotated[Any, such_as(is_run_dirs, "a run directory or a list of them")]
    input: str
    output: str
    checkpoint: Annotated[Choice, one_of("last", "best")]
    force: bool
    overlays: bool
    probabilities: bool
    uncertainty: bool
    trainer: TrainerConfig


SCHEMAS: Mapping[str, type] = {"train": TrainConfig, "evaluate": EvaluateConfig, "predict": PredictConfig}
"""The configuration of each command that Hydra composes, `conf/<command>.yaml`."""
