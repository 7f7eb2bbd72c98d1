"""Volumes through a 2D network by a sliding window, and the result on the native grid.

As in nnU-Net's 2D inference (Isensee et al., Nature Methods 2021): windows at most half a patch apart and
evenly spaced, Gaussian weights, the softmax averaged over the mirror images of each window. Slices come one
after the other, so that neither a whole volume of probabilities nor two are ever in memory.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache, reduce
from itertools import product, repeat
from math import ceil

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from rwseg.data.preprocessing.center_crop import NO_PADDING, Padding
from rwseg.data.preprocessing.volume import Box

MIRRORS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (2, 3))
"""Axes of `(B, K, H, W)` along which the four mirror images are flipped."""


def predict_slices(
    network: nn.Module, image: Tensor, patch_size: Sequence[int], flips: bool, window_batch: int
) -> Iterator[Tensor]:
    """Class probabilities `(K, H, W)`, float32, of each slice of `image` `(C, Z, H, W)` on its device.

    A slice smaller than the patch is zero-padded around. Windows of `patch_size` start at `window_starts`;
    the softmax of `network(windows)[0]`, with `flips` averaged over the four mirror images of the window, is
    averaged with `window_weights`. Windows of all slices share batches of at most `window_batch`.

    Raises `ValueError` for an image that is not a floating `(C, Z, H, W)`, a patch that is not two positive
    sizes, `window_batch` below 1, or a network in training mode (its batch norm would learn from the volume).
    """
    _check(network, image, patch_size, window_batch)
    return _slices(network, image, (patch_size[0], patch_size[1]), flips, window_batch)


def predict_volume(
    network: nn.Module, image: Tensor, patch_size: Sequence[int], flips: bool, window_batch: int
) -> Tensor:
    """All of `predict_slices` as one tensor `(K, Z, H, W)`."""
    return torch.stack(list(predict_slices(network, image, patch_size, flips, window_batch)), dim=1)


@torch.inference_mode()
def to_native(
    slices: Iterable[Tensor], shape: Sequence[int], crop: Box, padding: Padding = NO_PADDING
) -> Iterator[Tensor]:
    """Probabilities `(K, H, W)` of each slice of the native grid `shape` `(Z, H, W)`, from prepared slices.

    `slices` `(K, h, w)`, one per slice of `crop`, are resampled bilinearly in plane (order 1, no
    anti-aliasing) to the size of `crop` with `padding` around it, which is then cut off, and put there;
    outside of `crop` the background, class 0, is certain.
    """
    (z0, z1), (y0, y1), (x0, x1) = crop
    (above, below), (left, right) = padding
    size = (above + y1 - y0 + below, left + x1 - x0 + right)
    outside = torch.empty(0)
    for z, scores in zip(range(z0, z1), slices, strict=True):
        if z == z0:
            outside = scores.new_zeros((scores.shape[0], shape[1], shape[2]))
            outside[0] = 1
            yield from repeat(outside, z0)
        if scores.shape[1:] != size:
            scores = F.interpolate(scores[None], size=size, mode="bilinear", align_corners=False)[0]
        scores = scores[:, above : size[0] - below, left : size[1] - right]
        if scores.shape != outside.shape:
            native = outside.clone()
            native[:, y0:y1, x0:x1] = scores
            scores = native
        yield scores
    yield from repeat(outside, shape[0] - z1)


@torch.inference_mode()
def most_probable(members: Sequence[Iterable[Tensor]]) -> NDArray[np.uint8]:
    """Label map `(Z, H, W)`: the class of the largest mean probability over the members of an ensemble.

    Each member gives probabilities `(K, H, W)` slice by slice, all on one grid; one member is no ensemble.
    """
    means = map(ensemble_mean, zip(*members, strict=True))
    # Not argmax: over an axis that is not the last it takes eight times as long on a CPU.
    planes = [mean.max(0).indices.to(torch.uint8) for mean in means]
    labels: NDArray[np.uint8] = torch.stack(planes).cpu().numpy()
    return labels


def ensemble_mean(scores: Sequence[Tensor]) -> Tensor:
    """Mean of the probabilities of an ensemble's members; of one member they are the same bits."""
    return scores[0] if len(scores) == 1 else torch.stack(list(scores)).mean(0)


def window_starts(size: int, patch: int) -> list[int]:
    """First pixels of the windows along an axis: `ceil((size - patch) / (patch / 2)) + 1`, evenly spaced."""
    last = max(size - patch, 0)
    intervals = ceil(last / (patch / 2))
    return [round(last / intervals * i) for i in range(intervals + 1)] if intervals else [0]


def zero_padded(images: Tensor, size: Sequence[int]) -> tuple[Tensor, tuple[slice, ...]]:
    """`images` `(B, C, H, W)` with zeros around up to `size`, and where they lie in that, `(K, H, W)`.

    An odd zero is at the end; an axis that is longer than `size` stays as it is.
    """
    missing = [max(p - s, 0) for s, p in zip(images.shape[2:], size, strict=True)]
    top, left = (m // 2 for m in missing)
    height, width = images.shape[2:]
    inside = (slice(None), slice(top, top + height), slice(left, left + width))
    if not any(missing):
        return images, inside
    return F.pad(images, (left, missing[1] - left, top, missing[0] - top)), inside


@cache
@torch.inference_mode(False)  # whoever calls first, the cached tensor is an ordinary one
def window_weights(patch: tuple[int, int]) -> Tensor:
    """Gaussian `(H, W)` around pixel `patch // 2` with sigma `patch / 8`, 1 at most, nowhere 0."""
    peak = np.zeros(patch)
    peak[patch[0] // 2, patch[1] // 2] = 1
    weights = gaussian_filter(peak, [side / 8 for side in patch], mode="constant")
    weights = (weights / weights.max()).astype(np.float32)
    weights[weights == 0] = weights[weights > 0].min()  # SciPy cuts the kernel off at 4 sigma
    return torch.from_numpy(weights)


@torch.inference_mode()
def _slices(
    network: nn.Module, image: Tensor, patch: tuple[int, int], flips: bool, window_batch: int
) -> Iterator[Tensor]:
    slices, inside = zero_padded(image.float().transpose(0, 1), patch)  # (Z, C, H, W)
    size = slices.shape[2:]
    tiles = list(product(*(window_starts(s, p) for s, p in zip(size, patch, strict=True))))
    windows = [np.s_[..., y : y + patch[0], x : x + patch[1]] for y, x in tiles]
    weights = (
        window_weights(patch).to(image.device) if len(tiles) > 1 else torch.ones((), device=image.device)
    )
    coverage = torch.zeros(size, device=image.device)
    for window in windows:
        coverage[window] += weights
    places = list(product(range(len(slices)), range(len(tiles))))
    total = torch.empty(0)
    for first in range(0, len(places), window_batch):
        batch = places[first : first + window_batch]
        scores = _probabilities(network, torch.stack([slices[z][windows[t]] for z, t in batch]), flips)
        for (_, t), score in zip(batch, scores, strict=True):
            if t == 0:
                total = score.new_zeros((score.shape[0], *size))
            total[windows[t]] += weights * score
            if t == len(tiles) - 1:
                yield (total / coverage)[inside]


def _probabilities(network: nn.Module, windows: Tensor, flips: bool) -> Tensor:
    """Softmax `(B, K, h, w)`, float32, averaged over the mirror images of `windows` `(B, C, h, w)`."""
    mirrors = MIRRORS if flips else MIRRORS[:1]
    each = (network(windows.flip(axes))[0].float().softmax(1).flip(axes) for axes in mirrors)
    total: Tensor = reduce(torch.add, each)  # a running sum: four softmaxes at once are large
    return total / len(mirrors)


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
