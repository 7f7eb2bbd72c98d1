"""Rectified maps that put weight where it matters: on borders, on centrelines, between touching instances.

All take integer labels `(B, *S)` and `spacing` as `rwseg.maps.region_wise` does, raise its errors, and return
the compact form. What the loss feels in a pixel is the difference of its two weights.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from rwseg.core.validation import check_labels, check_positive, check_spacing
from rwseg.maps.distance import inside_distance, outside_distances
from rwseg.maps.region_wise import RectifiedMap, rrw_weights


def edge_emphasis(
    labels: Tensor, num_classes: int, width: float, spacing: Sequence[float] | None = None
) -> RectifiedMap:
    """Return weights for hard borders: `-exp(-d / width)` at the true class, 1 elsewhere.

    `d` is the distance to the nearest pixel of another class, so the difference falls from 2 at a border to 1
    far from it, where RRW's rises. That is the `1 + phi` with which Caliva et al., "Distance map loss penalty
    term for semantic segmentation" (2019), weigh a pixel: phi is their reversed distance, here with a
    `width` in the unit of the spacing in place of each class's largest distance. An item of one class has no
    border: 0. Raises `ValueError` unless `width` is positive and finite.
    """
    check_labels(labels, num_classes)
    check_positive("width", width)
    inside = inside_distance(labels, spacing).div_(-width).exp_().neg_()
    return _with_ones_outside(inside.masked_fill_(_of_one_class(labels), 0.0))


def skeleton(labels: Tensor, num_classes: int, spacing: Sequence[float] | None = None) -> RectifiedMap:
    """Return weights for thin structures: `-d / (d + s)` at the true class, 1 elsewhere.

    `s` is the distance to the centreline of the class (Lee, Kashyap and Chu, "Building skeleton models via
    3-D medial surface/axis thinning algorithms", 1994, by scikit-image), `d` that to the nearest pixel of
    another class. The weight is -1 on every centreline and falls to the border, however thick the structure
    is there; RRW's `d / max d` gives a thin branch of a thick structure next to nothing. The background, 0,
    has no centreline worth the name and keeps the weight of RRW; an item of one class is -1 everywhere.
    Centrelines are found on the CPU, whatever the device of the labels.
    """
    check_labels(labels, num_classes)
    border = inside_distance(labels, spacing)
    lines = torch.from_numpy(_centrelines(labels.cpu().numpy(), num_classes)).to(labels.device)
    centre = outside_distances(lines, num_classes + 1, spacing).gather(1, labels[:, None].long())[:, 0]
    inside = border.div(border + centre).neg_().masked_fill_(_of_one_class(labels), -1.0)
    return _with_ones_outside(torch.where(labels == 0, rrw_weights(border, labels, num_classes), inside))


def border_between_instances(
    labels: Tensor,
    num_classes: int,
    w0: float = 10.0,
    sigma: float = 5.0,
    spacing: Sequence[float] | None = None,
) -> RectifiedMap:
    """Return weights for touching instances: 0 at the true class, more than 1 elsewhere between instances.

    The wrong classes weigh `1 + w0 exp(-(d1 + d2)^2 / (2 sigma^2))`.
    `d1` and `d2` are the distances to the nearest and the second nearest instance, 0 in an instance itself:
    the pixel weight of Ronneberger et al., "U-Net", MICCAI 2015, Eq. 2, with 1 for its class weight.
    Instances are the connected components (sharing a face) of each class but the background, 0; an item with
    fewer than two has no such border. Components are found on the CPU.
    Raises `ValueError` unless `w0` and `sigma` (in the unit of the spacing) are positive and finite.
    """
    check_labels(labels, num_classes)
    check_spacing(spacing, labels.ndim - 1)  # also where there is no instance to measure to
    check_positive("w0", w0)
    check_positive("sigma", sigma)
    reach = torch.stack([_to_two_instances(item, num_classes, spacing) for item in labels]).div_(sigma)
    outside = reach.square_().div_(-2.0).exp_().mul_(w0).add_(1.0)
    return RectifiedMap(torch.zeros_like(outside), outside)


def _with_ones_outside(inside: Tensor) -> RectifiedMap:
    return RectifiedMap(inside, torch.ones_like(inside))


def _of_one_class(labels: Tensor) -> Tensor:
    """Whether an item has a single class: `(B, 1, ...)`."""
    low, high = labels.flatten(1).aminmax(dim=1)
    return (low == high).view(-1, *[1] * (labels.ndim - 1))


def _centrelines(labels: NDArray[np.integer], num_classes: int) -> NDArray[np.int64]:
    """The labels on the centrelines of each class but 0, `num_classes` elsewhere."""
    from skimage.morphology import skeletonize  # a third of a second, for this map alone

    lines = np.full(labels.shape, num_classes, np.int64)
    for item, line in zip(labels, lines, strict=True):
        for k in np.unique(item[item > 0]):
            own = item == k
            thin = skeletonize(own, method="lee") > 0  # type: ignore[no-untyped-call]
            components, count = ndimage.label(own, np.ones([3] * own.ndim))
            kept = np.isin(np.arange(count + 1), components[thin])  # thinning erases a cube of 2 x 2 x 2
            line[thin | (own & ~kept[components])] = k
    return lines


def _to_two_instances(item: Tensor, num_classes: int, spacing: Sequence[float] | None) -> Tensor:
    """The sum of the distances to the two nearest instances, `(*S)`; infinite where there are none.

    Instances are numbered, and two numbers differ in a bit: of the distances to those that have the bit and
    to those that have it not, the smaller is that to the nearest instance, and the larger, for the bit in
    which it is smallest, that to the second one. So n instances cost 2 log2(n) transforms.
    """
    numbers, count = _instances(item, num_classes)
    nearest = second = torch.full(item.shape, torch.inf, device=item.device)
    for bit in range(max(0, count - 1).bit_length()):
        has = ((numbers - 1) >> bit) & 1
        masks = torch.stack([(numbers > 0) & (has == value) for value in (0, 1)])  # (2, *S)
        distances = inside_distance(masks.long(), spacing).masked_fill_(masks, 0.0)
        nearest, second = distances.amin(0), torch.minimum(second, distances.amax(0))
    return nearest + second


def _instances(item: Tensor, num_classes: int) -> tuple[Tensor, int]:
    """A number from 1 on at the pixels of each instance, 0 at the others; how many there are."""
    values = item.cpu().numpy()
    numbers, count = np.zeros(values.shape, np.int64), 0
    for k in range(1, num_classes):
        components, found = ndimage.label(values == k)
        numbers += np.where(components > 0, components + count, 0)
        count += found
    return torch.from_numpy(numbers).to(item.device), count
