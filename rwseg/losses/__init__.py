"""The losses, plain PyTorch modules: `loss(logits, labels, region_map=None) -> scalar`."""

from rwseg.losses.base import RegionMap, SegmentationLoss
from rwseg.losses.baselines import CrossEntropyLoss, DiceLoss, FocalLoss
from rwseg.losses.build import build_loss
from rwseg.losses.combined import CombinedLoss
from rwseg.losses.deep_supervision import head_weights, subsample, supervised_loss
from rwseg.losses.gap import loss_at_perfect, perfect_logits
from rwseg.losses.region_wise import RegionWiseLoss, RRWLoss, rectified_loss, region_wise_loss

__all__ = [
    "CombinedLoss",
    "CrossEntropyLoss",
    "DiceLoss",
    "FocalLoss",
    "RRWLoss",
    "RegionMap",
    "RegionWiseLoss",
    "SegmentationLoss",
    "build_loss",
    "head_weights",
    "loss_at_perfect",
    "perfect_logits",
    "rectified_loss",
    "region_wise_loss",
    "subsample",
    "supervised_loss",
]
