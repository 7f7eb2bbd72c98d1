"""From a whole volume and a network to a label map on the native grid and its metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from rwseg.data.store import Entry
from rwseg.inference import predict_volume, to_native_labels
from rwseg.metrics import MissedPolicy, case_metrics

COLUMNS = (
    "case",
    "subject",
    "phase",
    "label",
    "class_name",
    "dice",
    "hausdorff_mm",
    "hausdorff95_mm",
    "reference_voxels",
    "predicted_voxels",
    "missed",
)
"""Columns of `cases.csv`, one row per case and foreground class."""

WINDOW_BATCH = 32
"""Windows that enter the network together: it bounds the memory that inference takes."""

Row = Mapping[str, Any]


def predict_labels(
    network: nn.Module, image: Tensor, entry: Entry, patch_size: Sequence[int], flips: bool
) -> NDArray[np.uint8]:
    """Label map `(Z, H, W)` on the native grid of `entry` for its prepared image `(C, Z, h, w)`."""
    probabilities = predict_volume(network, image, patch_size, flips, WINDOW_BATCH)
    return to_native_labels(probabilities, entry.native_shape).cpu().numpy()


def case_rows(
    prediction: NDArray[np.uint8],
    reference: NDArray[np.uint8],
    entry: Entry,
    classes: Sequence[str],
    missed: MissedPolicy,
) -> list[Row]:
    """Rows of `cases.csv` for one volume; both label maps `(Z, H, W)` on the native grid."""
    identity = {"case": entry.name, "subject": entry.subject, "phase": entry.phase}
    metrics = case_metrics(prediction, reference, classes, entry.native_spacing, missed)
    return [{**identity, **row} for row in metrics]


def case_table(rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as a table with the columns of `cases.csv`, sorted by case and label."""
    return pd.DataFrame(list(rows), columns=list(COLUMNS)).sort_values(["case", "label"], ignore_index=True)


def class_means(table: pd.DataFrame) -> dict[str, float]:
    """Means over cases, keyed as validation logs them: `val/dice`, `val/dice_RV`, `val/hausdorff_mm_RV`, ...

    `val/dice` is the mean over classes of the class means. A structure that is in neither map counts nowhere;
    `val/missed` counts structures that only one of the two maps holds.
    """
    grouped = table.groupby("class_name", sort=False)
    means: dict[str, float] = {}
    for metric in ("dice", "hausdorff_mm"):
        per_class = grouped[metric].mean()
        means[f"val/{metric}"] = float(per_class.mean())
        means |= {f"val/{metric}_{name}": float(value) for name, value in per_class.items()}
    means["val/missed"] = float(table["missed"].sum())
    return means
