"""A trained network as a graph for other programs: ONNX or torch.export, of any batch, height and width."""

import hashlib
import logging
import time
import warnings
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim

from rwseg.core.errors import ConfigError, ExportError
from rwseg.core.files import replacing, write_bytes, write_json
from rwseg.experiments.export.description import described, is_description, multiple_of
from rwseg.models.inference.onnx_network import onnx_session
from rwseg.models.inference.predictor import Predictor

LARGEST_DIFFERENCE = 1e-4
"""Of a probability, between PyTorch and the file: one that differs by more is not kept."""

Compute = Callable[[Tensor], NDArray[Any]]
"""Images `(B, C, H, W)` to class probabilities."""


class Probabilities(nn.Module):
    """What is exported: prepared images `(B, C, H, W)` to class probabilities `(B, K, H, W)`.

    The network is in channels-first memory, as other programs have it.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.network(images)[0]
        return logits.softmax(1)


class Padded(nn.Module):
    """The same of any size: zeros around it make a multiple of `multiple`, as in `AnySizeNetwork`."""

    def __init__(self, inner: Probabilities, multiple: tuple[int, int]) -> None:
        super().__init__()
        self.inner = inner
        self.multiple = multiple

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        height, width = images.shape[2:]
        sides = zip((height, width), self.multiple, strict=True)
        down, right = ((side + step - 1) // step * step - side for side, step in sides)
        top, left = down // 2, right // 2
        padded = F.pad(images, (left, right - left, top, down - top))
        probabilities: Tensor = self.inner(padded)
        return probabilities[:, :, top : top + height, left : left + width]


class Exported(NamedTuple):
    """A file that was written and checked; milliseconds are those of a patch in this process."""

    path: Path
    difference: float
    megabytes: float
    milliseconds: float
    milliseconds_torch: float

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.megabytes:.1f} MB; probabilities differ from PyTorch's by "
            f"{self.difference:.1e} at most; {self.milliseconds:.1f} ms a patch, PyTorch "
            f"{self.milliseconds_torch:.1f}"
        )


def write_onnx(predictor: Predictor, checkpoint: str, path: Path) -> Exported:
    """Write `path` (.onnx), which takes any batch and size, and beside it as .json what its user must know.

    Raises `ExportError` where the network cannot be exported, or onnxruntime computes something else.
    """
    graph = Padded(Probabilities(predictor.network.network), multiple_of(predictor)).eval()
    examples = _examples(predictor)
    program = _attempt(
        lambda: torch.onnx.export(
            graph,
            (examples[-1],),
            dynamo=True,
            verbose=False,
            input_names=["images"],
            output_names=["probabilities"],
            dynamic_shapes=({0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC},),
        )
    )
    content = program.model_proto.SerializeToString()
    run = onnx_session(content)
    exported = _checked(path, len(content), lambda images: run(images.numpy()), graph, examples)
    write_bytes(path, content)
    write_json(sidecar(path), {**described(predictor, checkpoint), "graph": _interface(predictor, content)})
    return exported


def write_program(predictor: Predictor, path: Path) -> Exported:
    """Write `path` (.pt2) for `torch.export.load`, of any batch and of sizes that the network takes.

    Raises as `write_onnx`.
    """
    graph, multiple = Probabilities(predictor.network.network).eval(), multiple_of(predictor)
    examples = [images for images in _examples(predictor, padded_to=multiple)]
    sides = {
        axis + 2: step * Dim(name, min=2)
        for axis, (step, name) in enumerate(zip(multiple, "hw", strict=True))
    }
    shapes = ({0: Dim("batch"), **sides},)
    program = _attempt(lambda: torch.export.export(graph, (examples[-1],), dynamic_shapes=shapes))
    with replacing(path) as temporary:
        torch.export.save(program, temporary)
        run = torch.export.load(temporary).module()
        size = temporary.stat().st_size
        return _checked(path, size, lambda images: run(images).detach().numpy(), graph, examples)


def sidecar(path: Path) -> Path:
    """Where the description of an ONNX file is."""
    return path.with_suffix(".json")


def check_sidecar(path: Path) -> None:
    """Raise `ConfigError` where the description of an ONNX file would replace a file of somebody else."""
    beside = sidecar(path)
    if beside.exists() and not is_description(beside):
        raise ConfigError(
            f"--onnx: {path.name} is described in {beside}, where another file is; give another name"
        )


def _attempt(export: Callable[[], Any]) -> Any:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of parts of torchvision
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of PyTorch's exporter about itself
            return export()
    except Exception as error:  # whatever a network of the user's does that a graph cannot hold
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = next(iter(str(cause).strip().splitlines()), "it says no more")
        raise ExportError(f"this network cannot be exported: {type(cause).__name__}: {reason}") from error


def _interface(predictor: Predictor, content: bytes) -> dict[str, Any]:
    """What a program that is not rwseg has to know."""
    data = predictor.data
    size = ["height", "width"]
    return {
        "input": {"name": "images", "type": "float32", "shape": ["batch", len(data.channels), *size]},
        "output": {"name": "probabilities", "type": "float32", "shape": ["batch", len(data.classes), *size]},
        "size_at_least": [side + 1 for side in multiple_of(predictor)],
        "prepare": {
            "spacing": data.preprocessing.spacing,
            "normalisation": data.preprocessing.normalisation,
            "patch_size": list(data.patch_size),
            "everything": "data.preprocessing",
        },
        "blake2b": hashlib.blake2b(content, digest_size=16).hexdigest(),
    }


def _examples(predictor: Predictor, padded_to: tuple[int, int] = (1, 1)) -> list[Tensor]:
    """Images of several sizes, the patch first, and last several that are of no size in particular."""
    channels, (height, width) = len(predictor.data.channels), predictor.data.patch_size
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, height, width), (1, height + 3, 2 * width - 5), (3, 2 * height - 1, width + 7)]
    sizes = [
        (count, *(-(-side // step) * step for side, step in zip(size, padded_to, strict=True)))
        for count, *size in shapes
    ]
    return [torch.randn(count, channels, *size, generator=generator) for count, *size in sizes]


def _checked(path: Path, size: int, run: Compute, graph: nn.Module, examples: list[Tensor]) -> Exported:
    def reference(images: Tensor) -> Any:
        with torch.inference_mode():
            return graph(images).numpy()

    difference = max(float(np.abs(run(images) - reference(images)).max()) for images in examples)
    if not difference <= LARGEST_DIFFERENCE:
        raise ExportError(
            f"{path}: expected probabilities within {LARGEST_DIFFERENCE:g} of PyTorch's, got a difference of "
            f"{difference:.2g}; nothing was written"
        )
    patch = examples[0][:1]
    return Exported(path, difference, size / 1e6, _milliseconds(run, patch), _milliseconds(reference, patch))


def _milliseconds(run: Callable[[Tensor], Any], images: Tensor) -> float:
    taken = []
    for _ in range(7):
        started = time.perf_counter()
        run(images)
        taken.append(1e3 * (time.perf_counter() - started))
    return median(taken)
