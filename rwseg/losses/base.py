"""What every loss shares: the contract of its calls, and what it costs a pixel to miss its class."""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from rwseg.maps import RegionMap as RegionMap

NO_LABEL = -(2**62)
"""What cross entropy may pass over: its default, -100, would count a pixel of that label as right."""


class FinalMap(NamedTuple):
    """A region map as softmax is multiplied by it: a composition modifies it no more."""

    region_map: RegionMap


@runtime_checkable
class SegmentationLoss(Protocol):
    """A loss of softmax logits.

    `map_name` is the region-wise map the loss weighs pixels with (None: it needs none), and `rectified`
    says that it takes the compact `RectifiedMap`. A call takes logits `(B, K, *S)`, integer
    labels `(B, *S)` and, optionally, the map of these labels, and returns a scalar. A `FinalMap` is for
    compositions alone (`rwseg.losses.map_weights`).
    """

    @property
    def map_name(self) -> str | None:
        """The map to precompute, one of `rwseg.maps.MAP_NAMES`, or None."""

    @property
    def rectified(self) -> bool:
        """Whether the loss takes the compact form of the map."""

    def __call__(
        self, logits: Tensor, labels: Tensor, region_map: RegionMap | FinalMap | None = None
    ) -> Tensor:
        """Return the loss, the mean over the items of the batch."""


def full_precision(logits: Tensor) -> Tensor:
    """Return half-precision logits as float32, others as they are; losses do not survive 11 bits."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def pixel_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return `-log p_iy` per pixel, `(B, *S)`, by the fused kernel."""
    return F.cross_entropy(full_precision(logits), labels.long(), ignore_index=NO_LABEL, reduction="none")


def true_class_probability(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the softmax probability of each pixel's own class, `(B, *S)`."""
    return torch.exp(-pixel_cross_entropy(logits, labels))
