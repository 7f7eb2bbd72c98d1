"""From a checked configuration to the parts of a training: data, network, learner, device."""

import logging
import os
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_object
from torch.nn.utils import convert_conv2d_weight_memory_format

from rwseg.core.distributed import ALONE, World
from rwseg.core.errors import ConfigError
from rwseg.data.case import IGNORE, Dataset, Source
from rwseg.data.datamodule import SliceDataModule
from rwseg.data.preprocessing.config import PreprocessingConfig
from rwseg.data.preprocessing.local_copy import local_copy
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.data.split import with_fold
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.config.validation import check
from rwseg.losses import build_loss
from rwseg.models.inference.inference_spec import InferenceSpec, inference_spec
from rwseg.models.planner import plan_of
from rwseg.models.unet import UNet
from rwseg.training.lightning_module import Learner

log = logging.getLogger(__name__)


def dataset_of(cfg: TrainConfig) -> Dataset:
    """The dataset that a configuration names."""
    dataset = get_object(cfg.dataset.adapter)
    if not isinstance(dataset, Dataset):
        raise ConfigError(f"dataset.adapter: expected a rwseg.data.case.Dataset, got {cfg.dataset.adapter}")
    return dataset


def source_of(cfg: TrainConfig) -> Source:
    """What lies at the configuration's root, split by its fold."""
    chosen = cfg.dataset
    source = dataset_of(cfg).load(Path(chosen.root))
    return with_fold(source, chosen.fold, chosen.folds, chosen.split_seed)


def workers(cfg: TrainConfig) -> int:
    """Processes that read and prepare cases."""
    return int(cfg.workers or os.cpu_count() or 1)


def prepared_data(cfg: TrainConfig) -> Prepared:
    """The prepared dataset of a configuration, made now if it is not there yet."""
    chosen = cfg.dataset
    preparation = PreprocessingConfig(
        crop=chosen.crop,
        spacing=chosen.spacing if chosen.spacing in (None, "median") else _pair(chosen.spacing),
        size=None if chosen.size is None else _pair(chosen.size),
        zoom=chosen.zoom,
        interpolation=chosen.interpolation,
        normalisation=chosen.normalisation,
        center_crop=None if chosen.center_crop is None else _pair(chosen.center_crop),
    )
    return prepare(
        dataset_of(cfg),
        Path(chosen.root),
        Path(cfg.prepared_root),
        preparation,
        fold=chosen.fold,
        folds=chosen.folds,
        split_seed=chosen.split_seed,
        workers=workers(cfg),
        cache=None if chosen.cache is None else Path(chosen.cache).absolute(),
    )


def _pair(values: Sequence[Any] | None) -> tuple[Any, Any]:
    first, second = values or ()
    return first, second


def planned(cfg: TrainConfig, data: Prepared) -> TrainConfig:
    """`cfg` with what is null in it (patch, batch size, pools) from the plan of the prepared data.

    Raises `ConfigError` where values that the user gave do not go with the planned ones.
    """
    if cfg.dataset.plan == "fixed":
        return cfg
    plan = plan_of(data)
    full = deepcopy(cfg)
    groups: Sequence[tuple[str, Any, dict[str, Any]]] = (
        ("dataset", full.dataset, {"patch_size": list(plan.patch_size), "batch_size": plan.batch_size}),
        ("model", full.model, {"pools": [list(pool) for pool in plan.pools]}),
    )
    for name, group, values in groups:
        for key, value in values.items():
            if getattr(group, key) is None:
                setattr(group, key, value)
                log.info("planned: %s.%s=%s", name, key, value)
    return check(full)


def build_network(cfg: TrainConfig, num_channels: int, num_classes: int) -> UNet:
    """The U-Net of a (planned) configuration for data of so many channels and classes."""
    model = cfg.model
    network = UNet(
        in_channels=num_channels,
        num_classes=num_classes,
        features=model.features,
        max_features=model.max_features,
        pools=[_pair(pool) for pool in model.pools or ()],
        convs_per_stage=model.convs_per_stage,
        norm=model.norm,
        deep_supervision=model.deep_supervision,
    )
    convert_conv2d_weight_memory_format(network, torch.channels_last)  # what tensor cores read without a copy
    return network


def device_name(accelerator: str) -> str:
    """`cpu`, or the GPU's name; `ConfigError` if a GPU is asked for and there is none."""
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise ConfigError(
            "trainer.accelerator=gpu: expected a CUDA device, found none; use trainer=auto or trainer=cpu"
        )
    use_gpu = accelerator != "cpu" and torch.cuda.is_available()
    return torch.cuda.get_device_name() if use_gpu else "cpu"


def training_device(cfg: TrainConfig) -> torch.device:
    """The kind of device of a run; `ConfigError` where a GPU is asked for and there is none."""
    return torch.device("cpu" if device_name(cfg.trainer.accelerator) == "cpu" else "cuda")


def precision(asked: str, device: str) -> str:
    """The precision to run in: `auto` is 16-bit mixed on a GPU (as in the paper) and 32-bit on a CPU."""
    return asked if asked != "auto" else ("32-true" if device == "cpu" else "16-mixed")


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is computed and not emulated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def build_data(cfg: TrainConfig, prepared: Prepared, world: World = ALONE) -> SliceDataModule:
    """The data module of a (planned) configuration, over a copy of the data where it asks for one."""
    loss, batch_size = build_loss(cfg), cfg.dataset.batch_size
    assert batch_size is not None  # it is planned
    if cfg.dataset.cache is not None:
        served = loss.map_name if cfg.map.source == "cached" else None
        prepared = local_copy(prepared, Path(cfg.dataset.cache).absolute(), served, workers(cfg))
    return SliceDataModule(
        prepared,
        map_name=loss.map_name,
        rectified=loss.rectified,
        patch_size=_pair(cfg.dataset.patch_size),
        batch_size=batch_size,
        batches_per_epoch=cfg.schedule.batches_per_epoch,
        foreground=cfg.schedule.foreground,
        augment=cfg.augment,
        source=cfg.map.source,
        seed=cfg.seed,
        validate_on="train" if cfg.dataset.fold == "all" else "val",  # as nnU-Net, where nothing is left
        world=world,
    )


def build_learner(cfg: TrainConfig, prepared: Prepared) -> Learner:
    """The Lightning module of a (planned) configuration."""
    schedule = cfg.schedule
    return Learner(
        build_network(cfg, len(prepared.channels), len(prepared.classes)),
        build_loss(cfg),
        classes=prepared.classes,
        patch_size=_pair(cfg.dataset.patch_size),
        epochs=schedule.epochs,
        learning_rate=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
        poly_power=schedule.poly_power,
        flips=cfg.evaluation.flips,
        missed=cfg.evaluation.missed,
        measure_every=cfg.stability.every,
        patience=cfg.stability.patience,
        ignore=IGNORE if prepared.has_ignored else None,
    )


def facts_of(cfg: TrainConfig, prepared: Prepared) -> InferenceSpec:
    """What a prediction will need to know of a (planned) configuration and its data."""
    assert cfg.dataset.batch_size is not None  # it is planned
    return inference_spec(
        prepared,
        source_of(cfg),
        patch_size=_pair(cfg.dataset.patch_size),
        pools=tuple(_pair(pool) for pool in cfg.model.pools or ()),
        batch_size=cfg.dataset.batch_size,
    )
