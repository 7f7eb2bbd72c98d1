"""Small images with labels that the battery tries losses on."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Shape = tuple[int, ...]

SHAPES: Mapping[str, Shape] = {"2d": (3, 9, 14), "3d": (2, 4, 6, 9)}
"""`(B, *S)`: no two axes are of one length."""

CERTAINTY = 4.0
"""Logit of a prediction above the others: a probability of 0.95 among four classes."""


def fillings(classes: int) -> tuple[int | None, ...]:
    """Kinds of labels: a scene, background alone, one structure alone."""
    return (None, 0, max(1, classes - 2))


def called(filling: int | None) -> str:
    """What a kind of labels is called."""
    return "a scene with an absent class" if filling is None else f"an image of class {filling} alone"


def make(shape: tuple[int, ...], classes: int, filling: int | None = None) -> tuple[Tensor, Tensor]:
    """Return random logits `(B, K, *S)`, and labels `(B, *S)`.

    These are boxes of classes 1 and 2 in the background, or one class alone; the last class is absent, of two
    classes from the last item in 2D.
    """
    logits = 2 * torch.randn(shape[0], classes, *shape[1:], generator=torch.Generator().manual_seed(2))
    labels = torch.full(shape, filling or 0)
    if filling is None:
        inner = tuple(slice(1, n - 1) for n in shape[1:])
        core = tuple(slice(2, n // 2 + 1) for n in shape[1:])
        labels[(slice(0, 2), *inner)] = 1
        labels[(slice(0, 1), *core)] = min(2, max(1, classes - 2))
    return logits, labels


def predicting(labels: Tensor, classes: int, certainty: float = CERTAINTY) -> Tensor:
    """Return logits `(B, K, *S)` of a prediction that is `labels`, `certainty` above the other classes."""
    return certainty * F.one_hot(labels, classes).movedim(-1, 1).float()
