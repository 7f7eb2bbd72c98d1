"""Label maps to measure with: real ones where RWSEG_DATA names a folder that holds acdc, else a phantom."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rwseg.data.io.nifti import read_nifti

K = 4
Labels = NDArray[np.int64]
Volume = tuple[Labels, tuple[float, ...]]


def label_volumes(most: int) -> tuple[str, list[Volume]]:
    """What the volumes are, and `most` of them `(Z, Y, X)` with their spacing, taken evenly from the data.

    Raises `FileNotFoundError` where RWSEG_DATA is set and has no labels of ACDC.
    """
    folder = os.environ.get("RWSEG_DATA")
    if not folder:
        return "the phantom, 10 x 256 x 216", [(phantom((10, 256, 216)), (10.0, 1.5625, 1.5625))]
    paths = sorted((Path(folder) / "acdc").glob("training/*/*_gt.nii.gz"))
    if not paths:
        raise FileNotFoundError(
            f"RWSEG_DATA: expected ACDC's training/patient*/*_gt.nii.gz in {folder}/acdc, got none"
        )
    chosen = paths[:: max(1, len(paths) // most)][:most]
    return f"ACDC, {', '.join(path.name.removesuffix('_gt.nii.gz') for path in chosen)}", [*map(read, chosen)]


def phantom(shape: Sequence[int]) -> Labels:
    """A heart of ellipses: a left ventricle (3) in its muscle (2) beside a right ventricle (1)."""
    z, y, x = (np.arange(n).reshape(-1, *[1] * (2 - i)) / n - 0.5 for i, n in enumerate(shape))
    taper = 1 - 0.8 * (z + 0.5)
    labels = np.zeros(shape, np.int64)
    labels[np.hypot((y - 0.01) / 1.3, x + 0.13) < 0.11 * taper] = 1
    labels[np.hypot(y, x) < 0.12 * taper] = 2
    labels[np.hypot(y, x) < 0.08 * taper] = 3
    return labels


def read(path: Path) -> Volume:
    """A label volume `(Z, Y, X)` and its spacing in that order."""
    volume = read_nifti(path)
    return np.ascontiguousarray(volume.array[0].T.astype(np.int64)), volume.spacing[::-1]


def slices(volumes: Sequence[Volume], count: int, size: tuple[int, int]) -> Tensor:
    """`count` slices of `size`, cut or padded around the centre, repeated if there are fewer."""
    batch = np.zeros((count, *size), np.int64)
    every = [item for labels, _ in volumes for item in labels]
    for index, target in enumerate(batch):
        item = every[index % len(every)]
        cut = (
            slice(max(0, (n - m) // 2), max(0, (n - m) // 2) + m)
            for n, m in zip(item.shape, size, strict=True)
        )
        item = item[tuple(cut)]
        top, left = ((m - n) // 2 for n, m in zip(item.shape, size, strict=True))
        target[top : top + item.shape[0], left : left + item.shape[1]] = item
    return torch.from_numpy(batch)


def predicted(labels: Tensor, num_classes: int) -> Tensor:
    """Logits `(B, K, *S)` of a network in training: labels three pixels off, and noise that wins in 1 %."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(len(labels), num_classes, *labels.shape[1:], generator=generator)
    moved = labels.roll(3, dims=-1)[:, None]
    return logits.scatter_add_(1, moved, torch.full(moved.shape, 4.0)).requires_grad_()
