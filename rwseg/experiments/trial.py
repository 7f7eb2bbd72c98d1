"""What a loss must fit to, tried before anything is prepared for it."""

import torch
from torch import nn

from rwseg.core.errors import ConfigError
from rwseg.core.own_code import OwnCodeError, calling_own_code
from rwseg.data.case import Dataset
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.prepared_run import source_of
from rwseg.losses import ComposedMapLoss, ForeignLoss, build_loss

SIZE = (64, 48)
"""Of the images where the plan of the data is yet to say the patch."""

ITEMS = 2


def try_loss(cfg: TrainConfig, dataset: Dataset) -> None:
    """Build the loss of `cfg`, fit its maps to the classes, and call it where a part of it is not rwseg's.

    It is called with logits and labels of as many classes as the data have, of the size of a patch. Raises
    `ConfigError` where it fails, or gives no scalar that has a gradient.
    """
    loss = build_loss(cfg)
    names = source_of(cfg, dataset).classes
    check_composed_maps(loss, len(names))
    foreign = [part for part in loss.modules() if isinstance(part, ForeignLoss)]
    if not foreign:
        return
    generator = torch.Generator().manual_seed(0)
    size, classes = cfg.dataset.patch_size or SIZE, len(names)
    logits = torch.randn(ITEMS, classes, *size, generator=generator).requires_grad_()
    labels = torch.randint(0, classes, (ITEMS, *size), generator=generator)
    try:
        with calling_own_code():
            loss(logits, labels).backward()
    except OwnCodeError as error:
        shapes = f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)}"
        raise ConfigError(
            f"loss: expected a scalar with a gradient from {' and '.join(one.name for one in foreign)} for "
            f"{shapes}, got {error}"
        ) from error


def check_composed_maps(loss: nn.Module, num_classes: int) -> None:
    """Raise `ConfigError` for compositions in `loss` that are of another number of classes."""
    for part in loss.modules():
        if isinstance(part, ComposedMapLoss):
            try:
                part.composition.check_classes(num_classes)
            except ValueError as error:
                raise ConfigError(f"loss.map: {error}") from error
