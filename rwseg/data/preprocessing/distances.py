"""Distances of region-wise maps, computed once per volume in mm and kept beside the prepared arrays.

`inside`  `(Z, H, W)`     mm to the nearest voxel of another class: all that RRW maps need, whatever K is.
`signed`  `(K, Z, H, W)`  the boundary map of Eq. 3: minus the distance inside each class, plus outside.

Voxels that nobody labelled (`IGNORE`) stand as background: some class they must be for the others to have a
boundary, and their own distances are never used.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rwseg.core.build_once import BESIDE, build_once
from rwseg.core.errors import DataError
from rwseg.core.files import save_array
from rwseg.core.journal import Journal, take_over
from rwseg.data.case import IGNORE
from rwseg.data.parallel import SECONDS_TO_START, Workers
from rwseg.data.preprocessing.each_once import Noted, each_once
from rwseg.data.preprocessing.prepared import Entry, Prepared
from rwseg.data.preprocessing.tables import LARGEST, largest_by_class, write_table
from rwseg.maps import boundary_map
from rwseg.maps.distance import inside_distance

KIND_OF_MAP = {"rrw": "inside", "boundary": "signed"}
"""Which distances a map is made from; maps that are not listed cost less than reading them would."""


def ensure_distances(
    prepared: Prepared,
    map_name: str | None,
    workers: int = 1,
    setting: str = BESIDE,
    seconds_here: float = SECONDS_TO_START,
) -> None:
    """Compute the distances that `map_name` needs for all labelled volumes, unless they are there.

    A map that is not in `KIND_OF_MAP` needs none. `workers` processes share the volumes that are left
    after `seconds_here` in this one. Raises `DataError` for a label array that cannot be read and where
    nothing can be written; `setting` is what names a folder where it can.
    """
    kind = KIND_OF_MAP.get(map_name or "")
    if kind is None or (prepared.folder / kind).is_dir():
        return
    labelled = [entry for entry in prepared.entries if entry.has_label]

    def make(folder: Path) -> None:
        work = partial(_compute, replace(prepared, entries=()), kind, folder)
        what = f"distances of {prepared.name} ({kind})"
        journal = Journal(folder)
        with Workers(workers, seconds_here) as processes:
            made, faults = each_once(journal, processes, work, labelled, what, _noted, _known)
        if faults:
            raise DataError("\n".join(faults))
        journal.remove()
        if kind == "inside":
            names, largest = zip(*made, strict=True)
            write_table(folder / Path(LARGEST).name, names, largest)

    build_once(prepared.folder / kind, make, setting, take_over=take_over)


def _compute(prepared: Prepared, kind: str, folder: Path, entry: Entry) -> tuple[str, NDArray[np.float32]]:
    """Write the distances of a volume; its name, and for `inside` the largest of each class `(1, K)`."""
    distance = COMPUTE[kind](prepared, entry)
    save_array(folder / f"{entry.name}.npy", distance)
    if kind != "inside":
        return entry.name, np.empty((0, 0), np.float32)
    return entry.name, largest_by_class(distance, prepared.label(entry), len(prepared.classes))[None]


def _noted(made: tuple[str, NDArray[np.float32]]) -> Noted:
    name, largest = made
    return Noted([f"{name}.npy"], largest.tolist())


def _known(entry: Entry, largest: Any) -> tuple[str, NDArray[np.float32]]:
    return entry.name, np.array(largest, np.float32)


def _inside(prepared: Prepared, entry: Entry) -> NDArray[np.float32]:
    return inside_distance(_labels(prepared, entry), entry.spacing)[0].numpy()


def _signed(prepared: Prepared, entry: Entry) -> NDArray[np.float32]:
    return boundary_map(_labels(prepared, entry), len(prepared.classes), entry.spacing)[0].numpy()


def _labels(prepared: Prepared, entry: Entry) -> torch.Tensor:
    """`(1, Z, H, W)`; a copy, because the file is mapped read-only and a tensor must be writable."""
    labels = np.array(prepared.label(entry))
    labels[labels == IGNORE] = 0
    return torch.from_numpy(labels)[None]


COMPUTE: dict[str, Callable[[Prepared, Entry], NDArray[np.float32]]] = {"inside": _inside, "signed": _signed}
