"""The rules between the fields of a configuration; each yields one line per thing that does not fit."""

import re
from collections.abc import Iterator, Mapping
from math import inf, prod
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from rwseg.experiments.config.names import suggestion

PARTNERS = {"dice": "rwseg.losses.DiceLoss", "ce": "rwseg.losses.CrossEntropyLoss"}
"""Those of conf/strategy, by the end of its files' names."""


def train_rules(cfg: DictConfig) -> Iterator[str]:
    """What does not fit in the configuration of a training."""
    yield from _range_rules(cfg)
    yield from _outside(
        cfg,
        {
            "model.norm": ("instance", "batch"),
            "strategy.mode": ("alone", "equal", "gradual"),
            "evaluation.missed": ("nan", "diagonal"),
            "dataset.plan": ("fixed", "auto"),
            "dataset.interpolation": ("spline", "area"),
            "dataset.normalisation": ("zscore", "zscore_nonzero", "ct", "minmax"),
            "map.source": ("cached", "online"),
        },
    )
    yield from _device_rules(cfg)
    yield from _data_rules(cfg)
    yield from _map_rules(cfg)
    yield from _augment_rules(cfg)
    yield from _network_rules(cfg)
    yield from _loss_rules(cfg)
    yield from _devices_rules(cfg)


def _range_rules(cfg: DictConfig) -> Iterator[str]:
    positive = (
        "schedule.epochs",
        "schedule.batches_per_epoch",
        "schedule.learning_rate",
        "schedule.clip_norm",
        "dataset.batch_size",
        "dataset.zoom",
        "workers",
        "model.features",
        "model.convs_per_stage",
        "evaluation.every",
        "stability.every",
        "stability.patience",
    )
    for key in positive:
        value = OmegaConf.select(cfg, key)
        if value is not None and not 0 < value < inf:  # null: the plan's, see _data_rules
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


def _data_rules(cfg: DictConfig) -> Iterator[str]:
    dataset = cfg.dataset
    planned = {"dataset.patch_size", "dataset.batch_size", "model.pools"}
    for key in sorted(planned):
        if dataset.plan == "fixed" and OmegaConf.select(cfg, key) is None:
            yield f"{key}: expected a value with dataset.plan=fixed, got null; give one, or dataset.plan=auto"
    spacing = dataset.spacing
    if not (spacing in (None, "median") or _sizes(spacing)):
        yield f"dataset.spacing: expected null, median or [y, x] in mm above 0, got {spacing}"
    if dataset.size is not None and (not _sizes(dataset.size) or spacing is not None):
        yield f"dataset.size: expected null, or [height, width] with dataset.spacing=null, got {dataset.size}"
    window = dataset.center_crop
    pair = isinstance(window, ListConfig) and len(window) == 2
    if window is not None and not (pair and all(_is_count(side) for side in window)):
        yield (
            "dataset.center_crop: expected null, or [height, width] in whole native pixels above 0, "
            f"got {window}"
        )
    if dataset.plan == "auto" and spacing is None:
        whole = "" if dataset.size is None else " and dataset.size=null"
        yield f"dataset.plan=auto: expected dataset.spacing=median or [y, x]{whole}, got dataset.spacing=null"
    fold = dataset.fold
    if not (
        fold is None or fold == "all" or (isinstance(fold, int) and not isinstance(fold, bool) and fold >= 0)
    ):
        yield f"dataset.fold: expected null (the data set's own split), all, or 0 and more, got {fold}"
    if dataset.folds < 1:
        yield f"dataset.folds: expected 2 or more (1 where that many are published), got {dataset.folds}"


def _map_rules(cfg: DictConfig) -> Iterator[str]:
    spacing = cfg.loss.get("spacing") if isinstance(cfg.loss, DictConfig) else None
    if spacing is not None and cfg.map.source == "cached" and _serves_map(cfg.loss):
        yield (
            f"loss.spacing={spacing}: expected null with map.source=cached, made in mm of the volume; "
            "remove it, or give map.source=online"
        )


def _serves_map(loss: DictConfig) -> bool:
    return loss.get("_target_") == "rwseg.losses.RRWLoss" or loss.get("region_map") in ("rrw", "boundary")


def _sizes(value: Any) -> bool:
    pair = isinstance(value, ListConfig) and len(value) == 2
    return pair and all(isinstance(side, int | float) and 0 < side < inf for side in value)


def _augment_rules(cfg: DictConfig) -> Iterator[str]:
    for part in ("spatial", "intensity"):
        for key, value in (cfg.augment[part] or {}).items():
            name = f"augment.{part}.{key}"
            if isinstance(value, ListConfig):
                yield from _interval_rules(name, key, value)
            elif key not in ("degrees", "loader_margin") and not 0 <= value <= 1:
                yield f"{name}: expected a probability from 0 to 1, got {value}"
    if cfg.augment.spatial is not None:
        degrees, margin = cfg.augment.spatial.degrees, cfg.augment.spatial.loader_margin
        if not 0 <= degrees <= 180:
            yield f"augment.spatial.degrees: expected 0 to 180, got {degrees}"
        if not 0 < margin <= 1:
            yield f"augment.spatial.loader_margin: expected above 0 and at most 1, got {margin}"


def _interval_rules(name: str, key: str, value: ListConfig) -> Iterator[str]:
    low, high = value if len(value) == 2 else (inf, inf)
    if not 0 <= low <= high < inf:
        yield f"{name}: expected [low, high] with 0 <= low <= high, got {value}"
    elif key in ("factor", "contrast_factor", "gamma_exponent") and not 0 < low <= 1 <= high:
        yield f"{name}: expected [low, high] around 1, above 0, got {value}"
    elif key == "low_resolution_zoom" and not 0 < low <= high <= 1:
        yield f"{name}: expected [low, high] above 0 and at most 1, got {value}"
    elif key == "blur_sigma" and low == 0:
        yield f"{name}: expected [low, high] above 0, got {value}"


def _device_rules(cfg: DictConfig) -> Iterator[str]:
    allowed = {
        "trainer.accelerator": ("auto", "cpu", "gpu"),
        "trainer.precision": ("auto", "32-true", "16-mixed", "bf16-mixed"),
    }
    yield from _outside(cfg, allowed)
    for key in ("threads", "devices", "num_nodes", "accumulate_grad_batches"):
        value = cfg.trainer[key]
        if not _is_count(value) and not (value == "auto" and key in ("devices", "num_nodes")):
            yield f"trainer.{key}: expected 1 or more, got {value}"
    if cfg.trainer.limit_val_batches == 0:
        yield "trainer.limit_val_batches: expected more than 0, for a run is told by its validation, got 0"
    if cfg.trainer.accelerator == "cpu" and cfg.trainer.precision == "16-mixed":
        yield "trainer: precision 16-mixed needs a GPU; use trainer.precision=32-true or bf16-mixed on a CPU"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _devices_rules(cfg: DictConfig) -> Iterator[str]:
    counts = [cfg.trainer[key] for key in ("devices", "num_nodes") if _is_count(cfg.trainer[key])]
    processes, batch = prod(counts), cfg.dataset.batch_size
    if batch is not None and batch % processes:  # null: checked again with the plan's
        yield f"dataset.batch_size={batch}: expected a multiple of the {processes} processes of trainer"
    if processes > 1 and cfg.model.norm == "batch" and not cfg.trainer.sync_batchnorm:
        yield (
            "model.norm=batch: expected trainer.sync_batchnorm=true with several processes, got false, which "
            "takes the statistics of a process's share of the batch"
        )


def _outside(cfg: DictConfig, allowed: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for key, values in allowed.items():
        value = OmegaConf.select(cfg, key)
        text = "null" if value is None else str(value)
        if text not in values:
            yield f"{key}: expected one of {', '.join(values)}, got {text}{suggestion(text, list(values))}"


def _network_rules(cfg: DictConfig) -> Iterator[str]:
    if cfg.model.pools is None or cfg.dataset.patch_size is None:
        return  # checked again with the plan's values
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
        yield (
            "strategy.mode=alone: expected no strategy.partner, got one; choose strategy=alone and leave the "
            "partner out, or give strategy.mode=equal or gradual"
        )
    if mode not in ("equal", "gradual"):
        return
    if partner is None:
        own = cfg.loss.get("_target_") if isinstance(cfg.loss, DictConfig) else None
        others = " or ".join(f"strategy={mode}_{name}" for name, target in PARTNERS.items() if target != own)
        yield f"strategy.mode={mode}: expected a strategy.partner, got none; choose {others}"
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
    if cfg.trainer.devices not in ("auto", 1):
        yield f"trainer.devices={cfg.trainer.devices}: expected 1, images are predicted on one device"
    folders = cfg.run_dir if isinstance(cfg.run_dir, ListConfig) else [cfg.run_dir]
    if not folders or not all(isinstance(folder, str) and folder for folder in folders):
        yield f"run_dir: expected a run directory or a list of them, got {cfg.run_dir}"
    if cfg.input is not None and cfg.output is None:
        yield f"input={cfg.input}: expected a folder for the predictions, got none; give output=..."
    if cfg.input is not None and cfg.dataset.root is not None:
        yield "input: expected new images or dataset.root, got both; give one of them"
    if cfg.input is None and cfg.force:
        yield "force=true: expected together with input=..., a split is always predicted anew"
    if cfg.overlays < 0:
        yield f"overlays: expected 0 or more, got {cfg.overlays}"
    if cfg.name is not None and not re.fullmatch(r"\w[\w.+=-]*", cfg.name):  # evaluation/<name> is replaced
        yield f"name: expected a plain folder name (letters, digits and _.+=-), got '{cfg.name}'"
