"""From a whole volume and a network to a label map on the native grid and its metrics."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from rwseg.core.validation import Unit
from rwseg.data.case import IGNORE
from rwseg.data.preprocessing.center_crop import NO_PADDING, Padding
from rwseg.data.preprocessing.prepared import Entry
from rwseg.data.preprocessing.volume import Box
from rwseg.metrics import MissedPolicy, case_metrics
from rwseg.metrics.averages import class_means
from rwseg.models.inference.sliding_window import most_probable, predict_slices, to_native

COLUMNS = (
    "case",
    "subject",
    "phase",
    "label",
    "class_name",
    "dice",
    "hausdorff",
    "hausdorff95",
    "unit",
    "reference_voxels",
    "predicted_voxels",
    "missed",
    "spurious",
)
"""Columns of `cases.csv`, one row per case and foreground class."""

WINDOW_BATCH = 32
"""Windows that enter the network together: it bounds the memory that inference takes."""

Row = Mapping[str, Any]


class CaseIdentity(NamedTuple):
    """What `cases.csv` needs to know of a case that is not an entry of prepared data."""

    name: str
    subject: str
    phase: str
    native_spacing: tuple[float, float, float]
    unit: Unit


def native_probabilities(
    network: nn.Module,
    image: Tensor,
    native_shape: Sequence[int],
    crop: Box,
    patch_size: Sequence[int],
    flips: bool,
    padding: Padding = NO_PADDING,
) -> Iterator[Tensor]:
    """Probabilities `(K, H, W)`, slice by slice, on the native grid, for a prepared image `(C, Z, h, w)`.

    `crop` is the box of the native grid that was prepared, with `padding` around it. Raises `ValueError` for
    one outside of that grid or of other slices than those of `image`, and as
    `rwseg.models.inference.sliding_window.predict_slices`.
    """
    if not all(0 <= start < stop <= side for (start, stop), side in zip(crop, native_shape, strict=True)):
        raise ValueError(f"crop: expected a box inside of the native grid {tuple(native_shape)}, got {crop}")
    depth = crop[0][1] - crop[0][0]
    if image.ndim == 4 and image.shape[1] != depth:
        raise ValueError(f"crop: expected the {image.shape[1]} slices of the image, got {depth}")
    slices = predict_slices(network, image, patch_size, flips, WINDOW_BATCH)
    return to_native(slices, native_shape, crop, padding)


def predict_labels(
    network: nn.Module, image: Tensor, entry: Entry, patch_size: Sequence[int], flips: bool
) -> NDArray[np.uint8]:
    """Label map `(Z, H, W)` on the native grid of `entry` for its prepared image `(C, Z, h, w)`."""
    slices = native_probabilities(
        network, image, entry.native_shape, entry.crop, patch_size, flips, entry.padding
    )
    return most_probable([slices])


def case_rows(
    prediction: NDArray[np.uint8],
    reference: NDArray[np.uint8],
    case: Entry | CaseIdentity,
    classes: Sequence[str],
    missed: MissedPolicy,
) -> list[Row]:
    """Rows of `cases.csv` for one volume; both label maps `(Z, H, W)` on the native grid.

    Voxels that nobody labelled (`IGNORE`) are background in both maps.
    """
    unlabelled = reference == IGNORE
    prediction, reference = (np.where(unlabelled, np.uint8(0), labels) for labels in (prediction, reference))
    identity = {"case": case.name, "subject": case.subject, "phase": case.phase}
    metrics = case_metrics(prediction, reference, classes, case.native_spacing, missed, case.unit)
    return [{**identity, **row} for row in metrics]


def case_table(rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as a table with the columns of `cases.csv`, sorted by case and label."""
    return pd.DataFrame(list(rows), columns=list(COLUMNS)).sort_values(["case", "label"], ignore_index=True)


def validation_metrics(table: pd.DataFrame) -> dict[str, float]:
    """Means over cases, keyed as validation logs them: `val/dice`, `val/dice_RV`, `val/hausdorff_RV`, ...

    `val/dice` is the mean over classes (`averages.class_means`), distances are in the table's unit.
    `val/missed` and `val/spurious` count the structures that only the reference, or only the prediction has.
    """
    metrics = ("dice", "hausdorff")
    classes, overall = class_means(table, metrics)
    means: dict[str, float] = {}
    for metric in metrics:
        means[f"val/{metric}"] = float(overall[metric].iloc[0])
        means |= {f"val/{metric}_{name}": float(value) for name, value in classes[metric].items()}
    return means | {f"val/{count}": float(table[count].sum()) for count in ("missed", "spurious")}
