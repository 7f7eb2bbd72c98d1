"""An image that belongs to no dataset, an array or files, as the case that a run's preprocessing takes."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rwseg.core.errors import RunError
from rwseg.core.paths import user_path
from rwseg.core.validation import check_spacing
from rwseg.data.case import Case, LoadedCase, Source
from rwseg.data.io.cases import read_case
from rwseg.data.io.pictures import is_picture
from rwseg.data.oddities import remark_lines
from rwseg.models.inference.inference_spec import InferenceSpec

log = logging.getLogger(__name__)

Image = NDArray[Any] | Tensor | str | Path | Sequence[str | Path]
"""An array `(C, [Z,] H, W)`, or a file, or one file per channel."""


class NewImage(NamedTuple):
    """A case without labels; `planar` says that it has no slice axis of its own."""

    case: LoadedCase
    planar: bool


def new_image(image: Image, spacing: Sequence[float] | None, data: InferenceSpec) -> NewImage:
    """The case that `image` is for a run on `data`, read or checked as training read its own.

    Raises `ValueError` for an array of other axes or channels than the run's, of no numbers or not finite,
    and for a spacing that does not fit; `TypeError` for what is neither array nor file; `DataError` as
    `rwseg.data.io.cases.read_case`; `RunError` for a file where the run's dataset rewrote its cases.
    """
    if isinstance(image, str | Path):
        return _from_files([image], spacing, data)
    if isinstance(image, np.ndarray | Tensor):
        return _from_array(image, spacing, data)
    if isinstance(image, Sequence) and image and all(isinstance(one, str | Path) for one in image):
        return _from_files(image, spacing, data)
    raise TypeError(
        f"image: expected a NumPy array, a tensor, a file or one file per channel, got {type(image).__name__}"
    )


def source_of_new(data: InferenceSpec) -> Source:
    """How files are read that belong to no dataset: as those that the run was trained on."""
    return Source((), data.classes, data.channels, data.label_values, slice_axis=data.slice_axis)


def check_not_converted(data: InferenceSpec, run: Path) -> None:
    """Raise `RunError` for a run whose dataset rewrote its cases: it needs other files than there are."""
    if data.converted:
        raise RunError(
            f"{run}: was trained on cases that '{data.dataset}' rewrote, on a grid that is not the file's; "
            "use a run on data as they are, or evaluate a split"
        )


def _from_files(
    files: Sequence[str | Path], spacing: Sequence[float] | None, data: InferenceSpec
) -> NewImage:
    if spacing is not None:
        raise ValueError(f"spacing: expected None for a file, which has its own, got {tuple(spacing)}")
    paths = tuple(user_path(str(file)) for file in files)
    case = Case(paths[0].name, "", "", "test", paths, None)
    loaded = read_case(case, source_of_new(data), data.slice_axis)
    for line in remark_lines([(case.name, loaded.remarks)]):
        log.warning("odd data: %s", line)
    return NewImage(loaded, is_picture(paths[0]))


def _from_array(
    image: NDArray[Any] | Tensor, spacing: Sequence[float] | None, data: InferenceSpec
) -> NewImage:
    if isinstance(image, Tensor):
        image = image.detach().to("cpu", torch.float32).numpy()
    _check_shape(image.shape, data.channels)
    if not np.issubdtype(image.dtype, np.number) or np.issubdtype(image.dtype, np.complexfloating):
        raise ValueError(f"image: expected integer or floating values, got {image.dtype}")
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is reported just below
        values = np.ascontiguousarray(image, dtype=np.float32)
    faulty = np.count_nonzero(~np.isfinite(values))
    if faulty:
        raise ValueError(f"image: expected finite values, got {faulty} NaN or infinite; repair the image")
    planar = values.ndim == 3
    steps = _steps(spacing, values.ndim - 1, data)
    loaded = LoadedCase(values[:, None] if planar else values, None, steps)
    return NewImage(loaded, planar)


def _check_shape(shape: tuple[int, ...], channels: Sequence[str]) -> None:
    count = len(channels)
    if len(shape) not in (3, 4) or shape[0] != count or 0 in shape:
        advice = "an axis of one channel is added by image[None]" if count == 1 else "channels come first"
        raise ValueError(
            f"image: expected shape ({count}, H, W) or ({count}, Z, H, W), with {count} "
            f"channel{'s' * (count > 1)} ({', '.join(channels)}), got {shape}; {advice}"
        )


def _steps(spacing: Sequence[float] | None, axes: int, data: InferenceSpec) -> tuple[float, float, float]:
    """Spacing (z, y, x); without one pixels are 1, as those of pictures, which must not be taken for mm."""
    wanted = data.preprocessing.spacing
    if spacing is None and wanted not in (None, (1.0, 1.0)):
        raise ValueError(
            f"spacing: expected mm per axis {'(z, y, x)' if axes == 3 else '(y, x)'}, because this run "
            f"resamples to {wanted[0]:g} x {wanted[1]:g} mm, got None"
        )
    steps = check_spacing(spacing, axes)
    return (steps[0] if axes == 3 else 1.0), steps[-2], steps[-1]
