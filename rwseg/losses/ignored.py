"""Pixels that nobody labelled, for losses that know nothing of them."""

import torch
from torch import Tensor

from rwseg.losses.loss_gap import CERTAIN


def without_ignored(logits: Tensor, labels: Tensor, ignore: int) -> tuple[Tensor, Tensor]:
    """Return logits and labels in which every pixel labelled `ignore` is background, predicted perfectly.

    Logits `(B, K, *S)`, labels `(B, *S)`. Such a pixel adds what a perfect prediction adds and has no
    gradient, whatever the loss; it still counts among the pixels that a mean is taken over. A region map that
    is passed along must be 0 there.
    """
    ignored = labels == ignore  # (B, *S)
    certain = torch.zeros(logits.shape[1], device=logits.device, dtype=logits.dtype)
    certain[0] = CERTAIN
    shape = (1, -1) + (1,) * (logits.ndim - 2)
    return (
        torch.where(ignored[:, None], certain.view(shape), logits),
        labels.masked_fill(ignored, 0),
    )
