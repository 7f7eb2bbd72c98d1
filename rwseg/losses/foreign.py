"""Losses that know nothing of rwseg: any callable `(logits, labels) -> scalar` as one of ours."""

from collections.abc import Callable
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn

from rwseg.core.validation import class_indices
from rwseg.losses.base import RegionMap, SegmentationLoss, full_precision
from rwseg.maps import check_map_name, rectified_region_map
from rwseg.maps import region_map as named_region_map


def as_segmentation_loss(loss: Callable[..., Any]) -> SegmentationLoss:
    """Return a loss of rwseg as it is, and any other callable as a `ForeignLoss`; errors as there."""
    if type(loss).__module__.partition(".")[0] == "rwseg" and isinstance(loss, SegmentationLoss):
        return loss
    return ForeignLoss(loss)


@final
class ForeignLoss(nn.Module):
    """Any callable `(logits, labels) -> scalar`, called as it may expect it.

    It gets logits `(B, K, *S)` in float32 (or float64) with autocast off, so that it needs no care for half
    precision, and labels as int64 class indices `(B, *S)`; MONAI's, which want it so, `(B, 1, *S)`. One that
    says by the attribute `map_name` which of `rwseg.maps.MAP_NAMES` it wants, and by `rectified` whether in
    compact form (False where it does not say), is called with `region_map=` too: the map that is given or,
    without one, that of the labels in pixels.
    Raises `ValueError` for what cannot be called and for a map that there is not.
    """

    def __init__(self, loss: Callable[..., Any]) -> None:
        super().__init__()
        if not callable(loss):
            raise ValueError(f"loss: expected a callable (logits, labels) -> scalar, got {loss!r}")
        self.loss = loss
        self.with_channel = type(loss).__module__.startswith("monai.losses")
        self.map_name: str | None = getattr(loss, "map_name", None)
        self.rectified = bool(getattr(loss, "rectified", False))
        if self.map_name is not None:
            check_map_name(self.map_name)

    @property
    def name(self) -> str:
        """What its author calls it."""
        return name_of(self.loss)

    def forward(self, logits: Tensor, labels: Tensor, region_map: RegionMap | None = None) -> Tensor:
        """Return the loss; `ValueError` where it is no scalar tensor, or cannot be differentiated."""
        labels = class_indices(logits, labels).long()
        wanted = self._map(logits, labels, region_map)
        try:
            with torch.autocast(logits.device.type, enabled=False):
                target = labels[:, None] if self.with_channel else labels
                value = self.loss(full_precision(logits), target, **wanted)
        except Exception as error:
            error.add_note(f"{self.name} was called with {_described(logits, labels)}")
            raise
        self._check(value, logits)
        return value  # type: ignore[no-any-return]

    def _map(self, logits: Tensor, labels: Tensor, given: RegionMap | None) -> dict[str, RegionMap]:
        if self.map_name is None:
            return {}
        if given is None and self.rectified:
            given = rectified_region_map(self.map_name, labels, logits.shape[1])
        elif given is None:
            given = named_region_map(self.map_name, labels, logits.shape[1])
        return {"region_map": given}

    def _check(self, value: Any, logits: Tensor) -> None:
        if not isinstance(value, Tensor) or value.ndim:
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"{value!r}"
            raise ValueError(f"{self.name}: expected a scalar tensor, such as values.mean(), got {got}")
        if logits.requires_grad and torch.is_grad_enabled() and not value.requires_grad:
            raise ValueError(
                f"{self.name}: expected a value with a gradient at the logits, got one without; argmax, "
                "detach(), item() and NumPy cut it off; where there is nothing to learn, return "
                "logits.sum() * 0"
            )


def name_of(loss: Any) -> str:
    """The name of a class's object, of a function, or of one with its arguments set by `partial`."""
    while isinstance(loss, partial):
        loss = loss.func
    return str(getattr(loss, "__name__", type(loss).__name__))


def _described(logits: Tensor, labels: Tensor) -> str:
    full = full_precision(logits).dtype
    return f"logits {tuple(logits.shape)} of {full} and labels {tuple(labels.shape)} of {labels.dtype}"
