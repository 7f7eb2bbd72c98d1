"""A trained network as a plain function of images: any size in, logits of the same size out."""

from collections.abc import Sequence
from math import ceil

from torch import Tensor, nn

from rwseg.models.inference.onnx_network import OnnxNetwork
from rwseg.models.inference.sliding_window import zero_padded
from rwseg.models.unet import UNet


class AnySizeNetwork(nn.Module):
    """A network that takes images of any size: they get zeros around them, and the logits are cut back.

    A `UNet` says which sizes it takes, and so does its ONNX file; any other network gets multiples of
    `patch_size`, which it was trained on. `channels` are those of an image.
    """

    def __init__(self, network: nn.Module, channels: int, patch_size: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.patch_size = patch_size

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(B, K, H, W)`, of full resolution alone, of prepared images `(B, C, H, W)`.

        Raises `ValueError` for images of other axes, channels or type, or of no pixels.
        """
        fits = images.ndim == 4 and images.shape[1] == self.channels and 0 not in images.shape
        if not (fits and images.is_floating_point()):
            raise ValueError(
                f"images: expected a floating tensor (B, {self.channels}, H, W), "
                f"got {images.dtype} {tuple(images.shape)}"
            )
        padded, inside = zero_padded(images, self._accepted(images.shape[2:]))
        logits: Tensor = self.network(padded)[0]
        return logits[:, *inside]

    def _accepted(self, size: Sequence[int]) -> tuple[int, ...]:
        if isinstance(self.network, UNet | OnnxNetwork):
            return self.network.accepted_size(size)
        return tuple(patch * ceil(side / patch) for side, patch in zip(size, self.patch_size, strict=True))
