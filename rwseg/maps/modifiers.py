"""What may be made of a region map: functions of the map and its labels, for the dense and the compact form.

All take the map (dense `(B, K, *S)` or compact), integer labels `(B, *S)` and the number of classes, and
return a new map of the same form, or a compact one where they rectify it. None changes the sign of a weight,
and items are independent. Equations are those of Valverde and Tohka (2023).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rwseg.maps.region_wise import RectifiedMap, RegionMap, compact, expand, largest_of_class


def rectified(region_map: RegionMap, labels: Tensor, num_classes: int) -> RectifiedMap:
    """Return the compact map in which the wrong classes of a pixel weigh their mean (section 3.3)."""
    return region_map if isinstance(region_map, RectifiedMap) else compact(region_map, labels)


def normalise(region_map: RegionMap, labels: Tensor, num_classes: int, per: str) -> RegionMap:
    """Return the map with true entries in [-1, 0] and wrong ones in [0, 1], each divided by its largest.

    The largest is taken over the pixels of a class in the item (`per_class`, as Eq. 4 does: an RRW map stays
    as it is) or over the item (`per_item`); `none` changes nothing. Where all are 0, they stay 0.
    """
    if per == "none":
        return region_map
    true, wrong = _largest_entries(region_map, labels)

    def scale(values: Tensor) -> Tensor:
        """(B, *S) to (B, 1, *S)."""
        if per == "per_class":
            return largest_of_class(values, labels, num_classes)[:, None]
        largest = values.flatten(1).amax(1).clamp_(min=torch.finfo(values.dtype).tiny)
        return largest.view(-1, 1, *[1] * (labels.ndim - 1))

    true, wrong = scale(true), scale(wrong)
    return _entry_by_entry(region_map, labels, lambda z: z / true, lambda z: z / wrong)


def class_weights(
    region_map: RegionMap, labels: Tensor, num_classes: int, weights: Sequence[float]
) -> RegionMap:
    """Return the map with the wrong entries of the pixels of class m times `weights[m]` (section 3.2).

    "High values in z_ik for all i in class m and all k != m" emphasise class m: its pixels cost more wherever
    they are taken for another class. Raises `ValueError` for a number of weights other than that of classes.
    """
    check_class_weights(weights, num_classes)
    factors = torch.tensor(weights, dtype=torch.float32, device=labels.device)  # (K,)
    factor = factors[labels.long()][:, None]  # (B, 1, *S)
    return _entry_by_entry(region_map, labels, lambda z: z, lambda z: z * factor)


def check_class_weights(weights: Sequence[float], num_classes: int) -> None:
    """Raise `ValueError` unless there is a weight per class."""
    if len(weights) != num_classes:
        raise ValueError(
            f"class_weights: expected {num_classes} weights, one per class with the background, got "
            f"{len(weights)}"
        )


def clip(region_map: RegionMap, labels: Tensor, num_classes: int, largest: float) -> RegionMap:
    """Return the map with no weight beyond `largest` on either side of 0."""
    return _everywhere(region_map, lambda z: z.clamp(-largest, largest))


def power(region_map: RegionMap, labels: Tensor, num_classes: int, exponent: float) -> RegionMap:
    """Return `|z| ** exponent` with the sign of z."""
    return _everywhere(region_map, lambda z: z.abs().pow(exponent).copysign(z))


def anneal(region_map: RegionMap, labels: Tensor, num_classes: int, t: float) -> RegionMap:
    """Return a map between the boundary map that is given (t = 0, Eq. 3) and the RRW map (t = 1, Eq. 4).

    Wrong entries are `d ** (1 - t)`, the true one is `-d / (max d) ** t` with the largest d of its class in
    the item. As 0 ** 0 = 1, absent classes weigh 1 at t = 1, where the map is rectified. A negative distance,
    which interpolation leaves at borders, counts as 0 unless t = 0.
    """
    if t == 0:
        return region_map
    depth = _true_entries(region_map, labels).neg().clamp_(min=0)
    scale = largest_of_class(depth, labels, num_classes).pow(t)[:, None]
    annealed = _entry_by_entry(
        region_map, labels, lambda z: z.clamp(max=0) / scale, lambda z: z.clamp(min=0).pow(1 - t)
    )
    return rectified(annealed, labels, num_classes) if t == 1 else annealed


def mixed(
    region_map: RegionMap, other: RegionMap, labels: Tensor, num_classes: int, weight: float
) -> RegionMap:
    """Return `(1 - weight) * region_map + weight * other`, compact where both are."""
    if isinstance(region_map, RectifiedMap) and isinstance(other, RectifiedMap):
        return RectifiedMap(*(torch.lerp(a, b, weight) for a, b in zip(region_map, other, strict=True)))
    first, second = (
        expand(z, labels, num_classes) if isinstance(z, RectifiedMap) else z for z in (region_map, other)
    )
    return torch.lerp(first, second, weight)


def known_pixels(base_map: RegionMap) -> Tensor:
    """Return where a map that was computed before knows anything, `(B, *S)`: what it weighs at all.

    A map of a volume that is cut and turned with its image is 0 beyond the volume (`docs/maps.md`).
    """
    if isinstance(base_map, RectifiedMap):
        return (base_map.inside != 0) | (base_map.outside != 0)
    return (base_map != 0).any(1)


Change = Callable[[Tensor], Tensor]


def _everywhere(region_map: RegionMap, change: Change) -> RegionMap:
    if isinstance(region_map, RectifiedMap):
        return RectifiedMap(*map(change, region_map))
    return change(region_map)


def _entry_by_entry(region_map: RegionMap, labels: Tensor, true: Change, wrong: Change) -> RegionMap:
    """The map with its true and its wrong entries changed, both of which are given as `(B, C, *S)`."""
    if isinstance(region_map, RectifiedMap):
        inside, outside = (part[:, None] for part in region_map)
        return RectifiedMap(true(inside)[:, 0], wrong(outside)[:, 0])
    own = labels[:, None].long()
    return wrong(region_map).scatter(1, own, true(region_map.gather(1, own)))


def _true_entries(region_map: RegionMap, labels: Tensor) -> Tensor:
    if isinstance(region_map, RectifiedMap):
        return region_map.inside
    return region_map.gather(1, labels[:, None].long())[:, 0]


def _largest_entries(region_map: RegionMap, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The absolute true entry of each pixel and the largest of its wrong ones, `(B, *S)`."""
    true = _true_entries(region_map, labels).abs()
    if isinstance(region_map, RectifiedMap):
        return true, region_map.outside.abs()
    return true, region_map.scatter(1, labels[:, None].long(), 0.0).abs().amax(1)
