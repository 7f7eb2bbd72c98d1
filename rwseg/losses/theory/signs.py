"""Signs of a gradient: which pixels push classes up that they should push down.

A step against the gradient raises the logits of negative components, so a pixel of class y is right when
component y is negative and no other is (section 3.4). `docs/theory.md` has the proofs.

When is a component negative, and not zero with a rounding error? Differentiating softmax subtracts numbers
of the size of the pixel's weights, which leaves an error of about `machine epsilon * largest weight`, however
small the gradient itself is. So a component has a sign only beyond `tolerance` times the largest component of
its pixel; and a pixel whose largest component is within `tolerance` times the largest of the whole tensor (a
saturated softmax, a weight of 0) counts as having no gradient: none of its components is negative, and it is
not wrong.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rwseg.losses.theory.gradients import region_wise_gradient

TOLERANCE = 1e-4
"""About 800 times float32's machine epsilon: enough for weights that differ a few hundredfold in a batch."""


def negative_components(gradient: Tensor, dim: int = -1, tolerance: float = TOLERANCE) -> Tensor:
    """Return the number of negative components along `dim`, int64 in the gradient's shape without `dim`.

    Components within `tolerance` of zero are not counted: see the module. 0 counts every negative number.
    """
    negative, _ = _negative(gradient, dim, tolerance)
    return negative.sum(dim)


def wrong_sign_pixels(gradient: Tensor, labels: Tensor, tolerance: float = TOLERANCE) -> Tensor:
    """Return a bool mask `(B, *S)`: pixels whose true class is not pushed up, or whose other classes are.

    `gradient` is that of a loss with respect to the logits, `(B, K, *S)`; `labels` are integers `(B, *S)`.
    Pixels without a gradient are not wrong; the mask of a gradient that is not finite means nothing. Raises
    `ValueError` for shapes that do not fit.
    """
    expected = (gradient.shape[0], *gradient.shape[2:])
    if gradient.ndim < 3 or tuple(labels.shape) != expected:
        raise ValueError(
            f"expected gradient (B, K, *S) and labels (B, *S), got gradient {tuple(gradient.shape)} "
            f"and labels {tuple(labels.shape)}"
        )
    negative, active = _negative(gradient, 1, tolerance)
    return active & (negative != class_mask(labels, gradient.shape[1])).any(1)


def map_wrong_sign_pixels(softmax: Tensor, region_map: Tensor, labels: Tensor) -> Tensor:
    """Return `wrong_sign_pixels` of Eq. 2: softmax and dense map both `(B, K, *S)`, labels `(B, *S)`."""
    return wrong_sign_pixels(region_wise_gradient(softmax, region_map, dim=1), labels)


def class_mask(labels: Tensor, num_classes: int) -> Tensor:
    """Return one-hot bool `(B, K, *S)` of integer labels `(B, *S)`."""
    classes = torch.arange(num_classes, device=labels.device).view(-1, *[1] * (labels.ndim - 1))
    return labels[:, None] == classes


def right_for_every_softmax(z: Tensor, labels: Tensor, atol: float = 1e-6) -> Tensor:
    """Return where weights have right signs whatever the prediction: bool `(...)` of z `(..., K)`.

    That is where the K - 1 wrong classes weigh the same number c and the true class y no more than c:

    - then Eq. 2 is `p_y (1 - p_y) (z_y - c) <= 0` for y and `p_k p_y (c - z_y) >= 0` for every other k;
    - if two wrong classes weighed `z_a < z_b`, a softmax near class b would have a mean weight near `z_b`,
      and `p_a (z_a - mean) < 0` would push the wrong class a up; and `z_y > c` pushes class y down.

    The signs of z itself do not matter, because Eq. 2 holds only differences. `z_y <= 0 <= c`, what
    `rwseg.maps.is_rectified` asks for, is sufficient; section 3.3 prints it the wrong way round, as
    `z_y >= 0 >= c`. `labels` are integers `(...)`; weights that differ by at most `atol` count as equal.
    """
    index = labels.long().unsqueeze(-1)
    above_true = z - z.gather(-1, index)  # (..., K)
    lowest = above_true.scatter(-1, index, torch.inf).amin(-1)
    highest = above_true.scatter(-1, index, -torch.inf).amax(-1)
    return (highest - lowest <= atol) & (lowest >= -atol)


def wrong_sign_share(z: Sequence[float], label: int) -> float:
    """Return the share of all softmax vectors of three classes that get a wrong sign from the weights `z`.

    Let the true class weigh least, y <= a <= b. Wrong are the vectors whose mean weight exceeds a. In the
    triangle of all vectors the line where it equals a runs through the corner of class a, so the share of
    the triangle is that of the opposite edge: `(b - a) / (b - y)`. Raises `ValueError` for other than three
    weights and for a true class that does not weigh least.
    """
    if len(z) != 3 or not 0 <= label < 3 or z[label] > min(z):
        raise ValueError(
            f"expected three weights, the least of them at the true class, got z={list(z)} and label={label}"
        )
    true, low, high = sorted(z)
    return (high - low) / (high - true) if high > true else 0.0


def _negative(gradient: Tensor, dim: int, tolerance: float) -> tuple[Tensor, Tensor]:
    """Return which components are negative, `(..., K, ...)`, and which pixels have a gradient."""
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance: expected a share of the largest component in [0, 1), got {tolerance}")
    gradient = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
    largest = gradient.abs().amax(dim, keepdim=True)
    active = largest > tolerance * largest.amax()
    negative = (gradient < -tolerance * largest) & active
    return negative, active.squeeze(dim)
