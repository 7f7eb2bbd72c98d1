"""What losses share that treat classes apart: masks, weights and the mean over the classes that count."""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn


def class_masks(labels: Tensor, num_classes: int) -> Tensor:
    """Return which pixel belongs to which class, boolean `(B, K, N)`, of integer labels `(B, *S)`."""
    classes = torch.arange(num_classes, device=labels.device)[:, None]
    return labels.flatten(1)[:, None] == classes


def one_hot(labels: Tensor, p: Tensor) -> Tensor:
    """Return `class_masks` as numbers of the type of `p`, `(B, K, N)`, for probabilities `p` of that shape.

    Sums and products with them cost a fraction of those with a mask, which is converted each time.
    """
    return torch.zeros_like(p, requires_grad=False).scatter_(1, labels.flatten(1)[:, None].long(), 1.0)


def predicted_classes(p: Tensor) -> Tensor:
    """Return the class of the largest entry of `p` (B, K, *S), the first of equal ones, integer `(B, *S)`.

    This is `p.argmax(1)`. On the CPU that walks the classes pixel by pixel and takes many times as long as
    comparing whole channels.
    """
    if p.device.type != "cpu":
        return p.argmax(1)
    largest = p[:, 0].clone()
    classes = torch.zeros(largest.shape, dtype=torch.int32)
    for k in range(1, p.shape[1]):
        classes.masked_fill_(p[:, k] > largest, k)
        torch.maximum(largest, p[:, k], out=largest)
    return classes


def weight_tensor(class_weights: Sequence[float] | None) -> Tensor | None:
    """Return one float32 weight per class (None: None); `ValueError` for weights that cannot be meant."""
    if class_weights is None:
        return None
    weights = [float(weight) for weight in class_weights]
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise ValueError(f"class_weights: expected finite weights >= 0, not all of them 0, got {weights}")
    return torch.tensor(weights)


def check_weight_count(weights: Tensor, count: int, classes: str = "class") -> None:
    """Raise `ValueError` unless there is one weight for each of `count` classes."""
    if len(weights) != count:
        raise ValueError(f"class_weights: expected {count} values (one per {classes}), got {len(weights)}")


@final
class ClassMean(nn.Module):
    """The mean over classes, `sum_k w_k x_k / sum_k w_k`.

    `include_background=False` leaves class 0 out; `class_weights` holds one weight per class that is left
    (None: 1), `ValueError` for a negative one.
    """

    weights: Tensor | None

    def __init__(self, include_background: bool = True, class_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.include_background = include_background
        self.register_buffer("weights", weight_tensor(class_weights), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Return the means `(B,)` of values `(B, K)`; `ValueError` for a wrong number of weights."""
        counted = values if self.include_background else values[:, 1:]
        if self.weights is None:
            return counted.mean(1)
        classes = "class" if self.include_background else "class without the background"
        check_weight_count(self.weights, counted.shape[1], classes)
        weights = self.weights.to(counted)
        return (counted * weights).sum(1) / weights.sum()
