"""Files of the user's with a number for every voxel of a case, prepared as its image is: weights of the map.

`FOLDER/<case>.nii.gz`, in the grid of the case's image. They are cropped and resampled with it, once, and
kept beside the prepared arrays in a folder that is named by what they hold.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rwseg.core.build_once import BESIDE, build_once
from rwseg.core.errors import DataError
from rwseg.core.files import save_array
from rwseg.data.io.cases import ENDINGS, read_volume
from rwseg.data.io.image_grid import check_finite, check_same_grid, to_slices
from rwseg.data.parallel import Workers, raise_faults
from rwseg.data.preprocessing.prepared import Entry, Prepared
from rwseg.data.preprocessing.volume import prepare_pixels


def ensure_pixel_files(
    prepared: Prepared, entries: Sequence[Entry], folder: str, workers: int = 1, setting: str = BESIDE
) -> str:
    """Prepare the files of `entries` in `folder` (absolute, or below the dataset's root), if not done before.

    Returns what `Prepared.pixels` calls them, which has a hash of all files. `workers` processes share them.
    Raises `DataError` that lists every case without a file, files of another grid than the case's image, and
    values that are negative or not finite.
    """
    root = prepared.root / folder
    found = {entry.name: _path(root, entry) for entry in entries}
    faults = [str(path) for path in found.values() if isinstance(path, DataError)]
    raise_faults(f"pixel files in {root}", faults, len(entries))
    paths = {name: path for name, path in found.items() if isinstance(path, Path)}
    kind = f"pixels-{_digest(paths)}"

    def make(made: Path) -> None:
        work = partial(_prepare, replace(prepared, entries=()), paths, made)
        with Workers(workers) as processes:
            _, faults = processes.each(work, entries, f"pixel files of {prepared.name}")
        raise_faults(f"pixel files in {root}", faults, len(entries))

    build_once(prepared.folder / kind, make, setting)
    return kind


def _path(folder: Path, entry: Entry) -> Path | DataError:
    """The file of a case."""
    for ending in ENDINGS:
        path = folder / f"{entry.name}{ending}"
        if path.is_file():
            return path
    return DataError(
        f"{folder / entry.name}.nii.gz: expected a file for each training case, got none for {entry.name}; "
        "write one (of ones, where nothing is to change)"
    )


def _digest(paths: dict[str, Path]) -> str:
    digest = hashlib.blake2b(digest_size=6)
    for name, path in sorted(paths.items()):
        digest.update(f"{name}|{hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()}".encode())
    return digest.hexdigest()


def _prepare(prepared: Prepared, paths: dict[str, Path], folder: Path, entry: Entry) -> None:
    values = _read(prepared, paths[entry.name], entry)
    size, interpolation = entry.shape[1:], prepared.preprocessing.interpolation
    save_array(
        folder / f"{entry.name}.npy", prepare_pixels(values, entry.crop, entry.padding, size, interpolation)
    )


def _read(prepared: Prepared, path: Path, entry: Entry) -> NDArray[np.float32]:
    """The numbers on the native grid, `(Z, H, W)`."""
    volume, image = (read_volume(file, entry.slice_axis) for file in (path, prepared.source(entry)))
    check_same_grid(image, volume)
    check_finite(path, volume.array)
    values: NDArray[np.float32] = np.asarray(to_slices(volume.array, entry.slice_axis), np.float32)
    if values.shape != (1, *entry.native_shape):
        raise DataError(
            f"{path}: expected one number for each of {entry.native_shape} voxels (Z, H, W), got an array "
            f"(C, Z, H, W) of {values.shape}"
        )
    if values.min() < 0:
        raise DataError(f"{path}: expected numbers of 0 or more, got {values.min():.6g}; correct the file")
    only: NDArray[np.float32] = values[0]
    return only
