"""What one batch needs of slices that are not on the training device: the parts around its boxes, in flat
arrays that are cut there as all slices would be.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rwseg.data.sampling.patches import Boxes, Floats, Ints, Size
from rwseg.data.sampling.slice_cache import Flat, mirrored
from rwseg.data.sampling.stores import Store, spline_coefficients


class Windows(NamedTuple):
    """The parts of their slices that warped samples read, `boxes` of `size`: splines, labels and maps."""

    samples: Ints  # (n,)
    boxes: Boxes  # of n
    size: Size


class Staged(NamedTuple):
    """A batch on its way to the device: sample i is cut from the i-th of `flat` slices of `sizes` (B, 2)."""

    step: int
    boxes: Boxes
    draws: Floats  # of the augmentation, (B, D)
    cases: Ints  # (B,)
    sizes: Ints
    flat: Flat


class Part(NamedTuple):
    """What is read of a slice, in pixels."""

    rows: slice
    columns: slice

    @property
    def shape(self) -> Size:
        """Height and width."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def stage(store: Store, sizes: Ints, boxes: Boxes, patch: Size, windows: Windows) -> tuple[Boxes, Flat]:
    """Read what the samples of `boxes` need of their slices, which are of `sizes` (B, 2).

    Returns the boxes by the numbers of their samples, and the parts of slices that have these numbers.

    Splines are made here of the whole slice, for all pixels of it have a say in each coefficient. Parts of
    warped samples come first, so that the coefficients have the places of their pixels.
    """
    parts = _parts(sizes, boxes, patch, windows)
    warped = set(windows.samples.tolist())
    order = sorted(range(len(parts)), key=lambda sample: sample not in warped)
    ends = np.cumsum([np.prod(parts[sample].shape) for sample in order]).tolist()
    offsets = np.empty(len(parts), dtype=np.int64)
    image, labels, planes, coefficients = [], [], [], []
    for sample, end in zip(order, ends, strict=True):
        number, (rows, columns) = int(boxes.slices[sample]), parts[sample]
        height, width = parts[sample].shape
        offsets[sample] = end - height * width - (rows.start * width + columns.start)
        whole = store.image(number)
        image.append(_flat(whole[:, rows, columns]))
        labels.append(_flat(store.labels(number)[None, rows, columns]))
        channels = store.map_channels(number, rows, columns)
        if channels is not None:
            planes.append(channels.flatten(1))
        if sample in warped:
            coefficients.append(_flat(spline_coefficients(whole, rows, columns)))
    widths = np.array([part.shape[1] for part in parts])
    flat = Flat(
        geometry=torch.from_numpy(np.stack([offsets, *sizes.T, widths])),
        image=torch.cat(image, dim=1),
        labels=torch.cat(labels, dim=1)[0],
        map_channels=torch.cat(planes, dim=1) if planes else None,
        coefficients=torch.cat(coefficients, dim=1) if coefficients else None,
        scales=None if store.scales is None else store.scales[..., torch.from_numpy(boxes.slices)],
    )
    return Boxes(np.arange(len(parts)), boxes.top, boxes.left, boxes.flips), flat


def pinned(staged: Staged, device: torch.device) -> Staged:
    """`staged` in pinned memory where it goes to a GPU: only that travels while host and GPU go on."""
    if device.type != "cuda":
        return staged
    return staged._replace(flat=staged.flat.each(Tensor.pin_memory))


def moved(flat: Flat, device: torch.device) -> Flat:
    """`flat`, pinned for a GPU, on `device`: copied while the GPU works on what it was asked for before."""
    if device.type != "cuda":
        return flat.each(lambda part: part.to(device))
    copying, working = _copying(device), torch.cuda.current_stream(device)
    with torch.cuda.stream(copying):
        there = flat.each(lambda part: part.to(device, non_blocking=True))
    working.wait_stream(copying)
    for part in there:
        if part is not None:
            part.record_stream(working)  # its memory is not given away before the batch is cut
    return there


@cache
def _copying(device: torch.device) -> torch.cuda.Stream:
    """The stream of all copies to a GPU: PyTorch keeps the memory that was used in one for this one alone."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _parts(sizes: Ints, boxes: Boxes, patch: Size, windows: Windows) -> list[Part]:
    """The smallest part of each slice that holds the box of its sample, and its window if it has one."""
    spans = []
    starts = zip((boxes.top, boxes.left), (windows.boxes.top, windows.boxes.left), strict=True)
    for axis, (corner, of_window) in enumerate(starts):
        size = sizes[:, axis]
        low, high = corner.clip(0, size - 1), (corner + patch[axis] - 1).clip(0, size - 1)
        warped, count = windows.samples, windows.size[axis]
        if warped.size:
            read = mirrored(
                torch.from_numpy(of_window), torch.from_numpy(size[warped]), count
            ).numpy()  # clamped coordinates lie among these: the edge is mirrored upon itself
            low[warped] = np.minimum(low[warped], read.min(1))
            high[warped] = np.maximum(high[warped], read.max(1))
        spans.append([slice(*span) for span in zip(low.tolist(), (high + 1).tolist(), strict=True)])
    return [Part(*part) for part in zip(*spans, strict=True)]


def _flat(values: NDArray[np.generic]) -> Tensor:
    """`(M, h, w)`, perhaps of a file that is mapped, as `(M, h w)` in memory."""
    return torch.from_numpy(np.array(values)).flatten(1)
