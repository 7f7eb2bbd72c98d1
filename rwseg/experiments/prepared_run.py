"""A configuration together with the data prepared for it, and what its plan fills in."""

import logging
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from joblib import cpu_count

from rwseg.core.errors import ConfigError
from rwseg.core.own_code import OwnCodeError, named_object
from rwseg.data.case import Dataset, Source
from rwseg.data.preprocessing.config import PreprocessingConfig
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.data.split import with_fold
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.config.validation import check
from rwseg.experiments.run_directory import config_digest
from rwseg.models.planner import Plan, plan_of

log = logging.getLogger(__name__)

READING = ("labels", "subject", "mask_suffix", "channels")
"""Settings of `dataset` that say how files are read, where the dataset does not (`Dataset.options`)."""


@dataclass(frozen=True)
class PreparedRun:
    """A run that can be built: `cfg` is planned, without nulls where the plan decides, `data` made for it.

    `asked` is the configuration as it was given; the run directory holds it, and `digest` is its hash.
    """

    cfg: TrainConfig
    asked: TrainConfig
    data: Prepared

    @property
    def digest(self) -> str:
        """What checkpoints carry to tell whose they are."""
        return config_digest(self.asked)

    @property
    def patch_size(self) -> tuple[int, int]:
        """`[height, width]` of a patch."""
        return pair(self.cfg.dataset.patch_size)

    @property
    def batch_size(self) -> int:
        """Slices in a batch, of all processes together."""
        assert self.cfg.dataset.batch_size is not None  # it is planned
        return self.cfg.dataset.batch_size


def prepare_run(cfg: TrainConfig, dataset: Dataset | None = None) -> PreparedRun:
    """Prepare the data of `cfg` (checked) where it is not there yet, and fill in what is null from its plan.

    `dataset` is `dataset_of(cfg)` where there is one. Raises `RwsegError` for faulty data, `ConfigError`
    where given values do not go with planned ones.
    """
    data = prepared_data(cfg, dataset)
    return PreparedRun(cfg if cfg.dataset.plan == "fixed" else _planned(cfg, plan_of(data)), cfg, data)


def dataset_of(cfg: TrainConfig) -> Dataset:
    """The dataset that a configuration names, which reads files as its settings say, and lists them once."""
    try:
        dataset = named_object(cfg.dataset.adapter)
    except OwnCodeError as error:
        raise ConfigError(f"dataset.adapter={cfg.dataset.adapter}: {error}") from error
    if not isinstance(dataset, Dataset):
        raise ConfigError(f"dataset.adapter: expected a rwseg.data.case.Dataset, got {cfg.dataset.adapter}")
    options = {name: getattr(cfg.dataset, name) for name in READING}
    for name, value in options.items():
        if value is not None and name not in dataset.options:
            raise ConfigError(
                f"dataset.{name}={value}: expected null, for dataset={dataset.name} says it itself; leave it "
                "out, or read the files as they are by dataset=folder"
            )
    taken = {name: options[name] for name in dataset.options}
    return replace(dataset, load=cache(partial(dataset.load, **taken)))


def source_of(cfg: TrainConfig, dataset: Dataset | None = None) -> Source:
    """What lies at the configuration's root, split by its fold; `dataset` as in `prepare_run`."""
    chosen = cfg.dataset
    source = (dataset or dataset_of(cfg)).load(Path(chosen.root))
    return with_fold(source, chosen.fold, chosen.folds, chosen.split_seed)


def workers(cfg: TrainConfig) -> int:
    """Processes that read and prepare cases."""
    return int(cfg.workers or cpu_count())  # of a container, those that it may use


def prepared_data(cfg: TrainConfig, dataset: Dataset | None = None) -> Prepared:
    """The prepared dataset of a configuration, made now if it is not there; `dataset` as in `prepare_run`."""
    chosen = cfg.dataset
    preparation = PreprocessingConfig(
        crop=chosen.crop,
        spacing=chosen.spacing if chosen.spacing in (None, "median") else pair(chosen.spacing),
        size=None if chosen.size is None else pair(chosen.size),
        zoom=chosen.zoom,
        interpolation=chosen.interpolation,
        normalisation=chosen.normalisation,
        center_crop=None if chosen.center_crop is None else pair(chosen.center_crop),
    )
    return prepare(
        dataset or dataset_of(cfg),
        Path(chosen.root),
        Path(cfg.prepared_root),
        preparation,
        fold=chosen.fold,
        folds=chosen.folds,
        split_seed=chosen.split_seed,
        workers=workers(cfg),
        cache=None if chosen.cache is None else Path(chosen.cache).absolute(),
    )


def pair(values: Sequence[Any] | None) -> tuple[Any, Any]:
    """A list of two as the tuple that the packages below take."""
    first, second = values or ()
    return first, second


def _planned(cfg: TrainConfig, plan: Plan) -> TrainConfig:
    full = deepcopy(cfg)
    groups: list[tuple[str, Any, dict[str, Any]]] = [
        ("dataset", full.dataset, {"patch_size": list(plan.patch_size), "batch_size": plan.batch_size})
    ]
    if not isinstance(full.model, dict):
        groups.append(("model", full.model, {"pools": [list(pool) for pool in plan.pools]}))
    for name, group, values in groups:
        for key, value in values.items():
            if getattr(group, key) is None:
                setattr(group, key, value)
                log.info("planned: %s.%s=%s", name, key, value)
    return check(full)
