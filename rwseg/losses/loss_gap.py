"""How far a loss is from its own minimum, for losses whose best value is not zero."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rwseg.losses.base import FinalMap, RegionMap
from rwseg.losses.foreign import ForeignLoss, as_segmentation_loss

CERTAINTIES = (2.0, 4.0, 8.0, 16.0, 32.0)
"""More logits of a right prediction, for losses whose best is not certainty, as with smoothed labels."""

# exp(-120) is 0 in float32, so softmax is one-hot to the last bit, and nothing comes near to overflow.
CERTAIN = 120.0


def perfect_logits(labels: Tensor, num_classes: int, certainty: float = CERTAIN) -> Tensor:
    """Return finite float32 logits `(B, K, *S)` whose softmax is one-hot at integer labels `(B, *S)`.

    One-hot to the last bit with the default; `certainty` is how far the logit of the right class lies above
    the others.
    """
    shape = (labels.shape[0], num_classes, *labels.shape[1:])
    return torch.zeros(shape, device=labels.device).scatter_(1, labels[:, None].long(), certainty)


@torch.no_grad()
def loss_at_perfect(
    loss: Callable[..., Any],
    labels: Tensor,
    num_classes: int,
    region_map: RegionMap | FinalMap | None = None,
) -> Tensor:
    """Return the value of `loss` where the prediction equals the labels.

    `loss(logits, labels, region_map) - loss_at_perfect(loss, labels, K, region_map)` is the gap to a perfect
    prediction: >= 0 up to rounding, and 0 only there, for every loss of `conf/loss` but two. Contours cost
    `ActiveContourLoss` something, so leaving a speck out may give less than 0; `OneSidedHausdorffLoss` is 0
    too where the only error is a class that the item does not have. A loss that is not rwseg's may be lowest
    short of certainty, as with smoothed labels: the least value of a few certainties is taken then.
    """
    module = as_segmentation_loss(loss)
    value = module(perfect_logits(labels, num_classes), labels, region_map)
    if _has_foreign(module):
        for certainty in CERTAINTIES:
            right = perfect_logits(labels, num_classes, certainty)
            value = torch.minimum(value, module(right, labels, region_map))
    return value


def _has_foreign(loss: Any) -> bool:
    return isinstance(loss, nn.Module) and any(isinstance(part, ForeignLoss) for part in loss.modules())
