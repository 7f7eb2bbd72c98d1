"""A trained network as a plain function of images: any size in, logits of the same size out."""

from collections.abc import Sequence
from math import ceil

from torch import Tensor, nn

from rwseg.models.inference.sliding_window import zero_padded


class AnySizeNetwork(nn.Module):
    """A network that takes images of any size: they get zeros around them, and the logits are cut back.

    Height and width become multiples of the network's `strides`, or of `patch_size`, the size it was trained
    on, where it does not name any. `channels` are those of an image.
    """

    def __init__(self, network: nn.Module, channels: int, patch_size: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.steps: tuple[int, int] = getattr(network, "strides", patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(B, K, H, W)`, of full resolution alone, of prepared images `(B, C, H, W)`.

        Raises `ValueError` for images of other axes, channels or type.
        """
        if images.ndim != 4 or images.shape[1] != self.channels or not images.is_floating_point():
            raise ValueError(
                f"images: expected a floating tensor (B, {self.channels}, H, W), "
                f"got {images.dtype} {tuple(images.shape)}"
            )
        padded, inside = zero_padded(images, self._accepted(images.shape[2:]))
        logits: Tensor = self.network(padded)[0]
        return logits[:, *inside]

    def _accepted(self, size: Sequence[int]) -> tuple[int, int]:
        """The smallest size that the network takes and that holds `size`."""
        height, width = (step * max(1, ceil(s / step)) for s, step in zip(size, self.steps, strict=True))
        if (height, width) == self.steps:  # instance norm needs more than one pixel in the bottleneck
            width *= 2
        return height, width
