"""Inputs and references in NumPy and SciPy that the tests of the losses share."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

Array = NDArray[np.float64]
SHAPES = {"2d": (3, 7, 12), "3d": (2, 4, 6, 9)}


class Example(NamedTuple):
    """Logits and labels, and in float64 their softmax and one-hot form, `(B, K, *S)`."""

    logits: Tensor
    labels: Tensor
    p: Array
    y: Array


def example(shape: tuple[int, ...], classes: int = 4, present: int = 3, seed: int = 1) -> Example:
    """Random logits, and labels of the first `present` classes, all of them in every item."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(shape[0], classes, *shape[1:], generator=generator)
    labels = torch.randint(0, present, shape, generator=generator)
    labels.flatten(1)[:, :present] = torch.arange(present)
    return Example(logits, labels, softmax(logits), one_hot(labels, classes))


def softmax(logits: Tensor) -> Array:
    scores = np.exp(logits.numpy().astype(float))
    result: Array = scores / scores.sum(1, keepdims=True)
    return result


def one_hot(labels: Tensor, classes: int) -> Array:
    return np.stack([labels.numpy() == k for k in range(classes)], axis=1).astype(float)


def counts(p: Array, y: Array) -> tuple[Array, Array, Array]:
    """TP, FP and FN per item and class."""
    pixels = tuple(range(2, p.ndim))
    return (p * y).sum(pixels), (p * (1 - y)).sum(pixels), ((1 - p) * y).sum(pixels)


def signed_distances(y: Array) -> Array:
    """Minus the distance to the nearest other class inside, plus that to the class outside, by SciPy.

    In pixels, `(B, K, *S)`; an absent class is 0.
    """
    result = np.zeros_like(y)
    for item, out in zip(y.reshape(-1, *y.shape[2:]), result.reshape(-1, *y.shape[2:]), strict=True):
        if item.any():
            out[:] = distance_transform_edt(item == 0) - distance_transform_edt(item)
    return result


def true_class(values: Array, y: Array) -> Array:
    """The entry of each pixel's own class, `(B, *S)`."""
    picked: Array = (values * y).sum(1)
    return picked
