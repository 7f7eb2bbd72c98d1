"""Region-based losses that are no plain ratio of sums: the Lovász extension and the Wasserstein distance.

Arguments, results and errors are those of `rwseg.losses.region`.
"""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from rwseg.core.validation import class_indices
from rwseg.losses.base import RegionMap, full_precision
from rwseg.losses.classes import class_masks

WASSERSTEIN_EPSILON = 1e-5


@final
class LovaszSoftmaxLoss(nn.Module):
    """Lovász-Softmax loss: the convex closure of the Jaccard loss of the hard prediction.

    `sum_i e_(i) [J(i) - J(i - 1)]` per class: the errors `e_i = |y_ik - p_ik|` from the largest down, each
    times what the Jaccard loss `J(n)` gains when the n worst pixels are wrong; the mean over the classes
    present in the item. Berman et al., "The Lovász-Softmax loss", CVPR 2018.
    """

    map_name = None
    rectified = False

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items."""
        labels = class_indices(logits, labels)
        p = torch.softmax(full_precision(logits), dim=1).flatten(2)  # (B, K, N)
        y = class_masks(labels, p.shape[1])  # (B, K, N)
        errors, order = (p - y.to(p.dtype)).abs().sort(dim=-1, descending=True)
        per_class = (errors * _jaccard_gains(y.gather(-1, order)).to(p.dtype)).sum(-1)  # (B, K)
        present = y.any(-1)
        return ((per_class * present).sum(1) / present.sum(1)).mean()


@final
class GeneralizedWassersteinDiceLoss(nn.Module):
    """Generalised Wasserstein Dice loss: confusing two classes costs what the distance between them says.

    `1 - 2 T / (2 T + sum_i W_i)`, `W_i = sum_k M_yk p_ik` the Wasserstein distance of a pixel's softmax to
    its class y, `T = sum_{i not background} (1 - W_i)`, with 1e-5 above and below the bar. Fidon et al.,
    "Generalised Wasserstein Dice score for imbalanced multi-class segmentation", BrainLes 2017. `distances`
    is the K x K matrix M, scaled to a maximum of 1 (None: 1 between any two classes). An image of background
    alone has T = 0 and next to no gradient. Raises `ValueError` for a matrix that is no such thing or does
    not have the size of the logits' classes.
    """

    map_name = None
    rectified = False
    distances: Tensor | None

    def __init__(self, distances: Sequence[Sequence[float]] | None = None) -> None:
        super().__init__()
        matrix = None if distances is None else _distance_matrix(distances)
        self.register_buffer("distances", matrix, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items."""
        labels = class_indices(logits, labels)
        p = torch.softmax(full_precision(logits), dim=1).flatten(2)  # (B, K, N)
        y = labels.flatten(1).long()  # (B, N)
        distance = (self._matrix(p)[y] * p.movedim(1, -1)).sum(-1)  # (B, N)
        true = ((1 - distance) * (y > 0)).sum(1)
        score = (2 * true + WASSERSTEIN_EPSILON) / (2 * true + distance.sum(1) + WASSERSTEIN_EPSILON)
        return 1 - score.mean()

    def _matrix(self, p: Tensor) -> Tensor:
        classes = p.shape[1]
        if self.distances is None:
            return 1 - torch.eye(classes, dtype=p.dtype, device=p.device)
        if len(self.distances) != classes:
            raise ValueError(
                f"distances: expected a {classes} x {classes} matrix, one row per class of the logits, "
                f"got {len(self.distances)} rows"
            )
        return self.distances.to(p)


def _jaccard_gains(y: Tensor) -> Tensor:
    """Return `J(i) - J(i - 1)` along the last axis, for masks sorted by falling error.

    A missed pixel of the class takes one from the intersection, `1 / union`; any other one adds to the union
    u, `intersection / (u (u - 1))`. Both are exact where differences of J would cancel in single precision.
    """
    found = y.cumsum(-1)
    size = found[..., -1:]
    rank = torch.arange(1, y.shape[-1] + 1, device=y.device)
    intersection, union = size - found, size + rank - found
    grown = intersection / (union * (union - 1)).clamp(min=1)  # clamped for an absent class, u = 1
    return torch.where(y, 1 / union, grown)


def _distance_matrix(distances: Sequence[Sequence[float]]) -> Tensor:
    rows = [[float(value) for value in row] for row in distances]
    square = all(len(row) == len(rows) for row in rows)
    if not square or not all(0 <= value < math.inf for row in rows for value in row):
        raise ValueError(f"distances: expected a square matrix of finite distances >= 0, got {rows}")
    matrix = torch.tensor(rows)
    if matrix.diagonal().any() or not matrix.any():
        raise ValueError(f"distances: expected 0 on the diagonal and not everywhere, got {rows}")
    return matrix / matrix.max()
