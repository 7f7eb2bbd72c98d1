"""In-plane resampling of volumes; the slice axis keeps its own spacing (slices are thick and few)."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray


def plane_size(shape: tuple[int, int], zoom: float) -> tuple[int, int]:
    """Size of a `(H, W)` plane after scaling by `zoom`, at least one pixel per axis."""
    height, width = (max(1, round(size * zoom)) for size in shape)
    return height, width


def resample_image(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Bilinear in-plane resampling, antialiased when shrinking: `(C, Z, H, W)` to `(C, Z, *size)`."""
    if image.shape[-2:] == size:
        return image
    planes = torch.from_numpy(image)
    resampled = F.interpolate(planes, size=size, mode="bilinear", antialias=True, align_corners=False)
    return np.asarray(resampled.numpy(), dtype=np.float32)


def resample_labels(labels: NDArray[np.uint8], size: tuple[int, int], num_classes: int) -> NDArray[np.uint8]:
    """Each output pixel takes the class of the largest share in it: `(Z, H, W)` to `(Z, *size)`.

    Shares are weighted as `resample_image` weights intensities, so image and labels keep fitting each other.
    """
    if labels.shape[-2:] == size:
        return labels
    one_hot = F.one_hot(torch.from_numpy(labels).long(), num_classes)  # (Z, H, W, K)
    shares = F.interpolate(
        one_hot.permute(0, 3, 1, 2).float(), size=size, mode="bilinear", antialias=True, align_corners=False
    )  # (Z, K, h, w)
    return shares.argmax(dim=1).to(torch.uint8).numpy()
