"""Closed-form gradients of one pixel's loss with respect to its logits.

Valverde and Tohka, "Region-wise loss for biomedical image segmentation", Pattern Recognition 136 (2023).
Nothing is divided by pixels, classes or items here: multiply by `1 / (B N K)` to compare with
`rwseg.losses.region_wise_loss`, by `1 / (B N)` for cross entropy. `softmax` and `z` are floating tensors
that broadcast, with the K classes along `dim`.
"""

import torch
from torch import Tensor


def region_wise_gradient(softmax: Tensor, z: Tensor, dim: int = -1) -> Tensor:
    """Return `p_k sum_l p_l (z_k - z_l)` (Eq. 2), the gradient of `sum_k p_k z_k`.

    Written with differences, as here, every term of a rectified map has its right sign, so that rounding
    cannot make a wrong one; `p_k (z_k - sum_l p_l z_l)`, which automatic differentiation computes, can.
    Raises `ValueError` where softmax and map have different numbers of classes.

    >>> region_wise_gradient(torch.tensor([0.1, 0.1, 0.2, 0.6]), torch.tensor([0.0, 0.0, 0.0, -0.6]))
    tensor([ 0.0360,  0.0360,  0.0720, -0.1440])
    """
    if softmax.shape[dim] != z.shape[dim]:
        raise ValueError(
            f"z: expected {softmax.shape[dim]} classes along axis {dim}, as the softmax of shape "
            f"{tuple(softmax.shape)} has, got shape {tuple(z.shape)}"
        )
    pull = torch.zeros_like(softmax * z)
    for other in range(softmax.shape[dim]):
        pull += softmax.narrow(dim, other, 1) * (z - z.narrow(dim, other, 1))
    return softmax * pull


def squared_region_wise_gradient(softmax: Tensor, z: Tensor, dim: int = -1) -> Tensor:
    """Return `2 p_k sum_l p_l (p_k z_k - p_l z_l)`, the gradient of `sum_k p_k**2 z_k` (Prop. 3).

    This is Eq. 2 with `2 p z` in the place of z. The weights that the logits feel are therefore unequal
    where those of the map are equal: rectifying a Hausdorff map does not make its signs right for K > 2.
    """
    return region_wise_gradient(softmax, 2 * softmax * z, dim)


def two_class_gradient(softmax: Tensor, z: Tensor, z_other: Tensor) -> Tensor:
    """Return `p (1 - p) (z - z_other)` (Eq. 5): two classes, at the logit whose probability is `softmax`.

    The same for p and 1 - p, and largest at p = 1/2: a pixel that is surely wrong hardly moves.
    """
    return softmax * (1 - softmax) * (z - z_other)


def cross_entropy_gradient(softmax: Tensor, labels: Tensor, dim: int = -1) -> Tensor:
    """Return `p - y`, the gradient of `-log p_y`; integer labels have the softmax's shape without `dim`."""
    minus = -torch.ones_like(softmax.narrow(dim, 0, 1))
    return softmax.scatter_add(dim, labels.long().unsqueeze(dim), minus)
