"""The losses, plain PyTorch modules: `loss(logits, labels, region_map=None) -> scalar`.

One class per loss, and what combines them. Neither configuration nor training loop: `build_loss` alone
knows the first. The weights of region-wise losses are `rwseg.maps`.
"""

from rwseg.losses.base import FinalMap, RegionMap, SegmentationLoss
from rwseg.losses.boundary import ActiveContourLoss, HausdorffDTLoss, LogHausdorffDTLoss
from rwseg.losses.build import build_loss
from rwseg.losses.combined import CombinedLoss
from rwseg.losses.compound import DiceCELoss, DiceFocalLoss, DiceTopKLoss, ExponentialLogarithmicLoss
from rwseg.losses.deep_supervision import head_weights, subsample, supervised_loss
from rwseg.losses.distribution import (
    CrossEntropyLoss,
    DistancePenalizedCrossEntropyLoss,
    FocalLoss,
    PixelWeightedCrossEntropyLoss,
    RRWCrossEntropyLoss,
    TopKLoss,
    WeightedCrossEntropyLoss,
)
from rwseg.losses.foreign import ForeignLoss, as_segmentation_loss
from rwseg.losses.hausdorff import OneSidedHausdorffLoss, squared_region_wise_loss
from rwseg.losses.ignored import without_ignored
from rwseg.losses.loss_gap import loss_at_perfect, perfect_logits
from rwseg.losses.map_weights import check_weighable, scaled_map, weighted_map
from rwseg.losses.region import (
    AsymmetricSimilarityLoss,
    DiceLoss,
    FocalTverskyLoss,
    GeneralizedDiceLoss,
    IoULoss,
    PenaltyGeneralizedDiceLoss,
    SensitivitySpecificityLoss,
    TverskyLoss,
)
from rwseg.losses.region_wise import (
    ComposedMapLoss,
    ConstantMapLoss,
    RegionWiseLoss,
    RRWLoss,
    rectified_loss,
    region_wise_loss,
)
from rwseg.losses.surrogates import GeneralizedWassersteinDiceLoss, LovaszSoftmaxLoss

__all__ = [
    "ActiveContourLoss",
    "AsymmetricSimilarityLoss",
    "CombinedLoss",
    "ComposedMapLoss",
    "ConstantMapLoss",
    "CrossEntropyLoss",
    "DiceCELoss",
    "DiceFocalLoss",
    "DiceLoss",
    "DiceTopKLoss",
    "DistancePenalizedCrossEntropyLoss",
    "ExponentialLogarithmicLoss",
    "FinalMap",
    "FocalLoss",
    "FocalTverskyLoss",
    "ForeignLoss",
    "GeneralizedDiceLoss",
    "GeneralizedWassersteinDiceLoss",
    "HausdorffDTLoss",
    "IoULoss",
    "LogHausdorffDTLoss",
    "LovaszSoftmaxLoss",
    "OneSidedHausdorffLoss",
    "PenaltyGeneralizedDiceLoss",
    "PixelWeightedCrossEntropyLoss",
    "RRWCrossEntropyLoss",
    "RRWLoss",
    "RegionMap",
    "RegionWiseLoss",
    "SegmentationLoss",
    "SensitivitySpecificityLoss",
    "TopKLoss",
    "TverskyLoss",
    "WeightedCrossEntropyLoss",
    "as_segmentation_loss",
    "build_loss",
    "check_weighable",
    "head_weights",
    "loss_at_perfect",
    "perfect_logits",
    "rectified_loss",
    "region_wise_loss",
    "scaled_map",
    "squared_region_wise_loss",
    "subsample",
    "supervised_loss",
    "weighted_map",
    "without_ignored",
]
