"""A loss over several resolutions: nnU-Net's deep supervision as the region-wise paper's code uses it."""

from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import Any, TypeVar

import torch
from torch import Tensor

from rwseg.core.validation import without_channel
from rwseg.losses.base import FinalMap, RegionMap
from rwseg.losses.foreign import as_segmentation_loss
from rwseg.losses.ignored import without_ignored
from rwseg.losses.map_weights import weighted_map
from rwseg.maps import RectifiedMap

Target = TypeVar("Target", Tensor, RectifiedMap, RegionMap)


def head_weights(num_heads: int, deepest_counts: bool = False) -> tuple[float, ...]:
    """Return the heads' weights, full resolution first: `2 ** -i`, the last one 0, then scaled to sum 1.

    That is nnU-Net's rule; with `deepest_counts` the last one weighs `2 ** -i` too. A single head weighs 1.
    Raises `ValueError` for fewer than one head.

    >>> head_weights(3)
    (0.6666666666666666, 0.3333333333333333, 0.0)
    """
    if num_heads < 1:
        raise ValueError(f"num_heads: expected at least 1, got {num_heads}")
    weights = [2.0**-i for i in range(num_heads if deepest_counts else max(1, num_heads - 1))]
    return tuple(weight / sum(weights) for weight in weights) + (0.0,) * (num_heads - len(weights))


def subsample(target: Target, strides: Sequence[int]) -> Target:
    """Return labels or a map at a coarser grid: of every `stride` pixels the one at `stride // 2`.

    One stride per trailing axis. That is resizing of order 0 (the nearest pixel) as the published code does
    it; of an even number the pixel behind the middle. At the end of an axis that its stride does not divide,
    a window counts where it has that pixel.
    """
    index: tuple[EllipsisType | slice, ...] = (
        ...,
        *(slice(stride // 2, None, stride) for stride in strides),
    )
    if isinstance(target, RectifiedMap):
        return RectifiedMap(target.inside[index], target.outside[index])
    return target[index]


def supervised_loss(
    loss: Callable[..., Any],
    outputs: Sequence[Tensor],
    labels: Tensor,
    region_map: RegionMap | None = None,
    *,
    weights: Sequence[float],
    ignore: int | None = None,
    map_weights: Tensor | None = None,
) -> Tensor:
    """Return `sum_i weights_i loss(outputs_i, targets_i)`.

    `loss` is any callable `(logits, labels) -> scalar`; `outputs` are logits `(B, K, *S_i)`, full resolution
    first; labels `(B, *S)` or `(B, 1, *S)` and the map, dense or compact, are subsampled to each head's grid.
    Without a map each scale computes its own from its own labels, as the published code does. Heads of weight
    0 are not computed. `map_weights`, `(B,)` or `(B, *S)`, scale the map (`rwseg.losses.map_weights`), so not
    the partner of a `CombinedLoss`. Pixels labelled `ignore` count as predicted perfectly. Raises
    `ValueError` for weights that are not one per output, or all 0, and for a head whose grid does not divide
    that of the labels.
    """
    if len(outputs) != len(weights) or not any(weights):
        raise ValueError(
            f"weights: expected one per output ({len(outputs)}), not all 0, got {tuple(weights)}; "
            "see head_weights"
        )
    loss, labels = as_segmentation_loss(loss), without_channel(labels, outputs[0])
    values = []
    for logits, weight in zip(outputs, weights, strict=True):
        if weight == 0:
            continue
        strides = _strides(labels, logits)
        coarse = None if region_map is None else subsample(region_map, strides)
        target = subsample(labels, strides)
        if ignore is not None:
            logits, target = without_ignored(logits, target, ignore)
        given: RegionMap | FinalMap | None = coarse
        if map_weights is not None:
            own = map_weights if map_weights.ndim == 1 else subsample(map_weights, strides)
            given = weighted_map(loss, target, logits.shape[1], coarse, own)
        values.append(weight * loss(logits, target, given))
    return torch.stack(values).sum()


def _strides(labels: Tensor, logits: Tensor) -> tuple[int, ...]:
    full, grid = tuple(labels.shape[1:]), tuple(logits.shape[2:])
    if len(full) != len(grid) or any(size % part for size, part in zip(full, grid, strict=True)):
        raise ValueError(f"outputs: expected a grid that divides the labels' {full}, got a head of {grid}")
    return tuple(size // part for size, part in zip(full, grid, strict=True))
