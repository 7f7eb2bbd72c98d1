"""Whole volumes from a 2D network: sliding window, averaged over flips, brought back to the native grid."""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from monai.inferers.utils import sliding_window_inference
from torch import Tensor, nn


@torch.inference_mode()
def predict_volume(
    network: nn.Module, image: Tensor, patch_size: Sequence[int], flips: bool, window_batch: int
) -> Tensor:
    """Class probabilities `(K, Z, H, W)`, float32, of a volume `(C, Z, H, W)` on the network's device.

    Every slice (zero-padded to the patch where it is smaller) is covered by windows of `patch_size` half a
    patch apart, the last one moved back to the border. The softmax of `network(windows)[0]` is averaged with
    Gaussian weights (sigma patch / 8, at least 1e-3), and with `flips` also over the four mirror images of
    the slice along H and W. Windows of all slices share batches of at most `window_batch`.

    As in nnU-Net (Isensee et al., Nature Methods 2021), which mirrors each window instead and spaces windows
    evenly; mirroring the slice makes the result equivariant to flips.

    Raises `ValueError` for an image that is not a floating `(C, Z, H, W)`, a patch that is not two positive
    sizes, `window_batch` below 1, or a network in training mode (its batch norm would learn from the volume).
    """
    _check(network, image, patch_size, window_batch)

    def probabilities(windows: Tensor) -> Tensor:
        logits: Tensor = network(windows)[0]
        return logits.float().softmax(1)  # (windows, K, h, w)

    slices = image.float().transpose(0, 1)  # (Z, C, H, W)
    mirrors: list[list[int]] = [[], [2], [3], [2, 3]] if flips else [[]]
    predictions = (
        cast(
            Tensor,
            sliding_window_inference(
                slices.flip(axes),
                roi_size=(patch_size[0], patch_size[1]),
                sw_batch_size=window_batch,
                predictor=probabilities,
                overlap=0.5,
                mode="gaussian",
                sigma_scale=1 / 8,
            ),
        ).flip(axes)
        for axes in mirrors
    )
    total = next(predictions)  # (Z, K, H, W); a running sum, because a volume per mirror is large
    for prediction in predictions:
        total += prediction
    return (total / len(mirrors)).transpose(0, 1)


def to_native_labels(probabilities: Tensor, shape: Sequence[int]) -> Tensor:
    """Most probable class, uint8 of `shape` `(Z, H, W)`, from probabilities `(K, Z, h, w)`.

    Where the grids differ in plane, both covering the same field of view, probabilities are resampled
    bilinearly (anti-aliased along an axis that shrinks) before the argmax. Raises `ValueError` where the
    number of slices differs.
    """
    if probabilities.ndim != 4 or len(shape) != 3 or probabilities.shape[1] != shape[0]:
        raise ValueError(
            "shape: expected (Z, H, W) with the Z of probabilities (K, Z, h, w), which is never resampled; "
            f"got {tuple(shape)} and {tuple(probabilities.shape)}"
        )
    plane = [shape[1], shape[2]]
    labels = []
    for scores in probabilities.unbind(1):  # (K, h, w); slice by slice, because native grids can be large
        if list(scores.shape[1:]) != plane:
            # Without effect along an axis that grows, antialias needs no case of its own.
            resized = F.interpolate(scores[None], size=plane, mode="bilinear", antialias=True)
            scores = resized[0]
        labels.append(scores.argmax(0).to(torch.uint8))
    return torch.stack(labels)


def _check(network: nn.Module, image: Tensor, patch_size: Sequence[int], window_batch: int) -> None:
    if network.training:
        raise ValueError("network: expected evaluation mode, got training mode; call network.eval()")
    if image.ndim != 4 or image.numel() == 0 or not image.is_floating_point():
        raise ValueError(
            f"image: expected a floating tensor (C, Z, H, W), got {image.dtype} {tuple(image.shape)}"
        )
    if len(patch_size) != 2 or min(patch_size) < 1:
        raise ValueError(f"patch_size: expected two positive sizes (H, W), got {tuple(patch_size)}")
    if window_batch < 1:
        raise ValueError(f"window_batch: expected at least 1, got {window_batch}")
