"""Compound losses: an overlap and a cross entropy at once.

The Dice term is MONAI's, `D = mean_{b,k} [1 - (2 TP + 1e-5) / (2 TP + FP + FN + 1e-5)]`, in which an absent
class that is predicted nowhere is perfect; `include_background=False` leaves class 0 out of it, and out of it
only. Arguments, results and errors are those of `rwseg.losses.region`.
"""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from rwseg.core.validation import class_indices
from rwseg.losses.base import RegionMap, full_precision, pixel_cross_entropy
from rwseg.losses.classes import class_masks, weight_tensor
from rwseg.losses.distribution import LOG_EPSILON, TopKLoss, check_gamma, pixel_class_weights
from rwseg.losses.region import finite_power, monai_loss


@final
class DiceCELoss(nn.Module):
    """Dice + cross entropy: the overlap of each class and the per-pixel cross entropy.

    `D + mean_i w_y CE_i`, `w` the `class_weights` (None: 1). Taghanaki et al., "Combo loss", Computerized
    Medical Imaging and Graphics 2019, with one weight per class for their beta, which weighs foreground
    against background, and both terms counting once, as in nnU-Net (Isensee et al., 2018). Raises
    `ValueError` for weights that do not fit.
    """

    map_name = None
    rectified = False
    weights: Tensor | None

    def __init__(self, include_background: bool = True, class_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.dice = monai_loss(
            "DiceLoss", include_background=include_background, softmax=True, to_onehot_y=True
        )
        self.register_buffer("weights", weight_tensor(class_weights), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items."""
        labels = class_indices(logits, labels)
        pixels = pixel_cross_entropy(logits, labels)
        if self.weights is not None:
            pixels = pixels * pixel_class_weights(self.weights, logits, labels)
        dice: Tensor = self.dice(full_precision(logits), labels[:, None])
        return dice + pixels.mean()


@final
class DiceFocalLoss(nn.Module):
    """Dice + focal loss: the overlap of each class and the pixels that are still wrong.

    `D + mean_i [-w_y (1 - p_iy) ** gamma log p_iy]`, `w` the `class_weights` (None: 1). Zhu et al.,
    "AnatomyNet", Medical Physics 2019. MONAI's focal term is that of a sigmoid per class; this is the
    softmax's, and unlike `FocalLoss` it has no constant in the logarithm. Raises `ValueError` for a `gamma`
    outside [0, inf) and weights that do not fit.
    """

    map_name = None
    rectified = False
    weights: Tensor | None

    def __init__(
        self,
        gamma: float = 2.0,
        include_background: bool = True,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        check_gamma(gamma)
        self.gamma = gamma
        self.dice = monai_loss(
            "DiceLoss", include_background=include_background, softmax=True, to_onehot_y=True
        )
        self.register_buffer("weights", weight_tensor(class_weights), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items."""
        labels = class_indices(logits, labels)
        pixels = pixel_cross_entropy(logits, labels)
        # 1 - p by expm1: exact near p = 1. The constant keeps the slope of a root, gamma < 1, finite there.
        focal = (LOG_EPSILON - torch.expm1(-pixels)) ** self.gamma * pixels
        if self.weights is not None:
            focal = focal * pixel_class_weights(self.weights, logits, labels)
        dice: Tensor = self.dice(full_precision(logits), labels[:, None])
        return dice + focal.mean()


@final
class DiceTopKLoss(nn.Module):
    """Dice + TopK cross entropy: the overlap of each class and the worst pixels of each image.

    `D` + the mean of the `percent` % largest `CE_i` of an item. Ma et al., "Loss odyssey in medical image
    segmentation", Medical Image Analysis 2021. Raises `ValueError` for a `percent` outside (0, 100].
    """

    map_name = None
    rectified = False

    def __init__(self, percent: float = 10.0, include_background: bool = True) -> None:
        super().__init__()
        self.dice = monai_loss(
            "DiceLoss", include_background=include_background, softmax=True, to_onehot_y=True
        )
        self.topk = TopKLoss(percent)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items."""
        labels = class_indices(logits, labels)
        topk: Tensor = self.topk(logits, labels)
        dice: Tensor = self.dice(full_precision(logits), labels[:, None])
        return dice + topk


@final
class ExponentialLogarithmicLoss(nn.Module):
    """Exponential logarithmic loss: roots of the logarithms of Dice and of the probabilities.

    `0.8 mean_{b,k} (-ln Dice_k) ** gamma + 0.2 mean_i w_y (-ln p_iy) ** gamma`, `Dice_k = (2 TP + 1) /
    (2 TP + FP + FN + 1)`. Wong et al., "3D segmentation with exponential logarithmic loss for highly
    unbalanced object sizes", MICCAI 2018. A straight line where a logarithm is below 1e-6 keeps the
    gradients finite. `class_weights` are the paper's w (None: 1), there `sqrt(sum_l f_l / f_k)` of the label
    frequencies f in the training data. Raises `ValueError` for numbers that are not positive and finite and
    for class weights that do not fit.
    """

    map_name = None
    rectified = False
    weights: Tensor | None

    def __init__(
        self,
        gamma: float = 0.3,
        dice_weight: float = 0.8,
        ce_weight: float = 0.2,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not all(0 < number < math.inf for number in (gamma, dice_weight, ce_weight)):
            raise ValueError(
                "expected gamma, dice_weight and ce_weight to be positive and finite, got "
                f"gamma={gamma}, dice_weight={dice_weight}, ce_weight={ce_weight}"
            )
        self.gamma, self.dice_weight, self.ce_weight = gamma, dice_weight, ce_weight
        self.register_buffer("weights", weight_tensor(class_weights), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items."""
        labels = class_indices(logits, labels)
        pixels = finite_power(pixel_cross_entropy(logits, labels), self.gamma)
        if self.weights is not None:
            pixels = pixels * pixel_class_weights(self.weights, logits, labels)
        classes = finite_power(_minus_log_dice(logits, labels), self.gamma)
        return self.dice_weight * classes.mean() + self.ce_weight * pixels.mean()


def _minus_log_dice(logits: Tensor, labels: Tensor) -> Tensor:
    """Return `-ln Dice_k` with a smoothing of 1, `(B, K)`, as `ln [1 + (FP + FN) / (2 TP + 1)]`.

    Neither end cancels: in a large image an absent class has a Dice so small that `1 - Dice` rounds to 1.
    """
    p = torch.softmax(full_precision(logits), dim=1).flatten(2)  # (B, K, N)
    y = class_masks(labels, p.shape[1]).to(p.dtype)  # (B, K, N)
    return torch.log1p((p - y).abs().sum(-1) / (2 * (p * y).sum(-1) + 1))
