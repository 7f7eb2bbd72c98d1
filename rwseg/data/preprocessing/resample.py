"""In-plane resampling of volumes; the slice axis keeps its own spacing (slices are thick and few).

`spline` is nnU-Net's rule for slices (Isensee et al., Nature Methods 2021): images by cubic splines, the edge
repeated outside, no anti-aliasing, clipped to the range of the slice; labels linearly per class, at least one
half. `area` weights all pixels that a new pixel covers, for images and labels alike. Both keep the field of
view: pixels are squares, and the outer edges of the first and the last one stay where they are.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage

from rwseg.data.case import IGNORE
from rwseg.data.preprocessing.config import Interpolation

TIE = 1e-3
"""Added to the share of the nearest pixel's class. Straight edges give exact ties, 4 % of ACDC's foreground
at half size; the lower class would win them all and shrink the LV by 2.7 % instead of 0.7 %."""

HALF = 0.5 - 1e-6
"""One half, rounding allowed for: else two classes that tie may both miss it and leave a hole."""

MIN_SIDE = 2
"""PyTorch's antialiased interpolation returns wrong values at an output width of one (2.13, on a CPU)."""


def resample_image(
    image: NDArray[np.float32], size: tuple[int, int], interpolation: Interpolation
) -> NDArray[np.float32]:
    """Resample `(C, Z, H, W)` to `(C, Z, *size)`; at the same size the array itself is returned."""
    if image.shape[-2:] == size:
        return image
    if interpolation == "area":
        planes = torch.from_numpy(np.ascontiguousarray(image))
        shrunk = F.interpolate(planes, size=size, mode="bilinear", antialias=True, align_corners=False)
        return np.asarray(shrunk.numpy(), dtype=np.float32)
    resampled = np.empty((*image.shape[:2], *size), np.float32)
    for index in np.ndindex(*image.shape[:2]):
        plane = image[index]
        np.clip(_zoom(plane, size, order=3), plane.min(), plane.max(), out=resampled[index])
    return resampled


def resample_labels(
    labels: NDArray[np.uint8], size: tuple[int, int], num_classes: int, interpolation: Interpolation
) -> NDArray[np.uint8]:
    """Resample `(Z, H, W)` to `(Z, *size)`; voxels marked `IGNORE` are treated as one more class.

    `spline`: the class whose linearly interpolated mask is at least one half, the higher one of two that tie;
    where no class reaches one half (three or more meet in a pixel) it is background. `area`: the class of the
    largest share, weighted as `resample_image` weights intensities; of equal shares the nearest pixel's.
    """
    if labels.shape[-2:] == size:
        return labels
    if interpolation == "area":
        return np.stack([_largest_share(plane, size, num_classes) for plane in labels])
    return np.stack([_one_half(plane, size) for plane in labels])


def _zoom(plane: NDArray[np.floating], size: tuple[int, int], order: int) -> NDArray[np.floating]:
    """`plane` at another size, in its own number type: spline of `order`, the edge repeated outside."""
    factors = [new / old for new, old in zip(size, plane.shape, strict=True)]
    zoomed: NDArray[np.floating] = ndimage.zoom(plane, factors, order=order, mode="nearest", grid_mode=True)
    return zoomed


def _largest_share(plane: NDArray[np.uint8], size: tuple[int, int], num_classes: int) -> NDArray[np.uint8]:
    channels = torch.from_numpy(np.where(plane == IGNORE, num_classes, plane)).long()
    one_hot = F.one_hot(channels, num_classes + 1).permute(2, 0, 1).float()[None]  # (1, K + 1, H, W)
    shares = F.interpolate(one_hot, size=size, mode="bilinear", antialias=True, align_corners=False)
    nearest = F.interpolate(one_hot, size=size, mode="nearest-exact")
    largest = (shares + TIE * nearest)[0].argmax(dim=0).numpy()
    return np.where(largest == num_classes, IGNORE, largest).astype(np.uint8)


def _one_half(plane: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    resampled = np.zeros(size, np.uint8)
    for value in np.unique(plane):  # ascending, so the higher class overwrites
        resampled[_zoom((plane == value).astype(np.float64), size, order=1) >= HALF] = value
    return resampled
