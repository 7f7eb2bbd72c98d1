"""The stability meter's arithmetic: wrong signs in the gradient a loss gives, its terms, and lost classes.

Section 3.4 of Valverde and Tohka (2023) blames unstable training on pixels whose gradient pushes a wrong
class up. What is differentiated here is the loss alone, with respect to the logits: the network is not
involved. Nothing here waits for a GPU.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rwseg.losses import CombinedLoss, FinalMap, RegionMap, SegmentationLoss
from rwseg.losses.base import full_precision
from rwseg.losses.theory.signs import TOLERANCE, class_mask, wrong_sign_pixels


class Term(NamedTuple):
    """A term of a loss, unweighted: its value and the Euclidean norm of its gradient at the logits."""

    value: Tensor
    gradient_norm: Tensor


def wrong_signs(gradient: Tensor, labels: Tensor, tolerance: float = TOLERANCE) -> Tensor:
    """Return per class k the share of its pixels whose gradient has a wrong sign, `(K,)`, float32.

    `gradient` is that of a loss with respect to the logits, `(B, K, *S)`; labels are integers `(B, *S)`.
    Wrong is a pixel whose true class is not pushed up or whose other classes are; one without a gradient
    (weight 0, saturated softmax) is not wrong but counts among its class. `losses.theory.signs` says what
    `tolerance` calls zero, and why. NaN: a class without pixels; every class, where the gradient is not
    finite. Raises `ValueError` for shapes that do not fit.
    """
    wrong = wrong_sign_pixels(gradient, labels, tolerance)
    members = class_mask(labels, gradient.shape[1])  # (B, K, *S)
    pixels_of = [0, *range(2, members.ndim)]
    shares = (members & wrong[:, None]).sum(pixels_of) / members.sum(pixels_of)
    return torch.where(gradient.abs().amax().isfinite(), shares, torch.nan)


def gradient_wrong_signs(
    loss: SegmentationLoss,
    logits: Tensor,
    labels: Tensor,
    region_map: RegionMap | FinalMap | None = None,
    tolerance: float = TOLERANCE,
) -> Tensor:
    """Return `wrong_signs` of the gradient of `loss(logits, labels, region_map)`; arguments as of the loss.

    Half-precision logits are differentiated in float32: divided by the number of pixels, their gradient would
    vanish in float16.
    """
    leaf = _leaf(logits)
    with torch.enable_grad(), torch.autocast(logits.device.type, enabled=False):
        value = loss(leaf, labels, region_map)
    return wrong_signs(_gradient(value, leaf), labels, tolerance)


def loss_terms(
    loss: CombinedLoss, logits: Tensor, labels: Tensor, region_map: RegionMap | FinalMap | None = None
) -> dict[str, Term]:
    """Return value and gradient norm of each of `loss.terms`, before the strategy weighs them."""
    leaf = _leaf(logits)
    with torch.enable_grad(), torch.autocast(logits.device.type, enabled=False):
        values = loss.terms(leaf, labels, region_map)
    return {
        name: Term(value.detach(), torch.linalg.vector_norm(_gradient(value, leaf)))
        for name, value in values.items()
    }


class CollapseWatch:
    """Says which classes a network has given up: in the labels, but predicted nowhere for `patience` epochs.

    `silent` counts, per class, the epochs in a row without a prediction; it is the whole state, to be saved
    and restored with a checkpoint. An epoch whose labels lack the class says nothing about it. Raises
    `ValueError` for no class at all or a patience below 1.
    """

    def __init__(self, classes: Sequence[str], patience: int) -> None:
        if not classes or patience < 1:
            raise ValueError(
                f"expected at least one class and a patience of 1 epoch or more, "
                f"got {list(classes)} and {patience}"
            )
        self.patience = patience
        self.silent = dict.fromkeys(classes, 0)

    def update(self, reference: Mapping[str, float], predicted: Mapping[str, float]) -> list[str]:
        """Count an epoch, given voxels per class, and return the classes to warn of.

        A class is warned of when its silent epochs reach `patience`, and again at every multiple. Raises
        `ValueError` where one of the counts lacks a class or knows another.
        """
        for name, counts in (("reference", reference), ("predicted", predicted)):
            if counts.keys() != self.silent.keys():
                raise ValueError(
                    f"{name}: expected voxels of the classes {', '.join(self.silent)}, "
                    f"got {', '.join(counts)}"
                )
        warned = []
        for name in self.silent:
            if predicted[name] > 0:
                self.silent[name] = 0
            elif reference[name] > 0:
                self.silent[name] += 1
                if self.silent[name] % self.patience == 0:
                    warned.append(name)
        return warned


def _leaf(logits: Tensor) -> Tensor:
    return full_precision(logits.detach()).requires_grad_()


def _gradient(value: Tensor, leaf: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(value, leaf)
    return gradient
