"""Networks and augmentations of the user's, as the rest of a training takes them."""

import inspect
from typing import Any

from torch import nn

from rwseg.core.errors import ConfigError
from rwseg.core.own_code import OwnCodeError, calling_own_code
from rwseg.data.augmentation.own import OwnAugmentation
from rwseg.data.preprocessing.distances import KIND_OF_MAP
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.device import training_device
from rwseg.experiments.optimisation import lr_schedule_of, optimizer_of
from rwseg.experiments.own_callables import callable_of, located
from rwseg.experiments.prepared_run import PreparedRun
from rwseg.losses import build_loss
from rwseg.models.own_network import OwnNetwork, check_network, materialise

Size = tuple[int, int]


def own_network(model: dict[str, Any], num_channels: int, num_classes: int, patch_size: Size) -> OwnNetwork:
    """The network that `model` names by `_target_`, given what the data say by the names of its parameters.

    Raises `ConfigError` where it is not there, does not take its arguments, raises itself, or is no module.
    """
    name, known = model["_target_"], _known_of_data(num_channels, num_classes, patch_size)
    make = callable_of("model", model, known)
    try:
        with calling_own_code():
            made = make()
    except OwnCodeError as error:
        raise ConfigError(f"model: {name} raised {error}") from error
    if not isinstance(made, nn.Module):
        raise ConfigError(f"model: expected a torch.nn.Module, got {type(made).__name__} of {name}")
    network = OwnNetwork(made)
    materialise(network, num_channels, patch_size)
    return network


def own_augmentation(
    cfg: TrainConfig, map_name: str | None, num_classes: int, with_pixels: bool = False
) -> OwnAugmentation | None:
    """The augmentation of the user's, if it is one; `ConfigError` where it is not there or does not fit.

    A function is called for each batch; of a class an instance is made, and called. `map_name` is the loss's,
    and `with_pixels` says that its map is weighed by pixel.
    """
    if not isinstance(cfg.augment, dict):
        return None
    name, maps_are_cached = cfg.augment["_target_"], cfg.map.source == "cached" and map_name in KIND_OF_MAP
    is_function = inspect.isroutine(located("augment", cfg.augment))
    make = callable_of("augment", cfg.augment, {})
    return OwnAugmentation(make if is_function else make(), name, num_classes, maps_are_cached or with_pixels)


def check_own_code(cfg: TrainConfig, with_pixels: bool = False) -> None:
    """Raise `ConfigError` for classes of the user's that are not there or do not take their arguments.

    That costs nothing, where preparing the data that they are for may take hours.
    """
    optimizer_of(cfg)
    lr_schedule_of(cfg)
    own_augmentation(cfg, build_loss(cfg).map_name, 2, with_pixels)
    if isinstance(cfg.model, dict):
        located("model", cfg.model)


def check_own_network(run: PreparedRun, processes: int = 1) -> None:
    """Raise `ConfigError` where a network of the user's does not fit the data of a run.

    PyTorch synchronises batch norm among `processes` on GPUs only, which is refused on a CPU.
    """
    model, channels, classes = run.cfg.model, len(run.data.channels), len(run.data.classes)
    if not isinstance(model, dict):
        return
    device = training_device(run.cfg.trainer.accelerator)
    network = own_network(model, channels, classes, run.patch_size).to(device)
    check_network(network, channels, classes, run.patch_size, min(2, run.batch_size))
    has_batch_norm = any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    if processes > 1 and has_batch_norm and device.type == "cpu":
        raise ConfigError(
            f"model: {model['_target_']} has batch norm, whose statistics PyTorch synchronises on GPUs only, "
            f"got {processes} processes on the CPU; train in one process, or with another norm"
        )


def _known_of_data(num_channels: int, num_classes: int, patch_size: Size) -> dict[str, Any]:
    classes = {"out_channels": num_classes, "num_classes": num_classes}
    return {"in_channels": num_channels, **classes, "spatial_dims": 2, "img_size": patch_size}
