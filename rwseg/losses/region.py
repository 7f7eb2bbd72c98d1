"""Region-based losses: overlaps of the prediction with each class.

With softmax `p` and one-hot labels `y` of an item, class k has `TP = sum_i p_ik y_ik`, `FP = sum_i p_ik
(1 - y_ik)` and `FN = sum_i (1 - p_ik) y_ik`. All take logits `(B, K, *S)` and integer labels `(B, *S)`,
return the mean over the items (and over the classes, unless said otherwise), do not look at a given map, and
raise `ValueError` for shapes or types that do not fit. `include_background=False` leaves class 0 out: an item
without foreground then teaches next to nothing. `class_weights` holds one weight per class that is left
(None: 1).

MONAI computes what MONAI has. Its smoothing of 1e-5 makes an absent class that is predicted nowhere perfect.
"""

import math
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from rwseg.core.validation import class_indices
from rwseg.losses.base import RegionMap, full_precision
from rwseg.losses.classes import ClassMean, class_masks, one_hot

DICE_EPSILON = 1e-6
POWER_EPSILON = 1e-6
# Generalised Dice adds up terms of the size 1 / pixels: a larger constant would drown those of a volume.
GENERALIZED_EPSILON = 1e-12


@final
class DiceLoss(nn.Module):
    """Dice loss: one minus the overlap, twice the intersection over the sum of the sizes.

    `1 - mean_{b,k} [2 sum_i p y / (sum_i (p + y) + 1e-6)]`. Milletari et al., "V-Net", 3DV 2016, as in the
    published code of Valverde and Tohka, 2023. Nothing is added to the numerator: a class absent from an item
    scores 0, so the loss cannot fall below the share of absent classes, and pixels wrongly given to such a
    class are punished only through the other classes.
    """

    map_name = None
    rectified = False

    def __init__(self, include_background: bool = True, class_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.over_classes = ClassMean(include_background, class_weights)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items and classes."""
        labels = class_indices(logits, labels)
        p = torch.softmax(full_precision(logits), dim=1).flatten(2)  # (B, K, N)
        y = one_hot(labels, p)  # (B, K, N)
        overlap = (p * y).sum(-1)
        per_class: Tensor = self.over_classes(2 * overlap / (p.sum(-1) + y.sum(-1) + DICE_EPSILON))
        return 1 - per_class.mean()


@final
class GeneralizedDiceLoss(nn.Module):
    """Generalised Dice loss: one overlap of all classes, each weighing the inverse square of its size.

    `1 - 2 sum_k w_k TP_k / sum_k w_k (2 TP_k + FP_k + FN_k)`, `w_k = 1 / (sum_i y_ik)^2`; an absent class
    gets the largest weight of the others. Sudre et al., "Generalised Dice overlap as a deep learning loss
    function for highly unbalanced segmentations", DLMIA 2017.
    """

    map_name = None
    rectified = False

    def __init__(self, include_background: bool = True) -> None:
        super().__init__()
        self.monai = _generalized_dice(include_background)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items."""
        return per_class(self.monai, logits, labels).mean()


@final
class PenaltyGeneralizedDiceLoss(nn.Module):
    """Penalty generalised Dice loss: generalised Dice bent so that a poor overlap is pushed harder.

    `GD / (1 + k (1 - GD))` with GD the generalised Dice loss of the item; k = 0 is that loss. Yang et al.,
    "Major vessel segmentation on X-ray coronary angiography using deep networks with a novel penalty loss
    function", MIDL 2019. Raises `ValueError` for a k outside [0, inf).
    """

    map_name = None
    rectified = False

    def __init__(self, k: float = 2.5, include_background: bool = True) -> None:
        super().__init__()
        if not 0 <= k < math.inf:
            raise ValueError(f"k: expected a penalty in [0, inf), got {k}")
        self.k = k
        self.monai = _generalized_dice(include_background)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items."""
        loss = per_class(self.monai, logits, labels)
        return (loss / (1 + self.k * (1 - loss))).mean()


@final
class IoULoss(nn.Module):
    """IoU loss: one minus intersection over union.

    `1 - mean_{b,k} TP / (TP + FP + FN)`. Rahman and Wang, "Optimizing intersection-over-union in deep neural
    networks for image segmentation", ISVC 2016; per class, as the Dice loss.
    """

    map_name = None
    rectified = False

    def __init__(self, include_background: bool = True, class_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.monai = monai_loss("DiceLoss", jaccard=True, softmax=True, to_onehot_y=True, reduction="none")
        self.over_classes = ClassMean(include_background, class_weights)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items and classes."""
        loss: Tensor = self.over_classes(per_class(self.monai, logits, labels)).mean()
        return loss


@final
class TverskyLoss(nn.Module):
    """Tversky loss: an overlap that prices false positives and false negatives apart.

    `1 - mean_{b,k} TP / (TP + alpha FP + beta FN)`; 1/2 and 1/2 is Dice, 1 and 1 is IoU. Salehi et al.,
    "Tversky loss function for image segmentation using 3D fully convolutional deep networks", MLMI 2017.
    Raises `ValueError` for prices that are negative, not finite or both 0.
    """

    map_name = None
    rectified = False

    def __init__(
        self,
        alpha: float = 0.3,
        beta: float = 0.7,
        include_background: bool = True,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.monai = _tversky(alpha, beta)
        self.over_classes = ClassMean(include_background, class_weights)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items and classes."""
        loss: Tensor = self.over_classes(per_class(self.monai, logits, labels)).mean()
        return loss


@final
class FocalTverskyLoss(nn.Module):
    """Focal Tversky loss: a root of the Tversky loss, so that no class is left before it is perfect.

    `mean_{b,k} (1 - TP / (TP + alpha FP + beta FN)) ** (1 / gamma)`, gamma in [1, 3]; a straight line
    where the error is below 1e-6 keeps the gradient finite. Abraham and Khan, "A novel focal Tversky loss
    function with improved attention U-Net for lesion segmentation", ISBI 2019, who weigh FN with 0.7. Raises
    `ValueError` for a gamma outside [1, inf) and for prices as `TverskyLoss` does.
    """

    map_name = None
    rectified = False

    def __init__(
        self,
        alpha: float = 0.3,
        beta: float = 0.7,
        gamma: float = 4 / 3,
        include_background: bool = True,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not 1 <= gamma < math.inf:
            raise ValueError(f"gamma: expected a root of a finite degree of 1 or more, got {gamma}")
        self.gamma = gamma
        self.monai = _tversky(alpha, beta)
        self.over_classes = ClassMean(include_background, class_weights)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items and classes."""
        error = per_class(self.monai, logits, labels)
        loss: Tensor = self.over_classes(finite_power(error, 1 / self.gamma)).mean()
        return loss


@final
class AsymmetricSimilarityLoss(nn.Module):
    """Asymmetric similarity loss: one minus the F-beta score, recall counting beta times precision.

    `1 - mean_{b,k} (1 + beta^2) TP / ((1 + beta^2) TP + beta^2 FN + FP)`. Hashemi et al., "Asymmetric loss
    functions and deep densely-connected networks for highly-imbalanced medical image segmentation", IEEE
    Access 2018. Raises `ValueError` for a beta outside (0, inf).
    """

    map_name = None
    rectified = False

    def __init__(
        self,
        beta: float = 1.5,
        include_background: bool = True,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not 0 < beta < math.inf:
            raise ValueError(f"beta: expected the weight of recall, positive and finite, got {beta}")
        total = 1 + beta**2
        self.tversky = TverskyLoss(1 / total, beta**2 / total, include_background, class_weights)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items and classes."""
        loss: Tensor = self.tversky(logits, labels)
        return loss


@final
class SensitivitySpecificityLoss(nn.Module):
    """Sensitivity-specificity loss: the mean squared errors inside and outside a class, weighed apart.

    `mean_{b,k} [w sum_i (y - p)^2 y / sum_i y + (1 - w) sum_i (y - p)^2 (1 - y) / sum_i (1 - y)]`, an empty
    sum counting 0. Brosch et al., "Deep convolutional encoder networks for multiple sclerosis lesion
    segmentation", MICCAI 2015. Per class: one sum over all of them would cancel the balance it is made for.
    Raises `ValueError` for a w outside (0, 1).
    """

    map_name = None
    rectified = False

    def __init__(
        self,
        w: float = 0.05,
        include_background: bool = True,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not 0 < w < 1:
            raise ValueError(f"w: expected the weight of the sensitivity, in (0, 1), got {w}")
        self.w = w
        self.over_classes = ClassMean(include_background, class_weights)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss averaged over items and classes."""
        labels = class_indices(logits, labels)
        p = torch.softmax(full_precision(logits), dim=1).flatten(2)  # (B, K, N)
        y = class_masks(labels, p.shape[1])  # (B, K, N)
        inside = ((1 - p) ** 2 * y).sum(-1) / y.sum(-1).clamp(min=1)
        outside = (p**2 * ~y).sum(-1) / (~y).sum(-1).clamp(min=1)
        loss: Tensor = self.over_classes(self.w * inside + (1 - self.w) * outside).mean()
        return loss


def per_class(loss: nn.Module, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the values `(B, K)`, or `(B, 1)`, of a MONAI loss that is not reduced; checks the shapes."""
    labels = class_indices(logits, labels)
    values: Tensor = loss(full_precision(logits), labels[:, None])
    return values.flatten(1)


def finite_power(error: Tensor, exponent: float) -> Tensor:
    """Return `error ** exponent`, below 1e-6 as a straight line to 0, because a root is too steep there."""
    power = torch.pow(error.clamp(min=POWER_EPSILON), exponent)
    return torch.where(error > POWER_EPSILON, power, error * POWER_EPSILON ** (exponent - 1))


def monai_loss(name: str, **settings: Any) -> nn.Module:
    """Return MONAI's loss of this name; to import MONAI takes longer than PyTorch, and few losses need it."""
    import monai.losses

    loss: nn.Module = getattr(monai.losses, name)(**settings)
    return loss


def _generalized_dice(include_background: bool) -> nn.Module:
    return monai_loss(
        "GeneralizedDiceLoss",
        include_background=include_background,
        softmax=True,
        to_onehot_y=True,
        reduction="none",
        smooth_nr=GENERALIZED_EPSILON,
        smooth_dr=GENERALIZED_EPSILON,
    )


def _tversky(alpha: float, beta: float) -> nn.Module:
    if not (0 <= alpha < math.inf and 0 <= beta < math.inf and alpha + beta > 0):
        raise ValueError(
            f"expected finite alpha >= 0 and beta >= 0, not both 0, got alpha={alpha}, beta={beta}"
        )
    return monai_loss("TverskyLoss", alpha=alpha, beta=beta, softmax=True, to_onehot_y=True, reduction="none")
