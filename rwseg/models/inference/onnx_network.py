"""A network in an ONNX file that `rwseg export` wrote, in place of the PyTorch module that it was made of."""

import hashlib
from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rwseg.core.errors import ConfigError, RunError

ONNX = ".onnx"
"""The ending of such a file."""


class OnnxNetwork(nn.Module):
    """Prepared images `(B, C, H, W)` to a list of their logits `(B, K, H, W)`, by onnxruntime on the CPU.

    The file gives probabilities, and their logarithms are logits. `multiple` is what sizes are multiples of.
    """

    digest: Tensor

    def __init__(self, path: Path, multiple: tuple[int, int]) -> None:
        super().__init__()
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RunError(
                f"{path}: expected an ONNX file, got: {error.strerror}; correct the path"
            ) from error
        self.run = onnx_session(content, path)
        self.multiple = multiple
        digest = hashlib.blake2b(content, digest_size=16).digest()
        self.register_buffer("digest", torch.frombuffer(bytearray(digest), dtype=torch.uint8))
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)  # says that this is on the CPU

    def forward(self, images: Tensor) -> list[Tensor]:
        """See the class."""
        return [torch.from_numpy(self.run(images.numpy())).log()]

    def accepted_size(self, size: Sequence[int]) -> tuple[int, int]:
        """As `UNet.accepted_size`: the smallest that holds an image of `size`."""
        height, width = (step * ceil(side / step) for side, step in zip(size, self.multiple, strict=True))
        return height, width * (2 if (height, width) == self.multiple else 1)


def onnx_session(content: bytes, path: Path | None = None) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """What computes the probabilities of images by an ONNX file, in as many threads as PyTorch has.

    Raises `ConfigError` without onnxruntime, `RunError` for a file that it cannot read.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError("ONNX files need onnxruntime: pip install 'rwseg[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common class but this one
        reason = next(iter(str(error).strip().splitlines()), "it says no more")
        raise RunError(
            f"{path or 'ONNX'}: expected a network that rwseg export wrote, got: {reason}"
        ) from error

    def run(images: NDArray[Any]) -> NDArray[Any]:
        [probabilities] = session.run(["probabilities"], {"images": images})
        return probabilities  # type: ignore[no-any-return]

    return run
