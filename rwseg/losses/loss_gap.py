"""How far a loss is from its own minimum, for losses whose best value is not zero."""

import torch
from torch import Tensor

from rwseg.losses.base import RegionMap, SegmentationLoss

# exp(-120) is 0 in float32, so softmax is one-hot to the last bit, and nothing comes near to overflow.
CERTAIN = 120.0


def perfect_logits(labels: Tensor, num_classes: int) -> Tensor:
    """Return finite float32 logits `(B, K, *S)` whose softmax is one-hot at integer labels `(B, *S)`."""
    shape = (labels.shape[0], num_classes, *labels.shape[1:])
    return torch.zeros(shape, device=labels.device).scatter_(1, labels[:, None].long(), CERTAIN)


@torch.no_grad()
def loss_at_perfect(
    loss: SegmentationLoss, labels: Tensor, num_classes: int, region_map: RegionMap | None = None
) -> Tensor:
    """Return the value of `loss` where the prediction equals the labels.

    `loss(logits, labels, region_map) - loss_at_perfect(loss, labels, K, region_map)` is the gap to a perfect
    prediction: >= 0 up to rounding, and 0 only there, for every loss of `conf/loss` but two. Contours cost
    `ActiveContourLoss` something, so leaving a speck out may give less than 0; `OneSidedHausdorffLoss` is 0
    too where the only error is a class that the item does not have.
    """
    return loss(perfect_logits(labels, num_classes), labels, region_map)
