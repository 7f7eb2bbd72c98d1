"""The one-sided Hausdorff loss as a region-wise loss: softmax squared times a map (Prop. 3).

Karimi and Salcudean, "Reducing the Hausdorff distance in medical image segmentation with convolutional neural
networks", IEEE TMI 39 (2020); Valverde and Tohka, Pattern Recognition 136 (2023), Eq. 25 to 28.
"""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from rwseg.core.validation import check_spacing, class_indices
from rwseg.losses.base import RegionMap, full_precision
from rwseg.losses.region_wise import check_dense, check_rectified
from rwseg.maps import RectifiedMap, compact, hausdorff_map


def squared_region_wise_loss(logits: Tensor, labels: Tensor, region_map: RegionMap) -> Tensor:
    """Return `mean_{b,i,k} softmax(logits)_ik ** 2 z_ik` (Prop. 3 with the 1/(NK) of Eq. 1).

    Logits are `(B, K, *S)`, labels `(B, *S)`, the map dense `(B, K, *S)` or compact. Raises `ValueError`
    where shapes do not fit.
    """
    labels = class_indices(logits, labels)
    squares = torch.softmax(full_precision(logits), dim=1).square()
    if isinstance(region_map, RectifiedMap):
        check_rectified(region_map, labels)
        inside, outside = (weights.to(squares.dtype) for weights in region_map)
        own = squares.gather(1, labels[:, None].long())[:, 0]
        return (outside * squares.sum(1) + own * (inside - outside)).mean() / squares.shape[1]
    check_dense(region_map, logits)
    return (squares * region_map.to(squares.dtype)).mean()


@final
class OneSidedHausdorffLoss(nn.Module):
    """The one-sided Hausdorff loss, `mean_{b,i,k} softmax(logits)_ik ** 2 d_ik ** alpha` (Prop. 3).

    `d_ik` is the distance of pixel i to class k of the labels, 0 inside it (Karimi and Salcudean 2020;
    Valverde and Tohka 2023). A class that an item does not have has no distance and costs nothing there, so
    an image of one class alone gives no gradient. `rectify` replaces the weights of a pixel's wrong classes
    by their mean; `spacing` is as in `RegionWiseLoss`. `ValueError` for an exponent that is not positive and
    a wrong spacing.
    """

    map_name = "hausdorff"

    def __init__(
        self, alpha: float = 2.0, rectify: bool = False, spacing: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if not 0 < alpha < math.inf:
            raise ValueError(f"alpha: expected a positive exponent of the distance, got {alpha}")
        self.alpha = alpha
        self.rectified = rectify
        self.spacing = None if spacing is None else check_spacing(spacing, len(spacing))

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss of logits `(B, K, *S)` and integer labels `(B, *S)`.

        `region_map` is a `rwseg.maps.hausdorff_map`, used with the exponent it was made with; without one it
        is computed. Raises `ValueError` for shapes that do not fit and, where the map is computed, for
        labels outside `[0, K)`.
        """
        labels = class_indices(logits, labels)
        if region_map is None:
            region_map = hausdorff_map(labels, logits.shape[1], self.alpha, self.spacing)
        if self.rectified and isinstance(region_map, Tensor):
            region_map = compact(region_map, labels)
        return squared_region_wise_loss(logits, labels, region_map)
