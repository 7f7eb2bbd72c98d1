"""Small tables of all prepared volumes, so that sampling need not read these: one file, found again by name.

`counts.npz`           pixels of each class in each slice, written by the preparation.
`inside/.largest.npz`  largest inside distance of each class in each volume, written with the distances.

Data that an older version prepared have none: then the volumes are read once, one at a time.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from rwseg.core.errors import MALFORMED, DataError
from rwseg.data.case import IGNORE
from rwseg.data.preprocessing.prepared import Entry, Prepared

COUNTS = "counts.npz"
LARGEST = "inside/.largest.npz"


def slice_counts(prepared: Prepared, entries: Sequence[Entry]) -> NDArray[np.int64]:
    """Pixels `(S, K)` of each class in each slice of labelled `entries`; `IGNORE` is none."""
    found = read_table(prepared.folder / COUNTS, [entry.name for entry in entries])
    classes = len(prepared.classes)
    return np.concatenate(found or [count_classes(prepared.label(entry), classes) for entry in entries])


def count_classes(labels: NDArray[np.uint8], num_classes: int) -> NDArray[np.int64]:
    """Pixels `(Z, K)` of each class in the slices of `labels` `(Z, H, W)`."""
    return np.stack([np.bincount(plane.ravel(), minlength=num_classes)[:num_classes] for plane in labels])


def largest_distances(prepared: Prepared, entries: Sequence[Entry]) -> NDArray[np.float32]:
    """Largest inside distance `(N, K)` of each class in each of labelled `entries`, 0 where it is absent."""
    found = read_table(prepared.folder / LARGEST, [entry.name for entry in entries])
    classes = len(prepared.classes)
    return np.concatenate(
        found
        or [
            largest_by_class(prepared.distance("inside", entry), prepared.label(entry), classes)[None]
            for entry in entries
        ]
    )


def largest_by_class(
    distance: NDArray[np.float32], labels: NDArray[np.uint8], num_classes: int
) -> NDArray[np.float32]:
    """Largest `distance` `(K,)` of each class in `labels` of the same shape; `IGNORE` has no say."""
    largest = np.zeros(IGNORE + 1, np.float32)
    for plane, label in zip(
        distance, labels, strict=True
    ):  # by slices: `maximum.at` takes indices of 8 bytes
        np.maximum.at(largest, label.ravel(), plane.ravel())
    return largest[:num_classes]


def write_table(path: Path, names: Sequence[str], parts: Sequence[NDArray[Any]]) -> None:
    """Write an array `(n, K)` per name to one file. Not atomic, as `rwseg.core.files.save_array`."""
    buffer = io.BytesIO()
    np.savez(buffer, names=np.array(names), rows=[len(part) for part in parts], values=np.concatenate(parts))
    with open(path, "wb") as file:
        file.write(buffer.getbuffer())


def read_table(path: Path, names: Sequence[str]) -> list[NDArray[Any]] | None:
    """The arrays of `names`; None where there is no such file. Raises `DataError` for a faulty one."""
    if not path.is_file():
        return None
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as content:
            known, rows, values = (content[key] for key in ("names", "rows", "values"))
        ends = np.cumsum(rows)
        places = {
            name: slice(end - count, end) for name, end, count in zip(known.tolist(), ends, rows, strict=True)
        }
        return [values[places[name]] for name in names]
    except (*MALFORMED, BadZipFile, TokenError) as error:
        raise DataError(
            f"{path}: expected a table of {len(names)} prepared volumes, found {error!r}; "
            f"delete {path.parent} and start again"
        ) from error
