"""Networks that know nothing of rwseg: any module from images to logits, as one of ours."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from rwseg.core.errors import ConfigError
from rwseg.core.own_code import OwnCodeError, calling_own_code

LONGEST_STEP = 256
"""The largest multiple of pixels that sizes are tried in, to name one that a network takes."""


@final
class OwnNetwork(nn.Module):
    """Any module from images `(B, C, H, W)` to logits `(B, K, H, W)`, or to a list of them.

    Of a list the first is the full resolution, the others are trained too, each on labels subsampled to its
    grid (deep supervision); MONAI's stack `(B, heads, K, H, W)` is such a list. Like `UNet` it returns a
    list: all of them in training mode, else the first alone.
    """

    deepest_head_counts = True
    """Every head trains. Of `UNet` the deepest one does not, as in nnU-Net."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits of `images` `(B, C, H, W)`, full resolution first (see the class)."""
        outputs = self.module(images)
        if isinstance(outputs, Tensor) and outputs.ndim == 5:
            outputs = outputs.unbind(1)
        elif not isinstance(outputs, list | tuple):
            outputs = (outputs,)
        return list(outputs) if self.training else list(outputs[:1])


def check_network(
    network: OwnNetwork, channels: int, classes: int, patch_size: tuple[int, int], batch_size: int
) -> None:
    """Pass a batch of random patches through `network` as training does, and one as inference does.

    Weights, statistics of batch norm and the state of random numbers stay as they are. Raises `ConfigError`
    where the network refuses such patches, with its words, or returns something else than finite logits of
    `classes` channels, the first of the patch's size and all of sizes that divide it. It names a size of
    patches that the network takes, if there is one near.
    """
    with _as_it_was(network):
        for training in (False, True):
            network.train(training)
            complaint = _complaint(network, channels, classes, patch_size, batch_size)
            if complaint is not None:
                larger = _larger_sizes(patch_size)
                fits = (one for one in larger if not _complaint(network, channels, classes, one, batch_size))
                size = str(list(next(fits, ()))).replace(" ", "")
                advice = f"; it takes {size}: give dataset.patch_size={size}" if size != "[]" else ""
                raise ConfigError(f"model: {type(network.module).__name__} {complaint}{advice}")


def materialise(network: OwnNetwork, channels: int, patch_size: tuple[int, int]) -> None:
    """Give lazy layers, which take their sizes from what they see first, their weights."""
    if any(isinstance(weight, UninitializedParameter) for weight in network.parameters()):
        network.eval()
        _outputs(network, channels, patch_size, 1)
        network.train()


@torch.no_grad()
def _outputs(network: OwnNetwork, channels: int, size: Sequence[int], batch_size: int) -> Any:
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    return network(torch.randn(batch_size, channels, *size, device=device))


@contextmanager
def _as_it_was(network: OwnNetwork) -> Iterator[None]:
    """Restore the buffers, the mode and the random numbers that the block changes."""
    buffers = {
        name: buffer.clone()
        for name, buffer in network.named_buffers()
        if not isinstance(buffer, UninitializedBuffer)
    }
    was_training = network.training
    devices = {weight.device for weight in network.parameters() if weight.device.type == "cuda"}
    with torch.random.fork_rng(devices=[device.index for device in devices]):
        try:
            yield
        finally:
            network.train(was_training)
            for name, buffer in network.named_buffers():
                if name in buffers:
                    buffer.copy_(buffers[name])


def _complaint(
    network: OwnNetwork, channels: int, classes: int, size: tuple[int, int], batch_size: int
) -> str | None:
    """What is wrong with patches of `size` or what comes of them, in words that follow the network's name."""
    try:
        with calling_own_code():
            outputs = _outputs(network, channels, size, batch_size)
    except OwnCodeError as error:
        return f"refused patches of {list(size)} with {channels} channel(s): {error}"
    return _fault(outputs, classes, size)


def _fault(outputs: Sequence[Any], classes: int, size: tuple[int, int]) -> str | None:
    expected = f"expected logits (B, {classes}, {size[0]}, {size[1]}), or a list of them"
    if not outputs or not all(isinstance(logits, Tensor) and logits.ndim == 4 for logits in outputs):
        kinds = [list(one.shape) if isinstance(one, Tensor) else type(one).__name__ for one in outputs]
        return f"returned {kinds}: {expected}"
    shapes = [list(logits.shape) for logits in outputs]
    if any(shape[1] != classes for shape in shapes):
        return f"returned {shapes}: {expected}, with a channel per class, background included"
    if tuple(shapes[0][2:]) != size:
        return f"returned {shapes}: {expected}, the first of the images' size"
    if any(side % part for shape in shapes for side, part in zip(size, shape[2:], strict=True)):
        return f"returned {shapes}: {expected}, whose sizes divide the images'"
    if not all(logits.isfinite().all() for logits in outputs):
        return "returned NaN or infinite logits for random images: look at how its weights start"
    return None


def _larger_sizes(size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The next multiples of powers of two."""
    step = 2
    while step <= LONGEST_STEP:
        height, width = (-(-side // step) * step for side in size)
        yield height, width
        step *= 2
