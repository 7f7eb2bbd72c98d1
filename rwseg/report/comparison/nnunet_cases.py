"""The validation of a fold of nnU-Net, case by case: its summary.json, and distances of its label maps."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rwseg.core.errors import MALFORMED, RunError
from rwseg.core.progress import track
from rwseg.core.validation import Unit
from rwseg.data.case import IGNORE, plain_labels
from rwseg.data.datasets.nnunet_json import Description
from rwseg.data.io import pictures
from rwseg.data.io.cases import read_volume
from rwseg.data.io.image_grid import Volume, check_same_grid, to_slices
from rwseg.data.io.labels import to_classes
from rwseg.metrics import case_metrics
from rwseg.report.comparison.run_tables import COLUMNS

SLICE_AXIS = 2
SAME_DICE = 1e-4
"""nnU-Net writes 16 digits; another prediction differs by more."""


def fold_cases(fold: Path, description: Description) -> tuple[pd.DataFrame, str]:
    """The rows of contract C6 for the cases that a fold was validated on, and what they lack, in a sentence.

    Distances are this project's (`rwseg.metrics`), of the label maps beside summary.json and the references
    that it names, or those of that name below `nnUNet_preprocessed` or `nnUNet_raw`. Where either is gone
    there are none. Raises `RunError` for a faulty summary.json, also for one of other predictions, and
    `DataError` for a label map that cannot be read.
    """
    path = fold / "validation" / "summary.json"
    rows: list[Mapping[str, Any]] = []
    without = []
    try:
        entries = list(json.loads(path.read_text(encoding="utf-8"))["metric_per_case"])
        for entry in track(entries, f"measuring {fold.parent.name}, {fold.name}"):
            files = _files(fold, entry)
            name = Path(entry["prediction_file"]).name.removesuffix(description.ending)
            told = list(_told(entry["metrics"], description))
            measured = None if files is None else _measured(*files, description)
            if measured is None:
                without.append(name)
            else:
                _check_same(path, name, told, measured)
            rows += ({"case": name, "subject": name, "phase": None, **row} for row in measured or told)
    except MALFORMED as error:
        raise RunError(f"{path}: expected the summary of a validation, got: {error!r}") from error
    return pd.DataFrame(rows, columns=list(COLUMNS)), _lacking(fold, without)


def _lacking(fold: Path, cases: list[str]) -> str:
    if not cases:
        return ""
    return (
        f"{fold.name}: no Hausdorff distances of {len(cases)} cases, for summary.json has none, and their "
        f"label maps or references are gone, such as those of {cases[0]}"
    )


def _files(fold: Path, entry: Mapping[str, Any]) -> tuple[Path, Path] | None:
    """The prediction of a case and its reference, where both are there."""
    named = Path(entry["reference_file"])
    prediction = fold / "validation" / Path(entry["prediction_file"]).name
    references = [path for path in (named, *_elsewhere(fold.parents[1].name, named.name)) if path.is_file()]
    return (prediction, references[0]) if prediction.is_file() and references else None


def _elsewhere(dataset: str, name: str) -> Iterator[Path]:
    """Where a reference lies on the machine that the report is made on."""
    for variable, folder in (("nnUNet_preprocessed", "gt_segmentations"), ("nnUNet_raw", "labelsTr")):
        if os.environ.get(variable):
            yield Path(os.environ[variable], dataset, folder, name)


def _told(metrics: Mapping[str, Any], description: Description) -> Iterator[dict[str, Any]]:
    """What summary.json says of a case: Dice and the numbers of voxels, no distance."""
    unit: Unit = "px" if description.ending in pictures.ENDINGS else "mm"
    for label, class_name in list(enumerate(description.classes))[1:]:
        found = metrics[str(label)]
        reference, predicted = int(found["n_ref"]), int(found["n_pred"])
        yield {
            "label": label,
            "class_name": class_name,
            "dice": float(found["Dice"]) if reference or predicted else float("nan"),
            "hausdorff": float("nan"),
            "hausdorff95": float("nan"),
            "unit": unit,
            "reference_voxels": reference,
            "predicted_voxels": predicted,
            "missed": int(reference > 0 and predicted == 0),
            "spurious": int(predicted > 0 and reference == 0),
        }


def _measured(prediction: Path, reference: Path, description: Description) -> list[dict[str, Any]]:
    truth, predicted = (read_volume(path, SLICE_AXIS, labels=True) for path in (reference, prediction))
    check_same_grid(truth, predicted)
    known, found = _classes(truth, description), _classes(predicted, description)
    unlabelled = known == IGNORE
    known, found = (np.where(unlabelled, np.uint8(0), labels) for labels in (known, found))
    rows = case_metrics(found, known, description.classes, truth.spacing[::-1], unit=truth.unit)
    return [dict(row) for row in rows]


def _classes(volume: Volume, description: Description) -> NDArray[np.uint8]:
    values = plain_labels(len(description.classes))
    classes, _ = to_classes(volume.path, volume.array, values, description.ignore)
    slices: NDArray[np.uint8] = to_slices(classes, SLICE_AXIS)[0]
    return slices


def _check_same(path: Path, case: str, told: list[dict[str, Any]], measured: list[dict[str, Any]]) -> None:
    """Raise `RunError` where label maps have another Dice than summary.json: it measured others."""
    for one, other in zip(told, measured, strict=True):
        if not np.isclose(one["dice"], other["dice"], rtol=0, atol=SAME_DICE, equal_nan=True):
            raise RunError(
                f"{path}: expected the Dice of the label maps beside it, {other['dice']:.4f} for {case}, "
                f"{other['class_name']}, got {one['dice']:.4f}: it is of other predictions or references; "
                "validate again with nnUNetv2_train ... --val"
            )
