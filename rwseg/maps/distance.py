"""Exact Euclidean distances of label maps, with empty and full masks defined.

Distances run from pixel centre to pixel centre; the image border is no boundary. Two backends compute them,
exact both:

- `edt`: `rwseg.maps.distance_edt`, a lower envelope in C++, for tensors on the CPU only;
- `torch`: `rwseg.maps.distance_torch`, on the device of the labels, which nothing leaves.

`backend=None` means `edt` for a tensor on the CPU and `torch` for one on any other device. Nothing else falls
back: `edt` refuses a tensor that is not on the CPU. `max_bytes` bounds the working memory of `torch`.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from rwseg.core.validation import check_labels, check_spacing
from rwseg.maps import distance_edt, distance_torch

Backend = Literal["edt", "torch"]

MOST_CLASSES = 2**31 - 1  # no bound of its own: label + 1 must fit the 32 bits given to edt


def inside_distance(
    labels: Tensor,
    spacing: Sequence[float] | None = None,
    backend: Backend | None = None,
    max_bytes: int | None = None,
) -> Tensor:
    """Return the distance of each pixel to the nearest pixel of another class, in mm.

    `labels` is an integer `(B, *S)` tensor with 2 or 3 spatial axes, `spacing` the mm per spatial axis
    (None: 1, so pixels). The result is float32 `(B, *S)` on the device of `labels`. An item of a single class
    has no other class to measure to: its distance is 1 everywhere. Raises `ValueError` for non-integer or
    negative labels, a wrong number of axes, a spacing that does not fit and an unknown or unfit backend.

    >>> inside_distance(torch.tensor([[[0, 0, 0, 1]]]))
    tensor([[[3., 2., 1., 1.]]])
    """
    check_labels(labels, MOST_CLASSES)
    steps = check_spacing(spacing, labels.ndim - 1)
    if choose_backend(labels, backend) == "edt":
        return torch.from_numpy(distance_edt.inside(labels.numpy(), steps))
    return distance_torch.inside_squared(labels, steps, max_bytes).sqrt_().nan_to_num_(posinf=1.0)


def outside_distances(
    labels: Tensor,
    num_classes: int,
    spacing: Sequence[float] | None = None,
    backend: Backend | None = None,
    max_bytes: int | None = None,
) -> Tensor:
    """Return the distance of each pixel to the nearest pixel of each class, in mm; 0 inside the class.

    Arguments and errors as in `inside_distance`, and `ValueError` for labels outside `[0, num_classes)`. The
    result is float32 `(B, K, *S)` on the device of `labels`. A class absent from an item: 0 everywhere.

    >>> outside_distances(torch.tensor([[[0, 0, 0, 1]]]), num_classes=3)[0, :, 0]
    tensor([[0., 0., 0., 1.],
            [3., 2., 1., 0.],
            [0., 0., 0., 0.]])
    """
    check_labels(labels, num_classes)
    steps = check_spacing(spacing, labels.ndim - 1)
    if choose_backend(labels, backend) == "edt":
        return torch.from_numpy(distance_edt.outside(labels.numpy(), num_classes, steps))
    distances = distance_torch.outside_squared(labels, num_classes, steps, max_bytes).sqrt_()
    return distances.nan_to_num_(posinf=0.0)


def signed_distances(
    labels: Tensor,
    num_classes: int,
    spacing: Sequence[float] | None = None,
    backend: Backend | None = None,
    max_bytes: int | None = None,
) -> Tensor:
    """Return minus the inside distance at the class of each pixel, the outside distances of the others.

    Arguments, errors and result as in `outside_distances`. No transform is spent on the inside: the nearest
    pixel of another class is the nearest of the nearest pixels of the other classes.

    >>> signed_distances(torch.tensor([[[0, 0, 0, 1]]]), num_classes=3)[0, :, 0]
    tensor([[-3., -2., -1.,  1.],
            [ 3.,  2.,  1., -1.],
            [ 0.,  0.,  0.,  0.]])
    """
    check_labels(labels, num_classes)
    steps = check_spacing(spacing, labels.ndim - 1)
    if choose_backend(labels, backend) == "edt":
        return torch.from_numpy(distance_edt.signed(labels.numpy(), num_classes, steps))
    distances = distance_torch.outside_squared(labels, num_classes, steps, max_bytes).sqrt_()
    own = labels[:, None].long()
    inside = distances.scatter_(1, own, torch.inf).amin(1, keepdim=True)
    return distances.nan_to_num_(posinf=0.0).scatter_(1, own, -inside.nan_to_num_(posinf=1.0))


def choose_backend(labels: Tensor, backend: Backend | None = None) -> Backend:
    """Return the backend that computes distances of `labels`: the one asked for, or by their device for None.

    Raises `ValueError` for an unknown backend and for `edt` with labels that are not on the CPU.
    """
    on_cpu = labels.device.type == "cpu"
    if backend is None:
        return "edt" if on_cpu else "torch"
    if backend not in get_args(Backend):
        raise ValueError(f"backend: expected one of {', '.join(get_args(Backend))} or None, got {backend!r}")
    if backend == "edt" and not on_cpu:
        raise ValueError(
            f"backend: expected labels on the CPU for 'edt', got {labels.device}; pass labels.cpu() or take "
            "backend='torch'"
        )
    return backend
