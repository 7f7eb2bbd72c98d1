"""What any loss makes of a prediction, as a region-wise map: the weight of each class beside the true one."""

from collections.abc import Callable

import torch
from torch import Tensor


def relative_weights(loss: Callable[[Tensor, Tensor], Tensor], softmax: Tensor, labels: Tensor) -> Tensor:
    """Weights `(B, K, *S)` of a loss at a prediction, each less that of the pixel's true class.

    `softmax` `(B, K, *S)` has no zeros, `labels` are integers `(B, *S)`. By Eq. 2 of the region-wise paper
    the gradient at the logits is `g_k = p_k (z_k - m)`; so `z_k - z_y = g_k / p_k - g_y / p_y`, here times
    the number of weights: for a region-wise loss the differences in its map, whatever the prediction. A class
    that weighs less than the true one has a negative number.
    """
    logits = softmax.log().requires_grad_()
    (slope,) = torch.autograd.grad(loss(logits, labels), logits)
    weights = slope * softmax.numel() / softmax  # z_k - m
    return (weights - weights.gather(1, labels[:, None])).detach()
