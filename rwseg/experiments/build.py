"""From a prepared run to the parts of its training: data module, network, Lightning module."""

from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from joblib import cpu_count
from torch.nn.utils import convert_conv2d_weight_memory_format

from rwseg.core.distributed import ALONE, World
from rwseg.data.augmentation.own import NOTHING
from rwseg.data.case import IGNORE, Source
from rwseg.data.datamodule import SliceDataModule
from rwseg.data.preprocessing.local_copy import local_copy
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.experiments.config.schema import Model, TrainConfig
from rwseg.experiments.device import cpu_threads, device_name, metrics_processes
from rwseg.experiments.map_weights import prepared_pixels
from rwseg.experiments.optimisation import lr_schedule_of, optimizer_of
from rwseg.experiments.own_parts import own_augmentation, own_network
from rwseg.experiments.prepared_run import PreparedRun, pair, workers
from rwseg.losses import build_loss
from rwseg.models.inference.inference_spec import InferenceSpec, inference_spec
from rwseg.models.own_network import OwnNetwork
from rwseg.models.unet import UNet
from rwseg.training.lightning_module import Learner


def build_network(
    model: Model, num_channels: int, num_classes: int, patch_size: tuple[int, int]
) -> UNet | OwnNetwork:
    """The network of a (planned) configuration for data of so many channels and classes.

    Raises `ConfigError` as `own_network` for one of the user's.
    """
    if isinstance(model, dict):
        return own_network(model, num_channels, num_classes, patch_size)
    network = UNet(
        in_channels=num_channels,
        num_classes=num_classes,
        features=model.features,
        max_features=model.max_features,
        pools=[pair(pool) for pool in model.pools or ()],
        convs_per_stage=model.convs_per_stage,
        norm=model.norm,
        deep_supervision=model.deep_supervision,
    )
    convert_conv2d_weight_memory_format(network, torch.channels_last)  # what tensor cores read without a copy
    return network


def served_data(run: PreparedRun) -> Prepared:
    """The data that a run trains from: a copy where it asks for one, which is made now."""
    cfg = run.cfg
    if cfg.dataset.cache is None:
        return run.data
    served = build_loss(cfg).map_name if cfg.map.source == "cached" else None
    return local_copy(run.data, Path(cfg.dataset.cache).absolute(), served, workers(cfg))


def build_data(
    run: PreparedRun, world: World = ALONE, callbacks: Sequence[pl.Callback] = ()
) -> SliceDataModule:
    """The data module of a run, with the files by which one of its callbacks weighs pixels."""
    cfg, data, loss = run.cfg, served_data(run), build_loss(run.cfg)
    pixels = prepared_pixels(cfg, data, callbacks)
    return SliceDataModule(
        data,
        map_name=loss.map_name,
        rectified=loss.rectified,
        patch_size=run.patch_size,
        batch_size=run.batch_size,
        batches_per_epoch=cfg.schedule.batches_per_epoch,
        foreground=cfg.schedule.foreground,
        augment=NOTHING if isinstance(cfg.augment, dict) else cfg.augment,
        source=cfg.map.source,
        seed=cfg.seed,
        validate_on="train" if cfg.dataset.fold == "all" else "val",  # as nnU-Net, where nothing is left
        world=world,
        own_augmentation=own_augmentation(cfg, loss.map_name, len(data.classes), pixels is not None),
        residency=cfg.data.residency,
        curve_cases=cfg.evaluation.cases,
        pixels=pixels,
        workers=workers(cfg),
    )


def build_learner(run: PreparedRun, world: World = ALONE) -> Learner:
    """The Lightning module of a run."""
    cfg, data = run.cfg, run.data
    return Learner(
        build_network(cfg.model, len(data.channels), len(data.classes), run.patch_size),
        build_loss(cfg),
        classes=data.classes,
        patch_size=run.patch_size,
        optimizer=optimizer_of(cfg),
        schedule=lr_schedule_of(cfg),
        seed=cfg.seed,
        flips=cfg.evaluation.flips,
        missed=cfg.evaluation.missed,
        measure_every=cfg.stability.every,
        patience=cfg.stability.patience,
        ignore=IGNORE if data.has_ignored else None,
        metrics_processes=_metrics_processes(cfg, world),
    )


def _metrics_processes(cfg: TrainConfig, world: World) -> int:
    """Those of each of the processes that share a machine."""
    workers_, cores = (max(1, number // world.local_size) for number in (workers(cfg), cpu_count()))
    name = device_name(cfg.trainer.accelerator)
    threads = cpu_threads(cfg.trainer.threads, world.local_size)
    return metrics_processes(name, threads, workers_, cores)


def spec_of(run: PreparedRun, source: Source) -> InferenceSpec:
    """What a prediction will need to know of a run and its data, which were made of `source`."""
    model = run.cfg.model
    return inference_spec(
        run.data,
        source,
        patch_size=run.patch_size,
        pools=() if isinstance(model, dict) else tuple(pair(pool) for pool in model.pools or ()),
        batch_size=run.batch_size,
    )
