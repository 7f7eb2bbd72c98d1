"""Exact Euclidean distances of label maps on the CPU: Felzenszwalb and Huttenlocher's lower envelope in C++.

`edt` transforms each item as a whole; here stands what makes it fast for label maps:

- a class that holds most of an item is measured in the box of all other pixels alone: outside that box its
  distance is 0, and no pixel inside is nearer to one beyond than to one in the layer around the box;
- the shortest axis of a volume is laid last, because the transform walks the last axis first, and that first
  walk is the cheapest;
- as many threads as PyTorch has, where an item is large enough to feed them.

All take integer labels `(B, *S)`, which nobody checks here, and one step per spatial axis.
"""

from collections.abc import Sequence
from typing import Any

import edt
import numpy as np
import torch
from numpy.typing import NDArray

PIXELS_PER_THREAD = 20_000  # half a millisecond of work: for less, a thread costs more than it saves

Labels = NDArray[np.integer[Any]]
Distances = NDArray[np.float32]
Mask = NDArray[np.bool_]


def inside(labels: Labels, spacing: Sequence[float]) -> Distances:
    """Distance of each pixel to the nearest of another class, `(B, *S)`; 1 in an item of one class."""
    result = np.empty(labels.shape, np.float32)
    # edt takes 0 for background and measures nothing there, so every class is shifted by one.
    dtype = np.uint8 if labels.max() < 255 else np.uint32
    axes = _shortest_last(labels.shape[1:])
    steps = tuple(spacing[axis] for axis in axes)
    for item, distance in zip(labels, result, strict=True):
        shifted = np.add(item.transpose(axes), 1, dtype=dtype, casting="unsafe", order="C")
        distance.transpose(axes)[...] = _distance_to_other(shifted, steps)
    np.copyto(result, 1.0, where=np.isinf(result))
    return result


def outside(labels: Labels, num_classes: int, spacing: Sequence[float]) -> Distances:
    """Distance of each pixel to the nearest of each class, `(B, K, *S)`; 0 inside it, 0 if it is absent."""
    result = np.zeros((len(labels), num_classes, *labels.shape[1:]), np.float32)
    axes = _shortest_last(labels.shape[1:])
    steps = tuple(spacing[axis] for axis in axes)
    for item, channels in zip(labels, result, strict=True):
        turned = _turned(item, axes, num_classes)
        for k in range(num_classes):
            own = turned == k
            if own.any():
                channels[k].transpose(axes)[...] = _distance_to_class(own, steps)
    return result


def signed(labels: Labels, num_classes: int, spacing: Sequence[float]) -> Distances:
    """`outside`, and in each class minus `inside`: the least of all other classes, without a transform."""
    result = np.zeros((len(labels), num_classes, *labels.shape[1:]), np.float32)
    axes = _shortest_last(labels.shape[1:])
    steps = tuple(spacing[axis] for axis in axes)
    for item, channels in zip(labels, result, strict=True):
        turned = _turned(item, axes, num_classes)
        masks = [(k, own) for k in range(num_classes) if (own := turned == k).any()]
        distances = [_distance_to_class(own, steps) for _, own in masks]
        nearest = np.full(turned.shape, np.inf if len(masks) > 1 else 1.0, np.float32)
        for (_, own), distance in zip(masks, distances, strict=True):
            np.copyto(distance, np.inf, where=own)
            np.minimum(nearest, distance, out=nearest)
        np.negative(nearest, out=nearest)
        for (k, own), distance in zip(masks, distances, strict=True):
            np.copyto(distance, nearest, where=own)
            channels[k].transpose(axes)[...] = distance
    return result


def _turned(item: Labels, axes: tuple[int, ...], num_classes: int) -> Labels:
    """A copy with its axes in this order, of 8 bits where they do: every class is compared with it."""
    return np.ascontiguousarray(item.transpose(axes), np.uint8 if num_classes <= 256 else np.int64)


def _distance_to_class(own: Mask, spacing: tuple[float, ...]) -> Distances:
    """Distance of each pixel to the nearest where `own`, which is somewhere; 0 there. The array is new."""
    other = ~own
    # Not a bool array: edt 3.1 is up to four times slower on bool than on uint8.
    if 2 * np.count_nonzero(own) < own.size:
        return _distance_to_other(other.view(np.uint8), spacing)
    distance = np.zeros(own.shape, np.float32)
    if other.any():
        box = _with_a_layer_around(other)
        distance[box] = _distance_to_other(np.ascontiguousarray(other[box]).view(np.uint8), spacing)
    return distance


def _distance_to_other(mask: NDArray[np.uint8] | NDArray[np.uint32], spacing: tuple[float, ...]) -> Distances:
    """Distance to the nearest pixel of another value, 0 where `mask` is 0, infinite where there is none."""
    threads = max(1, min(torch.get_num_threads(), mask.size // PIXELS_PER_THREAD))
    distance: Distances = edt.edt(mask, anisotropy=spacing, parallel=threads)
    return distance


def _with_a_layer_around(mask: Mask) -> tuple[slice, ...]:
    """The bounding box of a mask that is not empty, one pixel wider on each side, within the array."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        occupied = np.flatnonzero(mask.any(axis=others))
        box.append(slice(max(0, int(occupied[0]) - 1), int(occupied[-1]) + 2))
    return tuple(box)


def _shortest_last(shape: Sequence[int]) -> tuple[int, ...]:
    """The axes of a volume, the shortest last; those of a slice as they are, where it makes no difference."""
    if len(shape) < 3:
        return tuple(range(len(shape)))
    return tuple(sorted(range(len(shape)), key=lambda axis: -shape[axis]))
