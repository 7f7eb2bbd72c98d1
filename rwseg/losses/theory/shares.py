"""Shares of each class in wrong signs and in the gradient, and what annealing a map does to them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rwseg.losses.theory.gradients import region_wise_gradient
from rwseg.losses.theory.signs import wrong_sign_pixels
from rwseg.maps import Composition, RectifiedMap, boundary_map, expand, modified_map

STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)


class ClassShares(NamedTuple):
    """Per class `(K,)`: the share of its pixels with a wrong sign, and of the gradient that its pixels get.

    A class without pixels has NaN and 0.
    """

    wrong: Tensor
    gradient: Tensor


class AnnealedShares(NamedTuple):
    """Of a map annealed to `t`: pixels with a wrong sign, and the part of the gradient in the foreground."""

    t: float
    wrong: float
    wrong_foreground: float
    foreground_gradient: float


def class_shares(gradient: Tensor, labels: Tensor) -> ClassShares:
    """Return the shares of each class in a gradient at the logits `(B, K, *S)`; integer labels `(B, *S)`.

    A pixel's part of the gradient is the sum of the absolute values of its K components. What a wrong sign is
    says `wrong_sign_pixels`, and raises its `ValueError`. Without any gradient its shares are NaN; of one
    that is not finite all are.
    """
    if not gradient.abs().amax().isfinite():
        nothing = torch.full((gradient.shape[1],), torch.nan, dtype=torch.float64)
        return ClassShares(nothing, nothing)
    wrong = wrong_sign_pixels(gradient, labels).flatten().double()
    size = gradient.abs().sum(1).flatten().double()
    classes, K = labels.flatten().long(), gradient.shape[1]
    pixels = torch.bincount(classes, minlength=K)
    per_class = torch.bincount(classes, weights=size, minlength=K)
    return ClassShares(torch.bincount(classes, weights=wrong, minlength=K) / pixels, per_class / size.sum())


def annealed_shares(
    labels: Tensor, num_classes: int, steps: Sequence[float] = STEPS, spacing: Sequence[float] | None = None
) -> Iterator[AnnealedShares]:
    """Yield, for each `t` of `steps`, the shares of `[boundary, {anneal: t}]` at the uniform prediction.

    That is what an untrained network makes of integer labels `(B, *S)`: t = 0 is the boundary map, t = 1 the
    RRW map. Shares are over all pixels of all items, those of the foreground over the pixels of all classes
    but 0 (NaN where there are none). Raises the errors of `boundary_map`, and `ValueError` for a t outside
    [0, 1].
    """
    boundary = boundary_map(labels, num_classes, spacing)
    uniform = torch.full((num_classes,), 1 / num_classes, dtype=torch.float64, device=labels.device)
    for t in steps:
        composition = Composition.of(["boundary", {"anneal": t}])
        z = modified_map(composition, boundary, labels, num_classes)
        dense = expand(z, labels, num_classes) if isinstance(z, RectifiedMap) else z
        softmax = uniform.view(1, -1, *[1] * (labels.ndim - 1)).expand(dense.shape)
        gradient = region_wise_gradient(softmax, dense.double(), dim=1)
        wrong, foreground = wrong_sign_pixels(gradient, labels).double(), labels > 0
        yield AnnealedShares(
            t,
            float(wrong.mean()),
            float(wrong[foreground].mean()),
            float(class_shares(gradient, labels).gradient[1:].sum()),
        )
