"""Label maps that the tests of distances share."""

import numpy as np
import torch
from torch import Tensor


def blobs(shape: tuple[int, ...], classes: int = 4, seed: int = 0, size: int = 2) -> Tensor:
    """Labels in patches of `size` pixels, so that classes have an inside."""
    coarse = np.random.default_rng(seed).integers(
        0, classes, [shape[0], *(-(-n // size) for n in shape[1:])], dtype=np.uint8
    )
    for axis in range(1, len(shape)):
        coarse = coarse.repeat(size, axis)
    return torch.from_numpy(coarse[tuple(slice(n) for n in shape)].copy()).long()


def structure(name: str) -> Tensor:
    """One item of 2 or 3 classes in a form that transforms are known to get wrong."""
    labels = torch.zeros(1, 40, 23, dtype=torch.long)
    if name == "empty":
        return labels
    if name == "full":
        return labels + 1
    if name == "line":
        labels[:, 17] = 1
    elif name == "diagonal":
        labels[:, range(23), range(23)] = 1
    elif name == "corner":
        labels[:, -1, 0] = 1
    elif name == "hole":
        labels[:] = 2
        labels[:, 3, 20] = 0
    elif name == "checks":
        labels[:] = (torch.arange(40)[:, None] + torch.arange(23)) % 2
    return labels
