"""Numbers that the host draws, on their way to the training device."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def to_device(array: NDArray[Any], device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """`array` as a tensor of `dtype` (by default its own) on `device`.

    The host does not wait for a GPU: a plain `.to(device)` stops it until the GPU has done all that was asked
    of it before, and the GPU then idles while the next operators are launched. On a CPU the tensor shares the
    array's memory where the type stays.
    """
    tensor = torch.from_numpy(array)
    if dtype is not None:
        tensor = tensor.to(dtype)
    if device.type == "cuda":
        tensor = tensor.pin_memory()  # only pinned memory travels while the host goes on
    return tensor.to(device, non_blocking=True)
