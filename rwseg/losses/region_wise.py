"""The region-wise loss: softmax times a map, in dense form and in the compact form of rectified maps.

Valverde and Tohka, "Region-wise loss for biomedical image segmentation", Pattern Recognition 136 (2023),
Eq. 1 with its normalisation 1/(NK), averaged over the batch. Its value is negative at a good fit: see
`rwseg.losses.gap`.
"""

from typing import final

import torch
from torch import Tensor, nn

from rwseg.checks import check_logits
from rwseg.losses.base import RegionMap, full_precision, true_class_probability
from rwseg.maps import (
    RECTIFIED_MAP_NAMES,
    RectifiedMap,
    check_map_name,
    compact,
    rectified_region_map,
)
from rwseg.maps import region_map as named_region_map


def region_wise_loss(logits: Tensor, region_map: Tensor) -> Tensor:
    """Return `mean_{b,i,k} softmax(logits)_ik z_ik` (Eq. 1); logits and dense map both `(B, K, *S)`.

    Raises `ValueError` where the shapes differ.
    """
    if region_map.shape != logits.shape:
        raise ValueError(
            f"region map: expected the shape of the logits {tuple(logits.shape)}, "
            f"got {tuple(region_map.shape)}"
        )
    probabilities = torch.softmax(full_precision(logits), dim=1)
    return (probabilities * region_map.to(probabilities.dtype)).mean()


def rectified_loss(logits: Tensor, labels: Tensor, rectified: RectifiedMap) -> Tensor:
    """Return the region-wise loss of a rectified map, `mean_i [outside + p_y (inside - outside)] / K`.

    `p_y` is the softmax probability of the pixel's class. Equal to `region_wise_loss` of the expanded map
    because softmax sums to one. Raises `ValueError` for shapes that do not fit: logits `(B, K, *S)`, all
    others `(B, *S)`.
    """
    check_logits(logits, labels)
    for name, weights in zip(RectifiedMap._fields, rectified, strict=True):
        if weights.shape != labels.shape:
            raise ValueError(
                f"region map, {name}: expected the shape of the labels {tuple(labels.shape)}, "
                f"got {tuple(weights.shape)}"
            )
    p_y = true_class_probability(logits, labels)
    inside, outside = (weights.to(p_y.dtype) for weights in rectified)
    return (outside + p_y * (inside - outside)).mean() / logits.shape[1]


@final
class RegionWiseLoss(nn.Module):
    """The region-wise loss of one named map, `mean_{b,i,k} softmax(logits)_ik z_ik`.

    `region_map` is one of `rwseg.maps.MAP_NAMES` (`ValueError` otherwise); `rectify` replaces the weights
    of a pixel's wrong classes by their mean (section 3.3), also in a dense map that is passed in.
    """

    def __init__(self, region_map: str = "rrw", rectify: bool = False) -> None:
        super().__init__()
        check_map_name(region_map)
        self.map_name = region_map
        self.rectified = rectify or region_map in RECTIFIED_MAP_NAMES
        self.rectify = rectify and region_map not in RECTIFIED_MAP_NAMES

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss of logits `(B, K, *S)` and integer labels `(B, *S)`.

        `region_map` is a dense `(B, K, *S)` map or the compact form. Without one the map is computed from
        the labels on their device in pixel units, as the published code does. Raises `ValueError` for
        shapes that do not fit and, where the map is computed, for labels outside `[0, K)`.
        """
        check_logits(logits, labels)
        if region_map is None:
            region_map = self._online_map(labels, num_classes=logits.shape[1])
        elif self.rectify and isinstance(region_map, Tensor):
            region_map = compact(region_map, labels)
        if isinstance(region_map, RectifiedMap):
            return rectified_loss(logits, labels, region_map)
        return region_wise_loss(logits, region_map)

    def _online_map(self, labels: Tensor, num_classes: int) -> RegionMap:
        if self.rectified:
            return rectified_region_map(self.map_name, labels, num_classes)
        return named_region_map(self.map_name, labels, num_classes)


@final
class RRWLoss(nn.Module):
    """The rectified region-wise (RRW) loss: `RegionWiseLoss` of `rwseg.maps.rrw_map` (Eq. 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.region_wise = RegionWiseLoss("rrw")
        self.map_name = self.region_wise.map_name
        self.rectified = self.region_wise.rectified

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss; arguments and errors as in `RegionWiseLoss.forward`."""
        loss: Tensor = self.region_wise(logits, labels, region_map)
        return loss
