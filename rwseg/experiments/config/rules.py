"""The rules between settings; each yields a line per thing that does not fit."""

import re
from collections.abc import Iterator, Mapping
from math import inf, prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rwseg.experiments.config.schema import EvaluateConfig, PredictConfig, TrainConfig, TrainerConfig

PARTNERS = {"dice": "rwseg.losses.DiceLoss", "ce": "rwseg.losses.CrossEntropyLoss"}
"""Those of conf/strategy, by the end of its files' names."""


COMPOSED = "rwseg.losses.ComposedMapLoss"
"""The loss of a composition of maps."""


def is_count(value: Any) -> bool:
    """Whether it is a whole number of 1 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_fold(value: Any) -> bool:
    """Whether it names a fold of a split."""
    return value in (None, "all") or (value is not False and (value == 0 or is_count(value)))


def is_sizes(value: Any) -> bool:
    """Whether it is a pair of finite numbers above 0."""
    pair = isinstance(value, list) and len(value) == 2
    return pair and all(isinstance(side, int | float) and 0 < side < inf for side in value)


def is_window(value: Any) -> bool:
    """Whether it is a pair of whole numbers above 0, or None."""
    return value is None or (is_sizes(value) and all(map(is_count, value)))


def is_labels(value: Any) -> bool:
    """Whether it names the background and 1 to 254 other classes with their values, each once; or is None."""
    if value is None:
        return True
    if not isinstance(value, dict) or not all(isinstance(name, str) and name for name in value):
        return False
    sets = [held if isinstance(held, list) else [held] for held in value.values()]
    values = [number for held in sets for number in held]
    whole = all(type(number) is int and 0 <= number < 2**16 for number in values)
    classes = [name for name in value if name != "ignore"]
    single = "ignore" not in value or type(value["ignore"]) is int
    return (
        "background" in value
        and 2 <= len(classes) <= 255
        and whole
        and all(sets)
        and single
        and len(set(values)) == len(values)
    )


def is_subject(value: Any) -> bool:
    """Whether it is a regular expression with a group, or None."""
    try:
        return value is None or re.compile(value).groups > 0
    except (re.error, TypeError):
        return False


def is_names(value: Any) -> bool:
    """Whether it is a list of different names, one or more; or None."""
    named = isinstance(value, list) and all(isinstance(name, str) and name for name in value)
    return value is None or (named and 0 < len(set(value)) == len(value))


def is_run_dirs(value: Any) -> bool:
    """Whether it is a path, or a list of one or more."""
    folders = value if isinstance(value, list) else [value]
    return bool(folders) and all(isinstance(folder, str) and folder for folder in folders)


LR_SCHEDULE = "a schedule of the learning rate by its _target_, and interval=epoch or step"


def is_target(value: Any) -> bool:
    """Whether it names a class or a function, beside its arguments."""
    return isinstance(value, Mapping) and isinstance(value.get("_target_"), str)


def is_lr_schedule(value: Any) -> bool:
    """Whether it names a schedule of the learning rate, and how often that takes a step."""
    return is_target(value) and value.get("interval") in ("epoch", "step")


def is_folder_name(value: str | None) -> bool:
    """Whether it names a folder in another one, which may be replaced, or is None."""
    return value is None or re.fullmatch(r"\w[\w.+=-]*", value) is not None


def train_rules(cfg: "TrainConfig") -> Iterator[str]:
    """What does not fit together in the configuration of a training."""
    yield from _plan_rules(cfg)
    yield from _precision_rules(cfg.trainer)
    yield from _map_rules(cfg)
    yield from _network_rules(cfg)
    yield from _loss_rules(cfg)
    yield from _process_rules(cfg)


def evaluate_rules(cfg: "EvaluateConfig") -> Iterator[str]:
    """What does not fit together in the configuration of an evaluation."""
    yield from predict_rules(cfg)
    if cfg.input is not None and cfg.output is None:
        yield f"input={cfg.input}: expected a folder for the predictions, got none; give output=..."
    if cfg.input is not None and cfg.dataset.root is not None:
        yield "input: expected new images or dataset.root, got both; give one of them"
    if cfg.input is None and cfg.force:
        yield "force=true: expected together with input=..., a split is always predicted anew"


def predict_rules(cfg: "EvaluateConfig | PredictConfig") -> Iterator[str]:
    """What does not fit together where images are predicted."""
    yield from _precision_rules(cfg.trainer)
    if cfg.trainer.devices not in ("auto", 1):
        yield f"trainer.devices={cfg.trainer.devices}: expected 1, images are predicted on one device"


def _plan_rules(cfg: "TrainConfig") -> Iterator[str]:
    dataset, spacing = cfg.dataset, cfg.dataset.spacing
    planned: dict[str, Any] = {
        "dataset.patch_size": dataset.patch_size,
        "dataset.batch_size": dataset.batch_size,
    }
    if not isinstance(cfg.model, dict):
        planned["model.pools"] = cfg.model.pools
    for key, value in planned.items():
        if dataset.plan == "fixed" and value is None:
            yield f"{key}: expected a value with dataset.plan=fixed, got null; give one, or dataset.plan=auto"
    if dataset.size is not None and (not is_sizes(dataset.size) or spacing is not None):
        yield f"dataset.size: expected null, or [height, width] with dataset.spacing=null, got {dataset.size}"
    if dataset.plan == "auto" and spacing is None:
        whole = "" if dataset.size is None else " and dataset.size=null"
        yield f"dataset.plan=auto: expected dataset.spacing=median or [y, x]{whole}, got dataset.spacing=null"


def _precision_rules(trainer: "TrainerConfig") -> Iterator[str]:
    if trainer.accelerator == "cpu" and trainer.precision == "16-mixed":
        yield "trainer: precision 16-mixed needs a GPU; use trainer.precision=32-true or bf16-mixed on a CPU"


def _map_rules(cfg: "TrainConfig") -> Iterator[str]:
    loss = cfg.loss if isinstance(cfg.loss, Mapping) else {}
    base = loss.get("region_map")
    if loss.get("_target_") == "rwseg.losses.RRWLoss":
        base = "rrw"
    if loss.get("_target_") == COMPOSED and "map" in loss:
        from rwseg.maps import Composition  # PyTorch, for this loss alone

        try:
            base = Composition.of(loss["map"]).base_name
        except ValueError as error:
            yield f"loss.map: {error}"
    if loss.get("spacing") is not None and cfg.map.source == "cached" and base in ("rrw", "boundary"):
        yield (
            f"loss.spacing={loss['spacing']}: expected null with map.source=cached, made in mm of the "
            "volume; remove it, or give map.source=online"
        )


def _network_rules(cfg: "TrainConfig") -> Iterator[str]:
    model, patch = cfg.model, cfg.dataset.patch_size
    if patch is not None and len(patch) != 2:
        yield f"dataset.patch_size: expected [height, width], got {patch}"
        return
    if isinstance(model, dict):
        return  # it is asked what sizes it takes: rwseg.models.own_network
    pools = model.pools
    if model.max_features < model.features:
        yield f"model.max_features: expected {model.features} or more, got {model.max_features}"
    if pools is None or patch is None:
        return  # checked again with the plan's values
    if not pools or any(pool not in ([2, 2], [2, 1], [1, 2]) for pool in pools):
        yield f"model.pools: expected kernels [2, 2], [2, 1] or [1, 2], at least one, got {pools}"
        return
    factors = [prod(pool[axis] for pool in pools) for axis in range(2)]
    for axis, (size, factor) in enumerate(zip(patch, factors, strict=True)):
        if size <= 0 or size % factor:
            yield f"dataset.patch_size[{axis}]={size}: expected a multiple of {factor}, by model.pools"
    if patch == factors and (model.norm == "instance" or cfg.dataset.batch_size == 1):
        yield (
            f"dataset.patch_size={patch}: model.pools leaves one pixel of it, which cannot be normalised; "
            "use a larger patch or fewer pools"
        )


def _loss_rules(cfg: "TrainConfig") -> Iterator[str]:
    mode, partner = cfg.strategy.mode, cfg.strategy.partner
    own, other = _target(cfg.loss), _target(partner)
    for key, loss in (("loss", cfg.loss), ("strategy.partner", partner)):
        if _target(loss) is None and (key, loss) != ("strategy.partner", None):
            yield f"{key}: expected a loss, given by its _target_ as in conf/loss, got {loss}"
    if mode == "alone" and partner is not None:
        yield (
            "strategy.mode=alone: expected no strategy.partner, got one; choose strategy=alone and leave the "
            "partner out, or give strategy.mode=equal or gradual"
        )
    if mode not in ("equal", "gradual"):
        return
    if partner is None:
        others = " or ".join(f"strategy={mode}_{name}" for name, target in PARTNERS.items() if target != own)
        yield f"strategy.mode={mode}: expected a strategy.partner, got none; choose {others}"
    if own is not None and own == other:
        yield f"strategy.mode={mode}: expected two different losses, got {own} twice"


def _target(node: Any) -> str | None:
    target = node.get("_target_") if isinstance(node, Mapping) else None
    return target if isinstance(target, str) else None


def _process_rules(cfg: "TrainConfig") -> Iterator[str]:
    processes = prod(count for count in (cfg.trainer.devices, cfg.trainer.num_nodes) if is_count(count))
    batch = cfg.dataset.batch_size
    if batch is not None and batch % processes:  # null: checked again with the plan's
        yield f"dataset.batch_size={batch}: expected a multiple of the {processes} processes of trainer"
    has_batch_norm = not isinstance(cfg.model, dict) and cfg.model.norm == "batch"
    if processes > 1 and has_batch_norm and not cfg.trainer.sync_batchnorm:
        yield (
            "model.norm=batch: expected trainer.sync_batchnorm=true with several processes, got false, which "
            "takes the statistics of a process's share of the batch"
        )
