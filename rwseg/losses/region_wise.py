"""The region-wise loss: softmax times a map, in dense form and in the compact form of rectified maps.

Valverde and Tohka, "Region-wise loss for biomedical image segmentation", Pattern Recognition 136 (2023),
Eq. 1 with its normalisation 1/(NK), averaged over the batch. Its value is negative at a good fit: see
`rwseg.losses.loss_gap`.
"""

import math
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rwseg.core.validation import check_spacing, class_indices
from rwseg.losses.base import FinalMap, RegionMap, full_precision
from rwseg.maps import (
    RECTIFIED_MAP_NAMES,
    Composition,
    RectifiedMap,
    check_map_name,
    composed_map,
    modified_map,
)

LINEAR_MAP_NAMES = ("active_contour", "boundary", "boundary_kervadec", "rrw")


def region_wise_loss(logits: Tensor, region_map: Tensor) -> Tensor:
    """Return `mean_{b,i,k} softmax(logits)_ik z_ik` (Eq. 1); logits and dense map both `(B, K, *S)`.

    Raises `ValueError` where the shapes differ.
    """
    check_dense(region_map, logits)
    probabilities = torch.softmax(full_precision(logits), dim=1)
    return (probabilities * region_map.to(probabilities.dtype)).mean()


def rectified_loss(logits: Tensor, labels: Tensor, rectified: RectifiedMap) -> Tensor:
    """Return the region-wise loss of a rectified map, `mean_i [outside + p_y (inside - outside)] / K`.

    `p_y` is the softmax probability of the pixel's class. Equal to `region_wise_loss` of the expanded map
    because softmax sums to one. It can be differentiated once, with respect to the logits. Raises
    `ValueError` for shapes that do not fit: logits `(B, K, *S)`, all others `(B, *S)`.
    """
    labels = class_indices(logits, labels)
    check_rectified(rectified, labels)
    full = full_precision(logits)
    inside, outside = (weights.to(full.dtype) for weights in rectified)
    loss: Tensor = _RectifiedLoss.apply(full, labels.long(), inside, outside)  # type: ignore[no-untyped-call]
    return loss


def check_dense(region_map: Tensor, logits: Tensor) -> None:
    """Raise `ValueError` unless the map has the shape of the logits."""
    if region_map.shape != logits.shape:
        raise ValueError(
            f"region map: expected the shape of the logits {tuple(logits.shape)}, "
            f"got {tuple(region_map.shape)}"
        )


def check_rectified(rectified: RectifiedMap, labels: Tensor) -> None:
    """Raise `ValueError` unless both parts of the map have the shape of the labels."""
    for name, weights in zip(RectifiedMap._fields, rectified, strict=True):
        if weights.shape != labels.shape:
            raise ValueError(
                f"region map, {name}: expected the shape of the labels {tuple(labels.shape)}, "
                f"got {tuple(weights.shape)}"
            )


class _RectifiedLoss(torch.autograd.Function):
    """Eq. 2 for a rectified map: `dL/dphi_k = (inside - outside) p_y ([k = y] - p_k) / (N K)`.

    The softmax of the forward pass is all that both passes need, so this costs less than cross entropy.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
        p = torch.softmax(logits, dim=1)  # (B, K, *S)
        own = labels[:, None]  # (B, 1, *S)
        slope = p.gather(1, own).mul_((inside - outside)[:, None])  # (B, 1, *S)
        ctx.save_for_backward(p, own, slope)
        return (outside[:, None] + slope).mean() / p.shape[1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None, None]:
        p, own, slope = ctx.saved_tensors
        weight = slope * (grad_output / p.numel())
        return (p * -weight).scatter_add_(1, own, weight), None, None, None


@final
class ComposedMapLoss(nn.Module):
    """The region-wise loss of a composition of maps, `mean_{b,i,k} softmax(logits)_ik z_ik`.

    `map` is a list as `rwseg.maps.composition` has it, such as `["boundary", "rectify", {"normalise":
    "per_class"}]`; `ValueError` for one that does not fit together. `spacing` is for maps that the loss
    computes itself: the mm per spatial axis of the labels it is given, or None for pixels.

    `map_name` is the base of the composition, which may be computed once and passed in: the modifiers are
    applied to it, and only maps that are mixed in are computed here. It is None for a base with arguments.
    `rectified` says that the base is wanted in compact form.
    """

    def __init__(self, map: Sequence[Any], spacing: Sequence[float] | None = None) -> None:
        super().__init__()
        self.composition = Composition.of(map)
        self.map_name = self.composition.base_name
        self.rectified = self.composition.base_is_compact
        self.spacing = None if spacing is None else check_spacing(spacing, len(spacing))

    def forward(
        self, logits: Tensor, labels: Tensor, region_map: RegionMap | FinalMap | None = None
    ) -> Tensor:
        """Return the loss of logits `(B, K, *S)` and integer labels `(B, *S)`.

        `region_map` is the base map, dense `(B, K, *S)` or compact, or a `FinalMap`, which is not modified;
        without one it is computed from the labels on their device. Raises `ValueError` for shapes that do not
        fit and, where a map is computed, for labels outside `[0, K)` and a spacing of another number of axes.
        """
        labels = class_indices(logits, labels)
        if isinstance(region_map, FinalMap):
            final_map = region_map.region_map
        else:
            final_map = self.final_map(labels, logits.shape[1], region_map)
        if isinstance(final_map, RectifiedMap):
            return rectified_loss(logits, labels, final_map)
        return region_wise_loss(logits, final_map)

    def final_map(self, labels: Tensor, num_classes: int, base_map: RegionMap | None = None) -> RegionMap:
        """Return the composition's map of integer labels `(B, *S)`, of its base map where that is given."""
        if base_map is None:
            return composed_map(self.composition, labels, num_classes, self.spacing)
        return modified_map(self.composition, base_map, labels, num_classes, self.spacing)


@final
class RegionWiseLoss(nn.Module):
    """The region-wise loss of one named map, `mean_{b,i,k} softmax(logits)_ik z_ik`.

    `region_map` is one of `LINEAR_MAP_NAMES` (`ValueError` otherwise); `rectify` replaces the weights of a
    pixel's wrong classes by their mean (section 3.3), also in a dense map that is passed in. `spacing` is for
    maps that the loss computes itself: the mm per spatial axis of the labels it is given, or None for
    pixels, as in the published code. A map that is passed in is used as it is; those that the data module
    precomputes are made from the whole volume, in mm.
    """

    def __init__(
        self, region_map: str = "rrw", rectify: bool = False, spacing: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        check_map_name(region_map, LINEAR_MAP_NAMES)
        changes = ["rectify"] if rectify and region_map not in RECTIFIED_MAP_NAMES else []
        self.composed = ComposedMapLoss([region_map, *changes], spacing)
        self.map_name = region_map
        self.rectified = self.composed.rectified

    def forward(
        self, logits: Tensor, labels: Tensor, region_map: RegionMap | FinalMap | None = None
    ) -> Tensor:
        """Return the loss; arguments and errors as in `ComposedMapLoss.forward`."""
        loss: Tensor = self.composed(logits, labels, region_map)
        return loss


@final
class ConstantMapLoss(nn.Module):
    """The region-wise loss of a constant map, `mean_i [(alpha + beta) p_y - beta] / K` (Eq. 29, Prop. 4).

    `alpha` weighs the true class, `-beta` all others (Cao et al. 2020; Valverde and Tohka 2023). As printed,
    with positive constants, the loss rewards errors: `ValueError` unless `alpha + beta < 0`. All such losses
    have the gradient of the active-contour map (`alpha=0, beta=-1`) times `-(alpha + beta)`. There is nothing
    to precompute or to compute: a map that is passed is not looked at.
    """

    map_name = None
    rectified = False

    def __init__(self, alpha: float = -1.0, beta: float = -1.0) -> None:
        super().__init__()
        if not -math.inf < alpha + beta < 0:
            raise ValueError(
                "alpha, beta: expected a finite alpha + beta < 0, so that the true class weighs less than "
                f"others, got alpha={alpha}, beta={beta}"
            )
        self.alpha, self.beta = float(alpha), float(beta)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss of logits `(B, K, *S)` and integer labels `(B, *S)`; errors of `rectified_loss`."""
        labels = class_indices(logits, labels)
        weights = (torch.full((), value, device=logits.device) for value in (self.alpha, -self.beta))
        return rectified_loss(logits, labels, RectifiedMap(*(w.expand(labels.shape) for w in weights)))


@final
class RRWLoss(nn.Module):
    """The rectified region-wise (RRW) loss: that of `rwseg.maps.rrw_map` (Eq. 4)."""

    map_name = "rrw"
    rectified = True

    def __init__(self, spacing: Sequence[float] | None = None) -> None:
        super().__init__()
        self.composed = ComposedMapLoss(["rrw"], spacing)

    def forward(
        self, logits: Tensor, labels: Tensor, region_map: RegionMap | FinalMap | None = None
    ) -> Tensor:
        """Return the loss; arguments and errors as in `ComposedMapLoss.forward`."""
        loss: Tensor = self.composed(logits, labels, region_map)
        return loss
