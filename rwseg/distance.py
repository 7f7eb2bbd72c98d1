"""Exact Euclidean distances of label maps, with empty and full masks defined.

Distances run from pixel centre to pixel centre; the image border is no boundary. The work is done on the
CPU by `edt` (Felzenszwalb and Huttenlocher's lower envelope; all classes of an item in one pass): a tensor
on another device is copied to the host and its distances are copied back.
"""

from collections.abc import Sequence

import edt
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rwseg.checks import check_labels, check_spacing

MOST_CLASSES = 2**31 - 1  # no bound of its own: label + 1 must fit the 32 bits given to edt


def inside_distance(labels: Tensor, spacing: Sequence[float] | None = None) -> Tensor:
    """Return the distance of each pixel to the nearest pixel of another class, in mm.

    `labels` is an integer `(B, *S)` tensor with 2 or 3 spatial axes, `spacing` the mm per spatial axis
    (None: 1). The result is float32 `(B, *S)` on the device of `labels`. An item of a single class has no
    other class to measure to: its distance is 1 everywhere. Raises `ValueError` for non-integer or negative
    labels, a wrong number of axes and a spacing that does not fit.

    >>> inside_distance(torch.tensor([[[0, 0, 0, 1]]]))
    tensor([[[3., 2., 1., 1.]]])
    """
    check_labels(labels, MOST_CLASSES)
    steps = check_spacing(spacing, labels.ndim - 1)
    # edt takes 0 for background and measures nothing there, so every class is shifted by one.
    shifted = labels.cpu().numpy().astype(np.uint32) + np.uint32(1)
    distances = np.stack([_distance_to_other(item, steps) for item in shifted])
    return torch.from_numpy(distances).to(labels.device)


def outside_distances(labels: Tensor, num_classes: int, spacing: Sequence[float] | None = None) -> Tensor:
    """Return the distance of each pixel to the nearest pixel of each class, in mm; 0 inside the class.

    `labels` is an integer `(B, *S)` tensor with 2 or 3 spatial axes, `spacing` the mm per spatial axis
    (None: 1). The result is float32 `(B, K, *S)` on the device of `labels`. A class absent from an item: 0
    everywhere. Raises `ValueError` for labels outside `[0, num_classes)` and a spacing that does not fit.

    >>> outside_distances(torch.tensor([[[0, 0, 0, 1]]]), num_classes=3)[0, :, 0]
    tensor([[0., 0., 0., 1.],
            [3., 2., 1., 0.],
            [0., 0., 0., 0.]])
    """
    check_labels(labels, num_classes)
    steps = check_spacing(spacing, labels.ndim - 1)
    host = labels.cpu().numpy()
    distances = np.zeros((len(host), num_classes, *host.shape[1:]), np.float32)
    for item, channels in zip(host, distances, strict=True):
        for k in np.unique(item):
            # Not a bool array: edt 3.1 is four times slower on bool than on uint8.
            channels[k] = _distance_to_other((item != k).astype(np.uint8), steps)
    return torch.from_numpy(distances).to(labels.device)


def _distance_to_other(
    mask: NDArray[np.uint8] | NDArray[np.uint32], spacing: tuple[float, ...]
) -> NDArray[np.float32]:
    """Distance to the nearest pixel of another value, 0 where `mask` is 0, 1 where no other value exists."""
    distance: NDArray[np.float32] = edt.edt(np.ascontiguousarray(mask), anisotropy=spacing, parallel=1)
    distance[np.isinf(distance)] = 1.0
    return distance
