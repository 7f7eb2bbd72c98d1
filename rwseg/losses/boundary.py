"""Boundary-based losses: the length of the contours, and the distances to them.

All take logits `(B, K, *S)` and integer labels `(B, *S)`, return the mean over the items, do not look at a
given map, measure in pixels, and raise `ValueError` for shapes or types that do not fit. The boundary loss
itself and the one-sided Hausdorff loss are region-wise losses: see `rwseg.losses.region_wise`.
"""

import math
from typing import final

import torch
from torch import Tensor, nn

from rwseg.core.validation import class_indices
from rwseg.losses.base import RegionMap, full_precision
from rwseg.losses.classes import ClassMean, predicted_classes
from rwseg.maps import boundary_map

LENGTH_EPSILON = 1e-8


@final
class ActiveContourLoss(nn.Module):
    """Active contour loss: short contours around the right region.

    `mean_{i,k} sqrt(|grad p_ik|^2 + 1e-8) + region_weight mean_i (1 - p_iy)`. Chen et al., "Learning active
    contour models for medical image segmentation", CVPR 2019, in the form of means. Their binary loss is
    K = 2, where both channels have the same contour and `1 - p_iy` is their region term; for more classes the
    length is averaged over them, and the region term stays K times the region-wise loss of the active-contour
    map. The gradient is a forward difference per axis, 0 at the last pixel. Since contours have a price, a
    perfect prediction is not always the minimum: a speck is cheaper to leave out. Raises `ValueError` for a
    `region_weight` outside (0, inf).
    """

    map_name = None
    rectified = False

    def __init__(self, region_weight: float = 1.0) -> None:
        super().__init__()
        if not 0 < region_weight < math.inf:
            raise ValueError(f"region_weight: expected a positive finite weight, got {region_weight}")
        self.region_weight = region_weight

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items."""
        labels = class_indices(logits, labels)
        p = torch.softmax(full_precision(logits), dim=1)  # (B, K, *S)
        squared = torch.stack([_forward_difference(p, axis) ** 2 for axis in range(2, p.ndim)]).sum(0)
        length = torch.sqrt(squared + LENGTH_EPSILON).mean()
        region = 1 - p.gather(1, labels[:, None].long()).mean()
        return length + self.region_weight * region


@final
class HausdorffDTLoss(nn.Module):
    """Hausdorff distance loss, two-sided: errors weigh by how far they are from both contours.

    `mean_{b,i,k} (p_ik - y_ik)^2 (d_y ** alpha + d_p ** alpha)`, d_y and d_p the distances of pixel i to the
    boundary of class k in the labels and in the prediction: inside to the nearest other class, outside to the
    class, 0 where the class is absent. Karimi and Salcudean, "Reducing the Hausdorff distance in medical
    image segmentation with convolutional neural networks", TMI 2020, Loss_DT. The prediction's mask is its
    argmax and its distances take no part in the gradient. They change at each step, so every call computes
    2 B distance maps. The background counts unless `include_background=False`: without it, an item without
    foreground has nothing to learn from. Raises `ValueError` for an alpha outside (0, inf).
    """

    map_name = None
    rectified = False

    def __init__(self, alpha: float = 2.0, include_background: bool = True) -> None:
        super().__init__()
        _check_alpha(alpha)
        self.alpha = alpha
        self.over_classes = ClassMean(include_background)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items, classes and pixels, in pixels ** alpha."""
        loss: Tensor = self.over_classes(_hausdorff_errors(logits, labels, self.alpha)).mean()
        return loss


@final
class LogHausdorffDTLoss(nn.Module):
    """Logarithm of the two-sided Hausdorff distance loss: the same errors on the scale of other losses.

    `mean_b log(1 + H_b)`, H_b the `HausdorffDTLoss` of item b; per item, so that an item's loss does not
    depend on its neighbours. Karimi and Salcudean, TMI 2020; the logarithm is MONAI's.
    """

    map_name = None
    rectified = False

    def __init__(self, alpha: float = 2.0, include_background: bool = True) -> None:
        super().__init__()
        _check_alpha(alpha)
        self.alpha = alpha
        self.over_classes = ClassMean(include_background)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items."""
        loss: Tensor = self.over_classes(_hausdorff_errors(logits, labels, self.alpha))
        return torch.log1p(loss).mean()


def _hausdorff_errors(logits: Tensor, labels: Tensor, alpha: float) -> Tensor:
    """Return `mean_i (p - y)^2 (d_y ** alpha + d_p ** alpha)` per item and class, `(B, K)`."""
    labels = class_indices(logits, labels)
    p = torch.softmax(full_precision(logits), dim=1)  # (B, K, *S)
    own = labels[:, None].long()
    weights = boundary_map(labels, p.shape[1]).abs_().pow_(alpha)
    weights += boundary_map(predicted_classes(p.detach()), p.shape[1]).abs_().pow_(alpha)
    errors = p.scatter_add(1, own, p.new_full((1,), -1.0).expand(own.shape))  # p - y
    return (errors.square() * weights).flatten(2).mean(-1)


def _forward_difference(p: Tensor, axis: int) -> Tensor:
    return torch.diff(p, dim=axis, append=p.narrow(axis, p.shape[axis] - 1, 1))


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha: expected a positive exponent of the distance, got {alpha}")
