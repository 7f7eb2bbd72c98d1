"""The 2D U-Net of the paper's plans: nnU-Net's `Generic_UNet` (Isensee et al., Nature Methods 2021)."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from rwseg.models.instance_norm import InstanceNorm

Norm = Literal["instance", "batch"]
SLOPE = 0.01  # of LeakyReLU; the initialisation depends on it


class UNet(nn.Module):
    """2D U-Net with strided downsampling, transposed upsampling and one 1x1 head per decoder level.

    The encoder has `len(pools) + 1` stages; stage i has `min(features * 2**i, max_features)` channels and
    `convs_per_stage` times convolution 3x3 -> norm -> LeakyReLU. Its first convolution has the stride
    `pools[i - 1]`: (2, 2), (2, 1) or (1, 2). Transposed convolutions go back up by the same factors, and the
    encoder's output joins by concatenation. Weights start as He normal for LeakyReLU, biases at 0.

    `forward` takes `(B, C, H, W)`, H and W multiples of `strides`, and returns a list of logits, full
    resolution first: in training mode with deep supervision one `(B, K, h, w)` tensor per pool, each at the
    resolution of its level, else one `(B, K, H, W)` tensor.

    Raises `ValueError` at construction for an argument out of range, and in `forward` for an image whose
    shape does not fit.
    """

    deepest_head_counts = False
    """The head of the lowest resolution does not train, as in nnU-Net."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        features: int,
        max_features: int,
        pools: Sequence[Sequence[int]],
        convs_per_stage: int,
        norm: Norm,
        deep_supervision: bool,
    ) -> None:
        super().__init__()
        lowest = {"in_channels": (in_channels, 1), "num_classes": (num_classes, 2), "features": (features, 1)}
        _check_at_least(**lowest, max_features=(max_features, features), convs_per_stage=(convs_per_stage, 1))
        if norm not in get_args(Norm):
            raise ValueError(f"norm: expected one of {get_args(Norm)}, got {norm!r}")
        factors = _check_pools(pools)
        widths = [min(features * 2**stage, max_features) for stage in range(len(factors) + 1)]

        self.in_channels = in_channels
        self.norm = norm
        self.strides = (math.prod(h for h, _ in factors), math.prod(w for _, w in factors))
        self.deep_supervision = deep_supervision
        self.encoder = nn.ModuleList(
            _stage(wide_in, wide_out, stride, convs_per_stage, norm)
            for (wide_in, wide_out), stride in zip(
                pairwise([in_channels, *widths]), [(1, 1), *factors], strict=True
            )
        )
        # Index 0 of the three lists below is the full resolution.
        self.upsamplers = nn.ModuleList(
            nn.ConvTranspose2d(below, width, kernel_size=factor, stride=factor, bias=False)
            for (width, below), factor in zip(pairwise(widths), factors, strict=True)
        )
        self.decoder = nn.ModuleList(_stage(2 * w, w, (1, 1), convs_per_stage, norm) for w in widths[:-1])
        self.heads = nn.ModuleList(
            nn.Conv2d(width, num_classes, kernel_size=1, bias=False)
            for width in widths[: len(factors) if deep_supervision else 1]
        )
        self.apply(_initialise)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Logits of `image` `(B, C, H, W)`, full resolution first (see the class)."""
        self._check_input(image)
        skips: list[Tensor] = []
        x = image
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        heads = len(self.heads) if self.training else 1
        logits: list[Tensor] = []
        for level in reversed(range(len(self.decoder))):
            x = torch.cat([self.upsamplers[level](x), skips[level]], dim=1)  # (B, 2 * width, h, w)
            x = self.decoder[level](x)
            if level < heads:
                logits.insert(0, self.heads[level](x))
        return logits

    def accepted_size(self, size: Sequence[int]) -> tuple[int, int]:
        """The smallest (H, W) that `forward` takes and that holds an image of `size`."""
        height, width = (step * math.ceil(side / step) for side, step in zip(size, self.strides, strict=True))
        if self.norm == "instance" and (height, width) == self.strides:
            width *= 2
        return height, width

    def _check_input(self, image: Tensor) -> None:
        if image.ndim != 4 or image.shape[1] != self.in_channels:
            raise ValueError(f"image: expected shape (B, {self.in_channels}, H, W), got {tuple(image.shape)}")
        size, strides = tuple(image.shape[2:]), self.strides
        if size[0] % strides[0] or size[1] % strides[1]:
            raise ValueError(
                f"image: expected height and width to be multiples of {strides}, got {size}; "
                "pad the image, or change the patch size or model.pools"
            )
        if self.norm == "instance" and size == strides:
            raise ValueError(
                f"image: {size} leaves a single pixel in the bottleneck, expected more for instance norm; "
                "use a larger patch or fewer pools"
            )


def _check_at_least(**bounds: tuple[int, int]) -> None:
    for name, (value, least) in bounds.items():
        if value < least:
            raise ValueError(f"{name}: expected at least {least}, got {value}")


def _check_pools(pools: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    allowed = [(2, 2), (2, 1), (1, 2)]
    factors = [(pool[0], pool[1]) for pool in pools if len(pool) == 2]
    if not factors or len(factors) < len(pools) or any(factor not in allowed for factor in factors):
        raise ValueError(f"pools: expected a list of {allowed}, got {[tuple(pool) for pool in pools]}")
    return factors


def _stage(
    in_channels: int, out_channels: int, stride: tuple[int, int], convs: int, norm: Norm
) -> nn.Sequential:
    """`convs` times convolution 3x3 -> norm -> LeakyReLU; the first one carries the stride."""
    return nn.Sequential(
        *(
            _block(out_channels if index else in_channels, out_channels, (1, 1) if index else stride, norm)
            for index in range(convs)
        )
    )


def _block(in_channels: int, out_channels: int, stride: tuple[int, int], norm: Norm) -> nn.Sequential:
    # The names are those in checkpoints: "conv", "adn.N".
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1)
    layer = InstanceNorm(out_channels) if norm == "instance" else nn.BatchNorm2d(out_channels)
    activation = nn.LeakyReLU(SLOPE, inplace=True)
    return nn.Sequential(OrderedDict(conv=conv, adn=nn.Sequential(OrderedDict(N=layer, A=activation))))


def _initialise(module: nn.Module) -> None:
    """He normal weights: std = sqrt(2 / ((1 + slope**2) * fan)), fan = weight[0].numel(); biases 0.

    For a transposed convolution this fan counts the output channels: nnU-Net does the same.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(module.weight, a=SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
