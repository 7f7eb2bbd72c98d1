"""Instance norm that leaves channels-last images as they are on a CPU.

Convolutions are fastest on channels-last memory, `torch.nn.functional.instance_norm` works on channels-first
only and copies there; on a CPU the copies cost more than the norm. PyTorch's batch norm does work on
channels-last memory, and the batch norm of a single image is its instance norm: that is what runs here, image
by image, which also keeps an image in the cache between the passes over it.
"""

from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


@final
class InstanceNorm(nn.Module):
    """`weight * (x - mean) / sqrt(variance + eps) + bias`, mean and variance of each image and channel.

    The variance divides by the number of pixels. `weight` and `bias` `(channels,)` start at 1 and 0; training
    and evaluation do the same. Takes and returns `(B, channels, H, W)`, in the memory format of the input.
    What comes out is that of `torch.nn.InstanceNorm2d(channels, eps, affine=True)` but for rounding, and so
    are names and shapes of the parameters.

    Raises `ValueError` for images of another number of channels or of a single pixel.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Norm of `(B, channels, H, W)` (see the class)."""
        channels = len(self.weight)
        if x.ndim != 4 or x.shape[1] != channels or x.shape[2] * x.shape[3] < 2:
            raise ValueError(
                f"instance norm: expected shape (B, {channels}, H, W) of more than a pixel, "
                f"got {tuple(x.shape)}"
            )
        if x.device.type == "cpu" and x.is_contiguous(memory_format=torch.channels_last):
            normed: Tensor = _ImageByImage.apply(x, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
            return normed
        # Elsewhere a launch per image would cost more than the copy.
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{len(self.weight)}, eps={self.eps}"


class _ImageByImage(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        out = torch.empty_like(x)
        mean = torch.empty(x.shape[:2], dtype=weight.dtype)
        scale = torch.empty_like(mean)  # 1 / sqrt(variance + eps)
        for parts in zip(torch.split(x, 1), torch.split(out, 1), mean, scale, strict=True):
            torch.native_batch_norm(parts[0], weight, bias, None, None, True, 0.0, eps, out=parts[1:])
        ctx.save_for_backward(x, weight, mean, scale)
        ctx.eps = eps
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, scale = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        found = [
            torch.ops.aten.native_batch_norm_backward(
                *two, weight, None, None, *stats, True, ctx.eps, [True] * 3
            )
            for *two, stats in zip(
                torch.split(gradient, 1), torch.split(x, 1), zip(mean, scale, strict=True), strict=True
            )
        ]
        of_x, of_weight, of_bias = zip(*found, strict=True)
        return torch.cat(of_x), torch.stack(of_weight).sum(0), torch.stack(of_bias).sum(0), None
