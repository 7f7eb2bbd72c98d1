"""Checks of labels, logits and spacing, for public functions."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Unit = Literal["mm", "px"]
"""What lengths are in: pixels where the source has no physical spacing."""

INTEGER_TYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Raise `ValueError` unless `labels` is integer, `(B, *S)`, 2 or 3 axes in S, in `[0, num_classes)`."""
    if labels.dtype not in INTEGER_TYPES:
        raise ValueError(f"labels: expected an integer tensor, got {labels.dtype}; pass labels.long()")
    if labels.ndim not in (3, 4):
        raise ValueError(
            f"labels: expected shape (B, H, W) or (B, D, H, W), got {tuple(labels.shape)}; "
            "a single image needs a batch axis: labels[None]"
        )
    if num_classes < 2:
        raise ValueError(f"num_classes: expected at least 2 (background counts), got {num_classes}")
    _check_values(labels, num_classes)


def check_spacing(spacing: Sequence[float] | None, axes: int) -> tuple[float, ...]:
    """Return `spacing` as `axes` positive floats in mm (ones for None); raise `ValueError` otherwise."""
    if spacing is None:
        return (1.0,) * axes
    values = tuple(float(step) for step in spacing)
    if len(values) != axes:
        raise ValueError(
            f"spacing: expected {axes} values (one per spatial axis), got {len(values)}: {values}"
        )
    if not all(0 < step < float("inf") for step in values):
        raise ValueError(f"spacing: expected positive finite values in mm, got {values}")
    return values


def class_indices(logits: Tensor, labels: Tensor) -> Tensor:
    """Return `labels` as integers `(B, *S)`; they may be whole numbers of a floating type, and `(B, 1, *S)`.

    Raises `ValueError` unless `logits` is floating `(B, K, *S)` and `labels` whole numbers of the same B and
    S. K is 2 or more: softmax of a single channel is 1 whatever the network says. On the CPU labels must lie
    in `[0, K)`, so no number marks pixels to leave out. On other devices, and under `torch.compile`, the
    values of integers are not looked at here, because the device would have to wait; those of a floating type
    are looked at on every device.
    """
    if not logits.is_floating_point():
        raise ValueError(f"logits: expected a floating tensor, got {logits.dtype}")
    _check_shapes(logits, labels)
    labels = without_channel(labels, logits)
    compiling = torch.compiler.is_compiling()
    if labels.is_floating_point():
        labels = labels.long() if compiling else _whole_numbers(labels)
    if labels.dtype not in INTEGER_TYPES:
        raise ValueError(f"labels: expected class indices, whole numbers, got {labels.dtype}")
    if labels.device.type == "cpu" and not compiling:
        _check_values(labels, logits.shape[1])
    return labels


def without_channel(labels: Tensor, logits: Tensor) -> Tensor:
    """Return labels `(B, 1, *S)` for logits `(B, K, *S)` as `(B, *S)`, others as they are."""
    return labels[:, 0] if labels.ndim == logits.ndim and labels.shape[1] == 1 else labels


def _check_shapes(logits: Tensor, labels: Tensor) -> None:
    batch, spatial = logits.shape[0], tuple(logits.shape[2:])
    if logits.ndim not in (4, 5) or tuple(labels.shape) not in ((batch, *spatial), (batch, 1, *spatial)):
        raise ValueError(
            f"expected logits (B, K, *S) and labels (B, *S) or (B, 1, *S), got logits {tuple(logits.shape)} "
            f"and labels {tuple(labels.shape)}; labels are class indices, not one-hot"
        )
    if logits.shape[1] < 2:
        raise ValueError(
            f"logits: expected at least 2 channels (background counts), got {tuple(logits.shape)}; "
            "for a network with one channel x pass torch.cat([-x, x], 1) / 2, whose softmax is sigmoid(x)"
        )


def _whole_numbers(labels: Tensor) -> Tensor:
    """Labels of a floating type as int64; `ValueError` where one is no whole number."""
    whole = labels.long()
    wrong = whole != labels
    if bool(wrong.any()):
        value = float(labels[wrong][0])
        raise ValueError(
            f"labels: expected class indices, whole numbers, got {value:g} among {labels.dtype}; labels that "
            "were resampled need the nearest pixel, not a mean"
        )
    return whole


def _check_values(labels: Tensor, num_classes: int) -> None:
    if labels.numel() == 0:
        raise ValueError(f"labels: expected at least one pixel, got shape {tuple(labels.shape)}")
    low, high = (int(bound) for bound in torch.aminmax(labels))
    if low < 0 or high >= num_classes:
        raise ValueError(f"labels: expected values in [0, {num_classes}), got values in [{low}, {high}]")


def check_positive(name: str, value: float) -> None:
    """Raise `ValueError` unless `value` is positive and finite."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name}: expected a positive finite number, got {value}")
