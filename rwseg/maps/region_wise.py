"""Region-wise maps: the weight `z_ik` that a region-wise loss gives to pixel i and class k.

Equations are those of Valverde and Tohka, "Region-wise loss for biomedical image segmentation", Pattern
Recognition 136 (2023). Labels are integer `(B, *S)` tensors with 2 or 3 spatial axes, dense maps float32
`(B, K, *S)` on the same device; items of a batch are independent. Distances are exact; they are in pixels, as
in the published code, unless `spacing` gives the mm per spatial axis. Every builder raises `ValueError` for
labels outside `[0, num_classes)`, a float tensor and a wrong spacing.

A map is rectified when the K - 1 wrong classes of each pixel weigh the same (section 3.3). Two numbers per
pixel then say all of it, and `RectifiedMap` holds just these.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rwseg.core.validation import check_labels, check_spacing
from rwseg.maps.distance import inside_distance, outside_distances, signed_distances


class RectifiedMap(NamedTuple):
    """A rectified map as two `(B, *S)` tensors: the weights of the true class and of every other."""

    inside: Tensor
    outside: Tensor


RegionMap = Tensor | RectifiedMap
"""Dense `(B, K, *S)`, or compact."""


def active_contour_map(labels: Tensor, num_classes: int) -> Tensor:
    """Return 0 at the true class and 1 elsewhere, the region term of active contours (Eq. 17)."""
    check_labels(labels, num_classes)
    return constant_map(labels, num_classes, alpha=0.0, beta=-1.0)


def constant_map(labels: Tensor, num_classes: int, alpha: float, beta: float) -> Tensor:
    """Return `alpha` at the true class and `-beta` elsewhere (Eq. 29, Prop. 4).

    Its loss is `(alpha + beta) p_y - beta` at a pixel of class y: with the positive constants that the paper
    prints it is lowest where every pixel is wrong. A map that punishes errors needs `alpha + beta < 0`, as in
    `alpha=0, beta=-1`, the active-contour map; the gradient of any other is a multiple of that one's.
    """
    check_labels(labels, num_classes)
    shape = (labels.shape[0], num_classes, *labels.shape[1:])
    others = torch.full(shape, -float(beta), device=labels.device)
    return others.scatter_(1, labels[:, None].long(), float(alpha))


def boundary_map(labels: Tensor, num_classes: int, spacing: Sequence[float] | None = None) -> Tensor:
    """Return minus the inside distance at the true class and the outside distance elsewhere (Eq. 3).

    Inside distance: to the nearest pixel of another class; outside distance: to the nearest pixel of class k.
    No pixel of a class is 0. A class absent from an item is 0 everywhere; a class that fills the item is -1
    everywhere.
    """
    return signed_distances(labels, num_classes, spacing)


def boundary_kervadec_map(labels: Tensor, num_classes: int, spacing: Sequence[float] | None = None) -> Tensor:
    """Return `boundary_map` with the inside distance shortened by a pixel: 0 on the inner border of a class.

    In pixels this is the map in the published code of Kervadec et al., "Boundary loss for highly unbalanced
    segmentation" (2021). With a spacing that code still subtracts 1, then 1 mm, which punishes the true class
    at borders where pixels are smaller; here the smallest spacing is subtracted, of the axes longer than one
    pixel, so the true class never weighs more than 0. A class that fills an item has no border and stays -1.
    """
    steps = check_spacing(spacing, labels.ndim - 1)
    pixel = min((step for step, size in zip(steps, labels.shape[1:], strict=True) if size > 1), default=1.0)
    region_map = boundary_map(labels, num_classes, spacing)
    own = labels[:, None].long()
    low, high = own.flatten(1).aminmax(dim=1)
    shorter = pixel * (low < high).view(-1, *[1] * labels.ndim)
    return region_map.scatter_(1, own, (region_map.gather(1, own) + shorter).clamp_(max=0))


def hausdorff_map(
    labels: Tensor, num_classes: int, alpha: float = 2.0, spacing: Sequence[float] | None = None
) -> Tensor:
    """Return 0 at the true class and `distance ** alpha` to class k elsewhere (Eq. 25).

    Multiplied with the *square* of softmax this is the one-sided Hausdorff loss (Prop. 3), see
    `rwseg.losses.OneSidedHausdorffLoss`. An absent class is 0 everywhere. Raises `ValueError` unless `alpha`
    is positive and finite.
    """
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha: expected a positive exponent of the distance, got {alpha}")
    return outside_distances(labels, num_classes, spacing).pow_(alpha)


def rrw_map(labels: Tensor, num_classes: int, spacing: Sequence[float] | None = None) -> Tensor:
    """Return the rectified region-wise map: `-d / max d` at the true class, 1 elsewhere (Eq. 4).

    `d` is the distance to the nearest pixel of another class and `max d` its maximum over the class in the
    item. A class absent from an item is 1 everywhere; a class that fills the item is -1 everywhere.
    """
    return expand(rectified_rrw_map(labels, num_classes, spacing), labels, num_classes)


def rectified_rrw_map(
    labels: Tensor, num_classes: int, spacing: Sequence[float] | None = None
) -> RectifiedMap:
    """Return `rrw_map` in compact form, without ever building its K channels."""
    check_labels(labels, num_classes)
    inside = rrw_weights(inside_distance(labels, spacing), labels, num_classes)
    return RectifiedMap(inside, torch.ones_like(inside))


def rrw_weights(distance: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Return `-distance / max distance`, the maximum taken per item and class; all `(B, *S)`.

    `distance` is the inside distance, computed now or cached; a class whose distances are all 0 weighs 0.
    Only shapes are checked, because looking at the labels would make a GPU wait.
    """
    _check_same_shape("distance", distance, labels)
    return (distance / largest_of_class(distance, labels, num_classes)).neg_()


def largest_of_class(values: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Return at each pixel the largest value of its class in the item, at least the least normal number.

    `values` >= 0 and `labels` are `(B, *S)`, as is the result.
    """
    items = torch.arange(len(labels), device=labels.device).view(-1, *[1] * (labels.ndim - 1))
    groups = (labels + num_classes * items).flatten()
    largest = values.new_zeros(len(labels) * num_classes)
    largest.scatter_reduce_(0, groups, values.flatten(), "amax")
    largest.clamp_(min=torch.finfo(largest.dtype).tiny)
    return largest.index_select(0, groups).view_as(values)


def compact(region_map: Tensor, labels: Tensor) -> RectifiedMap:
    """Return the rectified form of a dense `(B, K, *S)` map: the wrong classes of each pixel are averaged."""
    _check_dense(region_map, labels)
    index = labels[:, None].long()
    others = region_map.scatter(1, index, 0.0).sum(1) / (region_map.shape[1] - 1)
    return RectifiedMap(region_map.gather(1, index)[:, 0], others)


def expand(rectified: RectifiedMap, labels: Tensor, num_classes: int) -> Tensor:
    """Return the dense `(B, K, *S)` map that a compact one stands for."""
    _check_same_shape("inside", rectified.inside, labels)
    _check_same_shape("outside", rectified.outside, labels)
    dense = rectified.outside[:, None].repeat(1, num_classes, *[1] * (labels.ndim - 1))
    return dense.scatter_(1, labels[:, None].long(), rectified.inside[:, None])


def rectify(region_map: Tensor, labels: Tensor) -> Tensor:
    """Return the map with the K - 1 wrong classes of each pixel set to their mean (section 3.3)."""
    _check_dense(region_map, labels)
    return expand(compact(region_map, labels), labels, region_map.shape[1])


def is_rectified(region_map: Tensor, labels: Tensor, atol: float = 1e-6) -> bool:
    """Answer whether the map rewards the true class and punishes all wrong classes of a pixel equally.

    That is, within `atol`: the K - 1 wrong entries of each pixel are equal and >= 0, the true one is <= 0.
    """
    _check_dense(region_map, labels)
    index = labels[:, None].long()
    lowest = region_map.scatter(1, index, float("inf")).amin(1)
    highest = region_map.scatter(1, index, float("-inf")).amax(1)
    rewarded = region_map.gather(1, index)[:, 0] <= atol
    return bool(((highest - lowest <= atol) & (lowest >= -atol) & rewarded).all())


def _check_dense(region_map: Tensor, labels: Tensor) -> None:
    got = tuple(region_map.shape)
    if region_map.ndim < 3 or got[1] < 2 or (got[0], *got[2:]) != tuple(labels.shape):
        raise ValueError(
            f"region map: expected shape (B, K, *S) with K >= 2 for labels {tuple(labels.shape)}, got {got}"
        )


def _check_same_shape(name: str, tensor: Tensor, labels: Tensor) -> None:
    if tensor.shape != labels.shape:
        raise ValueError(
            f"{name}: expected the shape of the labels {tuple(labels.shape)}, got {tuple(tensor.shape)}"
        )
