"""Dice, cross entropy and focal loss, by the region-wise paper's published code.

All take logits `(B, K, *S)` and integer labels `(B, *S)`, count the background as a class, need no map (one
that is passed is not looked at) and raise `ValueError` for shapes or types that do not fit.
"""

from typing import final

import torch
from torch import Tensor, nn

from rwseg.checks import check_logits
from rwseg.losses.base import RegionMap, full_precision, true_class_probability

DICE_EPSILON = 1e-6
LOG_EPSILON = 1e-15


@final
class DiceLoss(nn.Module):
    """`1 - mean_{b,k} [2 sum_i p y / (sum_i (p + y) + 1e-6)]`, per item and class.

    Nothing is added to the numerator: a class absent from an item scores 0, so the loss cannot fall below
    the share of absent classes, and pixels wrongly given to such a class are punished only through the
    other classes.
    """

    map_name = None
    rectified = False

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items and classes."""
        check_logits(logits, labels)
        p = torch.softmax(full_precision(logits), dim=1).flatten(2)  # (B, K, N)
        classes = torch.arange(p.shape[1], device=labels.device)[:, None]
        y = labels.flatten(1)[:, None] == classes  # (B, K, N)
        overlap = (p * y).sum(-1)
        return 1 - (2 * overlap / (p.sum(-1) + y.sum(-1) + DICE_EPSILON)).mean()


@final
class CrossEntropyLoss(nn.Module):
    """`-mean_{b,i} log(p_y + 1e-15)`, p_y the probability of the pixel's class; at most 34.5 per pixel."""

    map_name = None
    rectified = False

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items and pixels."""
        check_logits(logits, labels)
        return -torch.log(true_class_probability(logits, labels) + LOG_EPSILON).mean()


@final
class FocalLoss(nn.Module):
    """`-mean_{b,i} (1 - p_y + 1e-15) ** gamma log(p_y + 1e-15)` (Lin et al., ICCV 2017, with alpha 1)."""

    map_name = None
    rectified = False

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        if gamma < 0:
            raise ValueError(f"gamma: expected a focusing exponent >= 0, got {gamma}")
        self.gamma = gamma

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items and pixels."""
        check_logits(logits, labels)
        p = true_class_probability(logits, labels)
        return -((1 - p + LOG_EPSILON) ** self.gamma * torch.log(p + LOG_EPSILON)).mean()
