"""A loss of rwseg as nnU-Net calls it: per head of its network, with targets that have a channel."""

from collections.abc import Sequence
from typing import final

from omegaconf import OmegaConf
from torch import Tensor, nn

from rwseg.core.errors import ConfigError
from rwseg.core.validation import without_channel
from rwseg.experiments.nnunet.asked import Asked
from rwseg.losses import CombinedLoss, RegionMap, build_loss, without_ignored
from rwseg.maps import rectified_region_map, region_map


@final
class HeadLoss(nn.Module):
    """`loss` of one head: logits `(B, K, *S)` and nnU-Net's target `(B, 1, *S)` to a scalar.

    Maps are made here, of the head's own labels on their device, as `map.source=online` makes them; where
    `spacing` (mm per spatial axis) is None, that is left to the loss. Pixels labelled `ignore` count as
    predicted perfectly: see `rwseg.losses.ignored`.
    """

    def __init__(self, loss: CombinedLoss, spacing: Sequence[float] | None, ignore: int | None) -> None:
        super().__init__()
        self.loss = loss
        self.spacing = spacing
        self.ignore = ignore

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss; `ValueError` for shapes that do not fit and labels that are no class."""
        labels = without_channel(target, logits).long()
        if self.ignore is not None:
            logits, labels = without_ignored(logits, labels, self.ignore)
        loss: Tensor = self.loss(logits, labels, self._map(labels, logits.shape[1]))
        return loss

    def _map(self, labels: Tensor, num_classes: int) -> RegionMap | None:
        name = self.loss.map_name
        if name is None or self.spacing is None:
            return None
        make = rectified_region_map if self.loss.rectified else region_map
        return make(name, labels, num_classes, self.spacing)


def head_loss(asked: Asked, spacing: Sequence[float], ignore: int | None) -> HeadLoss:
    """The loss that was asked for, its maps in `spacing` unless it was given a spacing of its own.

    Raises `ConfigError` as `build_loss`, and for a loss with weights to be trained: nnU-Net's optimizer has
    those of the network alone.
    """
    own = dict(asked["loss"])
    if "spacing" in own:  # the loss makes its maps itself
        own["spacing"] = own["spacing"] or [float(step) for step in spacing]
    loss = build_loss(OmegaConf.create({"loss": own, "strategy": asked["strategy"]}))
    if any(weight.requires_grad for weight in loss.parameters()):
        raise ConfigError(
            f"{asked['words']}: expected a loss without weights to be trained, got one that has some, and "
            "nnU-Net trains those of its network alone"
        )
    return HeadLoss(loss, None if "spacing" in own else tuple(spacing), ignore)
