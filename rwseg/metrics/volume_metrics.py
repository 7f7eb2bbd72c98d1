"""Dice and Hausdorff distances of one volume, per foreground class, in the unit of its spacing.

The surface of a structure is the mask without its erosion by face connectivity; voxels at the image border
belong to it. An image of a single slice has no border across it: its surface is the contour in plane, and so
lies its diagonal. Distances are MONAI's: the Hausdorff distance is the larger of the two directed maxima,
hausdorff95 the larger of the two directed 95th percentiles.
"""

from collections.abc import Sequence
from math import nan
from typing import Any, Literal, TypedDict, get_args

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from rwseg.core.validation import Unit, check_spacing

LabelVolume = NDArray[np.integer[Any]]
Mask = NDArray[np.bool_]
Distances = NDArray[np.floating[Any]]
MissedPolicy = Literal["nan", "diagonal"]


VOXELS_PER_POINT = 50
"""A search tree takes for one point about as long as the distance transform for so many voxels."""


class ClassMetrics(TypedDict):
    """The metrics of one foreground class in one volume; distances in `unit`.

    `missed` is 1 where the reference has the structure and the prediction nothing of it, `spurious` where it
    is the other way round.
    """

    label: int
    class_name: str
    dice: float
    hausdorff: float
    hausdorff95: float
    unit: Unit
    reference_voxels: int
    predicted_voxels: int
    missed: int
    spurious: int


def case_metrics(
    prediction: LabelVolume,
    reference: LabelVolume,
    classes: Sequence[str],
    spacing: Sequence[float],
    missed: MissedPolicy = "nan",
    unit: Unit = "mm",
) -> list[ClassMetrics]:
    """Return one row per foreground class of two integer `(Z, H, W)` label maps.

    `classes` names all labels, the background first; `spacing` is along (Z, H, W) in `unit`. A structure that
    only one of the two maps holds, missed or spurious, has Dice 0, and Hausdorff distances by the policy
    `missed`: NaN, or the length of the volume's diagonal. A structure that neither holds is NaN throughout
    and neither missed nor spurious. Raises `ValueError` for volumes that differ in shape, are not 3-D or not
    of integers, a label outside the classes, an unknown policy and a wrong spacing.
    """
    _check_volumes(prediction, reference, len(classes))
    steps = check_spacing(spacing, 3)
    if missed not in get_args(MissedPolicy):
        raise ValueError(f"missed: expected one of {', '.join(get_args(MissedPolicy))}, got {missed!r}")
    axes = _extended_axes(reference)
    diagonal = float(np.linalg.norm([reference.shape[axis] * steps[axis] for axis in axes]))
    fill = diagonal if missed == "diagonal" else nan
    foreground = _bounding_box((prediction != 0) | (reference != 0))
    predicted, truth = prediction[foreground], reference[foreground]
    return [
        _class_metrics(predicted == label, truth == label, label, classes[label], steps, axes, fill, unit)
        for label in range(1, len(classes))
    ]


def _class_metrics(
    predicted: Mask,
    reference: Mask,
    label: int,
    name: str,
    spacing: tuple[float, ...],
    axes: Sequence[int],
    fill: float,
    unit: Unit,
) -> ClassMetrics:
    predicted_voxels, reference_voxels = int(predicted.sum()), int(reference.sum())
    dice = hausdorff = hausdorff95 = nan
    if predicted_voxels and reference_voxels:
        overlap = int((predicted & reference).sum())
        dice = 2 * overlap / (predicted_voxels + reference_voxels)
        hausdorff, hausdorff95 = _hausdorff(predicted, reference, spacing, axes)
    elif predicted_voxels or reference_voxels:
        dice, hausdorff, hausdorff95 = 0.0, fill, fill
    return ClassMetrics(
        label=label,
        class_name=name,
        dice=dice,
        hausdorff=hausdorff,
        hausdorff95=hausdorff95,
        unit=unit,
        reference_voxels=reference_voxels,
        predicted_voxels=predicted_voxels,
        missed=int(reference_voxels > 0 and predicted_voxels == 0),
        spurious=int(predicted_voxels > 0 and reference_voxels == 0),
    )


def _extended_axes(image: LabelVolume) -> list[int]:
    """The axes along which an image goes on; where it has one voxel, all of them."""
    return [axis for axis, size in enumerate(image.shape) if size > 1] or list(range(image.ndim))


def _hausdorff(
    first: Mask, second: Mask, spacing: tuple[float, ...], axes: Sequence[int]
) -> tuple[float, float]:
    """Hausdorff distance and hausdorff95 of two masks with at least one voxel each."""
    box = _bounding_box(first | second)
    surfaces = _surface(first[box], axes), _surface(second[box], axes)
    directed = _directed(*surfaces, spacing), _directed(*surfaces[::-1], spacing)
    largest = max(float(distances.max()) for distances in directed)
    return largest, max(float(np.percentile(distances, 95)) for distances in directed)


def _surface(mask: Mask, axes: Sequence[int]) -> Mask:
    """The voxels of which a face neighbour along `axes` lies outside the mask.

    Cropping changes nothing: what lies beyond the box is outside the mask or outside the image.
    """
    inner = np.pad(mask, 1)
    core = (slice(1, -1),) * mask.ndim
    eroded = mask.copy()
    for axis in axes:
        for neighbour in (slice(None, -2), slice(2, None)):
            eroded &= inner[(*core[:axis], neighbour, *core[axis + 1 :])]
    return mask ^ eroded


def _directed(surface: Mask, other: Mask, spacing: tuple[float, ...]) -> Distances:
    """The distance of each voxel of `surface` to the nearest of `other`, in no particular order."""
    apart = surface & ~other
    points = int(np.count_nonzero(apart))
    distance = _by_tree if surface.size > VOXELS_PER_POINT * points else _by_transform
    return np.concatenate([np.zeros(np.count_nonzero(surface) - points), distance(apart, other, spacing)])


def _by_transform(surface: Mask, other: Mask, spacing: tuple[float, ...]) -> Distances:
    everywhere: Distances = edt.edt((~other).view(np.uint8), anisotropy=spacing, parallel=1)
    return everywhere[surface]


def _by_tree(surface: Mask, other: Mask, spacing: tuple[float, ...]) -> Distances:
    """For few voxels in a large box: a tree visits surfaces only."""
    tree = cKDTree(_points(other, spacing), balanced_tree=False, compact_nodes=False)
    distances: Distances = tree.query(_points(surface, spacing))[0]
    return distances


def _points(mask: Mask, spacing: tuple[float, ...]) -> NDArray[np.floating[Any]]:
    """Where the voxels of `mask` are, in the unit of `spacing`, `(N, axes)`."""
    points: NDArray[np.floating[Any]] = (
        np.stack(np.unravel_index(np.flatnonzero(mask), mask.shape), axis=-1) * spacing
    )
    return points


def _bounding_box(mask: Mask) -> tuple[slice, ...]:
    """The smallest box that holds a mask; an empty one where the mask is empty."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        occupied = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1) if len(occupied) else slice(0, 0))
    return tuple(box)


def _check_volumes(prediction: LabelVolume, reference: LabelVolume, num_classes: int) -> None:
    if prediction.shape != reference.shape or reference.ndim != 3:
        raise ValueError(
            f"expected prediction and reference of one shape (Z, H, W), "
            f"got {prediction.shape} and {reference.shape}"
        )
    for name, volume in (("prediction", prediction), ("reference", reference)):
        if not np.issubdtype(volume.dtype, np.integer):
            raise ValueError(f"{name}: expected integer labels, got {volume.dtype}")
        low, high = int(volume.min()), int(volume.max())
        if low < 0 or high >= num_classes:
            raise ValueError(f"{name}: expected labels in [0, {num_classes}), got values in [{low}, {high}]")
