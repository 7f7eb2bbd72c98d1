"""Distribution-based losses: cross entropy `CE_i = -log p_iy` and what weighs or selects its pixels.

`p_iy` is the softmax probability that pixel i has for its own class y. All take logits `(B, K, *S)` and
integer labels `(B, *S)`, return the mean over the items, count the background as a class, and raise
`ValueError` for shapes or types that do not fit. Those with `map_name = None` do not look at a given map.
"""

import math
from collections.abc import Sequence
from typing import Literal, final

import torch
from torch import Tensor, nn

from rwseg.core.validation import class_indices
from rwseg.losses.base import RegionMap, full_precision, pixel_cross_entropy, true_class_probability
from rwseg.losses.classes import check_weight_count, class_masks, weight_tensor
from rwseg.maps import RectifiedMap, rectified_rrw_map
from rwseg.maps.distance import inside_distance

LOG_EPSILON = 1e-15


@final
class CrossEntropyLoss(nn.Module):
    """Cross entropy: every pixel pays the negative log-probability of its own class.

    `-mean_i log(p_iy + 1e-15)`, at most 34.5 per pixel. Published code of Valverde and Tohka, 2023.
    """

    map_name = None
    rectified = False

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items and pixels."""
        labels = class_indices(logits, labels)
        return -torch.log(true_class_probability(logits, labels) + LOG_EPSILON).mean()


@final
class FocalLoss(nn.Module):
    """Focal loss: cross entropy that forgets the pixels which are right already.

    `-mean_i w_y (1 - p_iy + 1e-15) ** gamma log(p_iy + 1e-15)`, `w` the `class_weights` (None: 1), called
    alpha by Lin et al., "Focal loss for dense object detection", ICCV 2017; the small constants are those of
    the published code of Valverde and Tohka, 2023. Raises `ValueError` for a `gamma` outside [0, inf).
    """

    map_name = None
    rectified = False
    weights: Tensor | None

    def __init__(self, gamma: float = 2.0, class_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        check_gamma(gamma)
        self.gamma = gamma
        self.register_buffer("weights", weight_tensor(class_weights), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items and pixels."""
        labels = class_indices(logits, labels)
        p = true_class_probability(logits, labels)
        loss = -((1 - p + LOG_EPSILON) ** self.gamma * torch.log(p + LOG_EPSILON))
        if self.weights is not None:
            loss = loss * pixel_class_weights(self.weights, logits, labels)
        return loss.mean()


@final
class WeightedCrossEntropyLoss(nn.Module):
    """Weighted cross entropy: a pixel of a rare class counts for more.

    `mean_i w_y CE_i` with one weight per class, or, "balanced", with `w_k = N / (K' n_k)`, n_k the pixels of
    class k in the item and K' the number of classes there: the mean over these classes of their mean cross
    entropy. Ronneberger et al., "U-Net", MICCAI 2015, call such a weight w_c (Eq. 2). Raises `ValueError`
    for anything else, None included, for negative weights and for a number of weights other than K.
    """

    map_name = None
    rectified = False
    weights: Tensor | None

    def __init__(self, class_weights: Sequence[float] | Literal["balanced"] = "balanced") -> None:
        super().__init__()
        if class_weights is None or (isinstance(class_weights, str) and class_weights != "balanced"):
            raise ValueError(
                f"class_weights: expected 'balanced' or one weight per class, got {class_weights!r}; "
                "without weights this loss is cross entropy, loss=ce"
            )
        given = None if class_weights == "balanced" else weight_tensor(class_weights)
        self.register_buffer("weights", given, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items."""
        labels = class_indices(logits, labels)
        cross_entropy = pixel_cross_entropy(logits, labels)
        if self.weights is not None:
            return (pixel_class_weights(self.weights, logits, labels) * cross_entropy).mean()
        masks = class_masks(labels, logits.shape[1])  # (B, K, N)
        sizes = masks.sum(-1)
        per_class = (masks * cross_entropy.flatten(1)[:, None]).sum(-1) / sizes.clamp(min=1)
        return (per_class.sum(1) / (sizes > 0).sum(1)).mean()


@final
class RRWCrossEntropyLoss(nn.Module):
    """Cross entropy with RRW weights: the deeper a pixel lies in its class, the more it counts.

    `mean_i |z_iy| CE_i` with the rectified region-wise map, so `|z_iy| = d_i / max d`. Valverde and Tohka,
    2023, section 3.2; as printed there, with `z_iy` in [-1, 0), it would reward errors, and it has no
    published code. Of a map, only the entries of the true class are used.
    """

    map_name = "rrw"
    rectified = True

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items and pixels; without a map, of distances in pixels."""
        labels = class_indices(logits, labels)
        depth = relative_depth(logits.shape[1], labels, region_map)
        return (depth * pixel_cross_entropy(logits, labels)).mean()


@final
class DistancePenalizedCrossEntropyLoss(nn.Module):
    """Distance-penalised cross entropy: a pixel counts up to double, the more the nearer a boundary is.

    `mean_i (1 + phi_i) CE_i`, `phi_i = 1 - d_i / max d` the distance to the nearest other class, reversed
    and normalised per class. Calivá et al., "Distance map loss penalty term for semantic segmentation", MIDL
    2019. As `-d_i / max d` is the true class's entry of the RRW map, that is the map to precompute. Distances
    are to pixels of another class, so phi is `1 - 1 / max d` at a boundary, and 0 in a class whose pixels are
    all equally near to one: a structure one pixel wide counts once.
    """

    map_name = "rrw"
    rectified = True

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items and pixels; without a map, of distances in pixels."""
        labels = class_indices(logits, labels)
        depth = relative_depth(logits.shape[1], labels, region_map)
        return ((2 - depth) * pixel_cross_entropy(logits, labels)).mean()


@final
class PixelWeightedCrossEntropyLoss(nn.Module):
    """Pixel-weighted cross entropy: U-Net's extra weight for the pixels near a border.

    `mean_i (w_y + border_weight exp(-d_i^2 / (2 sigma^2))) CE_i`, d_i the distance to the nearest other
    class, which is minus the true class's entry of the boundary map, `w` the `class_weights` (None: 1);
    `sigma` is in that map's unit. Ronneberger et al., "U-Net", MICCAI 2015, Eq. 2, who add the distance to a
    second cell, which class labels do not have. An item of one class has no border, so no pixel of it is near
    to one. Raises `ValueError` for a `border_weight` outside [0, inf), a `sigma` outside (0, inf) and class
    weights that do not fit.
    """

    map_name = "boundary"
    rectified = True
    weights: Tensor | None

    def __init__(
        self,
        border_weight: float = 10.0,
        sigma: float = 5.0,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= border_weight < math.inf or not 0 < sigma < math.inf:
            raise ValueError(
                f"expected finite border_weight >= 0 and sigma > 0, got border_weight={border_weight}, "
                f"sigma={sigma}"
            )
        self.border_weight, self.sigma = border_weight, sigma
        self.register_buffer("weights", weight_tensor(class_weights), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items and pixels; without a map, of distances in pixels."""
        labels = class_indices(logits, labels)
        distance = inside_distance(labels) if region_map is None else -true_class_entry(region_map, labels)
        near = torch.exp(-((distance / self.sigma) ** 2) / 2).masked_fill(no_border(labels, distance), 0.0)
        own = 1.0 if self.weights is None else pixel_class_weights(self.weights, logits, labels)
        return ((own + self.border_weight * near) * pixel_cross_entropy(logits, labels)).mean()


@final
class TopKLoss(nn.Module):
    """TopK cross entropy: only the worst pixels of each image count.

    The mean of the `percent` % largest `CE_i` of an item, at least one, averaged over items. Wu et al.,
    "Bridging category-level and instance-level semantic image segmentation", 2016. Taken per item, not over
    the batch, so that an item's loss does not depend on its neighbours. Raises `ValueError` for a `percent`
    outside (0, 100].
    """

    map_name = None
    rectified = False

    def __init__(self, percent: float = 10.0) -> None:
        super().__init__()
        if not 0 < percent <= 100:
            raise ValueError(f"percent: expected the share of pixels to keep, in (0, 100], got {percent}")
        self.percent = percent

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items."""
        labels = class_indices(logits, labels)
        cross_entropy = pixel_cross_entropy(logits, labels).flatten(1)  # (B, N)
        kept = max(1, round(cross_entropy.shape[1] * self.percent / 100))
        return cross_entropy.topk(kept, dim=1, sorted=False).values.mean()


def check_gamma(gamma: float) -> None:
    """Raise `ValueError` unless `gamma` is a focusing exponent in [0, inf)."""
    if not 0 <= gamma < math.inf:
        raise ValueError(f"gamma: expected a focusing exponent in [0, inf), got {gamma}")


def pixel_class_weights(weights: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the weight of each pixel's class, `(B, *S)`; `ValueError` unless there are K weights."""
    check_weight_count(weights, logits.shape[1])
    return weights.to(labels.device)[labels.long()]


def no_border(labels: Tensor, distance: Tensor) -> Tensor:
    """Return which items know no border, boolean `(B, 1, ...)`: those that one class fills.

    There maps have distance 1 by definition. Labels alone do not tell: a box cut from a larger image may be
    of one class and near to another.
    """
    first = labels[(slice(None), *[slice(0, 1)] * (labels.ndim - 1))]
    return ((labels == first) & (distance == 1)).flatten(1).all(1).view_as(first)


def true_class_entry(region_map: RegionMap, labels: Tensor) -> Tensor:
    """Return a map's entry `z_iy` of each pixel's own class, `(B, *S)`, in single precision or more."""
    channel = region_map.inside if isinstance(region_map, RectifiedMap) else region_map[:, 0]
    if channel.shape != labels.shape:
        raise ValueError(
            f"region map: expected (B, K, *S), or (B, *S) in compact form, for labels {tuple(labels.shape)}, "
            f"got weights of shape {tuple(channel.shape)} per class"
        )
    if isinstance(region_map, RectifiedMap):
        return full_precision(channel)
    return full_precision(region_map.gather(1, labels[:, None].long())[:, 0])


def relative_depth(num_classes: int, labels: Tensor, region_map: RegionMap | None) -> Tensor:
    """Return `|z_iy| = d_i / max d` in [0, 1] of the RRW map, given or computed, `(B, *S)`."""
    given = rectified_rrw_map(labels, num_classes) if region_map is None else region_map
    return true_class_entry(given, labels).abs()
