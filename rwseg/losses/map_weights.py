"""Weights of a batch's region maps: by item or by pixel, in the compact and the dense form of a map.

A region-wise loss is linear in its map (Eq. 1), so the map times a weight is that pixel's, or item's, share
of the loss times the weight. A loss that is not proportional to its map is refused.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rwseg.losses.base import FinalMap, RegionMap
from rwseg.losses.combined import CombinedLoss
from rwseg.losses.region_wise import ComposedMapLoss
from rwseg.maps import RectifiedMap, rectified_region_map
from rwseg.maps import region_map as named_region_map

SIDE, BLOCK, FACTOR, TOLERANCE = 64, 8, 0.25, 1e-4
"""What a loss is tried on: images of so many pixels in blocks of a class, their map times the factor."""


def scaled_map(region_map: RegionMap, weights: Tensor) -> RegionMap:
    """Return the map times `weights`, `(B,)` or `(B, *S)`; the map is dense `(B, K, *S)` or compact."""
    if isinstance(region_map, RectifiedMap):
        factor = _as_pixels(weights, region_map.inside.ndim)
        return RectifiedMap(region_map.inside * factor, region_map.outside * factor)
    return region_map * _as_pixels(weights, region_map.ndim - 1)[:, None]


def weighted_map(
    loss: Callable[..., Any],
    labels: Tensor,
    num_classes: int,
    region_map: RegionMap | None,
    weights: Tensor,
) -> RegionMap | FinalMap:
    """Return the map of a call of `loss`, scaled: the given one or, without one, that of labels `(B, *S)`.

    A composition's map is scaled after all that modifies it, for its loss is linear in what comes of that.
    Another loss, of a `CombinedLoss` the main one, says by `map_name`, `rectified` and `spacing` (None where
    it has none) which map is its own; `check_weighable` finds out whether that is true.
    """
    main: Any = loss.main if isinstance(loss, CombinedLoss) else loss
    composed = getattr(main, "composed", main)
    if isinstance(composed, ComposedMapLoss):
        return FinalMap(scaled_map(composed.final_map(labels, num_classes, region_map), weights))
    if region_map is None:
        make = rectified_region_map if main.rectified else named_region_map
        region_map = make(main.map_name, labels, num_classes, getattr(main, "spacing", None))
    return scaled_map(region_map, weights)


@torch.no_grad()
def check_weighable(loss: CombinedLoss, name: str, num_classes: int) -> None:
    """Raise `ValueError` unless the main loss, called `name`, is proportional to its map.

    It is tried on made-up labels: with its own map, the same map passed in, and a quarter of that.
    """
    main, k = loss.main, num_classes
    if main.map_name is None and not isinstance(main, ComposedMapLoss):
        raise ValueError(
            f"{name} takes no region-wise map that weights could scale; take a region-wise loss such as "
            "loss=rrw or loss=rw_boundary (with a partner, if you want one), or leave the weights out"
        )
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, k, (2, SIDE // BLOCK, SIDE // BLOCK), generator=generator)
    labels = blocks.repeat_interleave(BLOCK, dim=1).repeat_interleave(BLOCK, dim=2)  # (2, SIDE, SIDE)
    logits, ones = torch.randn(2, k, SIDE, SIDE, generator=generator), torch.ones(2)
    given = main(logits, labels, weighted_map(main, labels, k, None, ones))
    if not torch.allclose(main(logits, labels), given, rtol=TOLERANCE):
        raise ValueError(
            f"{name}: expected a loss of the map '{main.map_name}' of its labels, got one that makes another "
            "map for itself, which weights cannot scale; leave out what changes its map"
        )
    less = main(logits, labels, weighted_map(main, labels, k, None, FACTOR * ones))
    if not torch.allclose(less, FACTOR * given, rtol=TOLERANCE):
        raise ValueError(
            f"{name}: expected a loss that is proportional to its map, so that the map's weights are the "
            "loss's, got one that is not; take a region-wise loss such as loss=rrw or loss=rw_boundary"
        )


def _as_pixels(weights: Tensor, axes: int) -> Tensor:
    """`(B,)` as `(B, 1, ...)` of so many axes."""
    return weights if weights.ndim == axes else weights.view(-1, *(1,) * (axes - 1))
