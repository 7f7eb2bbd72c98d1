"""Preparation: from a dataset's files to arrays that training maps into memory, once per data and settings.

The folder's name holds a hash of the files' content, the settings and the format below, so the same data in
another place is found again, and anything that would change an array makes another folder.
"""

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rwseg.data.case import Case, Dataset
from rwseg.data.nifti import LoadedCase, read_case
from rwseg.data.resample import plane_size, resample_image, resample_labels
from rwseg.data.store import MANIFEST, Entry, Prepared, manifest_of, open_prepared
from rwseg.errors import DataError
from rwseg.files import building, save_array, write_json
from rwseg.progress import track

FORMAT = 2
"""Raise this when the arrays' meaning changes: older preparations are then made again."""

MOST_FAULTS = 20


def prepare(dataset: Dataset, root: Path, prepared_root: Path, zoom: float) -> Prepared:
    """Return the prepared form of the dataset at `root`, making it below `prepared_root` unless it is there.

    `zoom` scales the in-plane size (0.5 halves the resolution); images are standardised after it. Raises
    `DataError` that lists every faulty case, or says that the disk is full.
    """
    cases = dataset.load(root)
    _check_names(dataset, cases, root)
    digest = _digest(dataset, cases, root, zoom)
    folder = prepared_root / f"{dataset.name}-{digest[:12]}"
    if not folder.is_dir():
        with building(folder) as temporary:
            if temporary is not None:
                _build(dataset, cases, root, zoom, digest, temporary)
    return open_prepared(folder, root)


def standardise(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """`(x - mean) / (std + 1e-8)` over each channel of a volume `(C, Z, H, W)`, as nnU-Net does it."""
    mean = image.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64)
    std = image.std(axis=(1, 2, 3), keepdims=True, dtype=np.float64)
    standard: NDArray[np.float32] = ((image - mean) / (std + 1e-8)).astype(np.float32)
    return standard


def _check_names(dataset: Dataset, cases: list[Case], root: Path) -> None:
    """Two cases of one name would overwrite each other's arrays."""
    names = Counter(case.name for case in cases)
    faults = [f"{name}: expected one case of this name, got {n}" for name, n in names.items() if n > 1]
    _report(dataset, root, faults, cases)


def _digest(dataset: Dataset, cases: list[Case], root: Path, zoom: float) -> str:
    """Hash of everything that the prepared arrays depend on; the same data elsewhere has the same hash."""
    settings = {"format": FORMAT, "dataset": dataset.name, "classes": dataset.classes, "zoom": zoom}
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16)
    faults: list[str] = []
    for case in cases:
        digest.update(f"{case.name}|{case.subject}|{case.phase}|{case.split}".encode())
        for path in (*case.images, *([case.label] if case.label else [])):
            digest.update(path.relative_to(root).as_posix().encode())
            try:
                digest.update(hashlib.blake2b(path.read_bytes(), digest_size=16).digest())
            except OSError as error:
                faults.append(f"{path}: expected a readable file, got: {error.strerror}; restore it")
    _report(dataset, root, faults, cases)
    return digest.hexdigest()


def _build(dataset: Dataset, cases: list[Case], root: Path, zoom: float, digest: str, folder: Path) -> None:
    entries: list[Entry] = []
    faults: list[str] = []
    for case in track(cases, f"preparing {dataset.name}"):
        try:
            loaded = read_case(case, len(dataset.classes))
        except DataError as fault:
            faults.append(str(fault))
            continue
        if not faults:
            entries.append(_store(case, loaded, root, zoom, len(dataset.classes), folder))
    _report(dataset, root, faults, cases)
    prepared = Prepared(folder, root, dataset.name, dataset.classes, digest, tuple(entries))
    write_json(folder / MANIFEST, manifest_of(prepared))


def _report(dataset: Dataset, root: Path, faults: list[str], cases: list[Case]) -> None:
    """Raise `DataError` with all `faults` of a dataset's cases, if there are any."""
    if not faults:
        return
    shown = [f"  - {fault}" for fault in faults[:MOST_FAULTS]]
    if len(faults) > MOST_FAULTS:
        shown.append(f"  and {len(faults) - MOST_FAULTS} more")
    raise DataError(
        f"dataset '{dataset.name}' in {root}: {len(faults)} faults in {len(cases)} cases:\n"
        + "\n".join(shown)
    )


def _store(case: Case, loaded: LoadedCase, root: Path, zoom: float, num_classes: int, folder: Path) -> Entry:
    depth, height, width = loaded.image.shape[1:]
    size = plane_size((height, width), zoom)
    image = standardise(resample_image(loaded.image, size))
    save_array(folder / "image" / f"{case.name}.npy", image)
    voxels: tuple[int, ...] = ()
    if loaded.label is not None:
        label = resample_labels(loaded.label, size, num_classes)
        save_array(folder / "label" / f"{case.name}.npy", label)
        if label.shape != loaded.label.shape:
            save_array(folder / "reference" / f"{case.name}.npy", loaded.label)
        voxels = tuple(int(count) for count in np.bincount(label.ravel(), minlength=num_classes))
    z, y, x = loaded.spacing
    return Entry(
        name=case.name,
        subject=case.subject,
        phase=case.phase,
        split=case.split,
        images=tuple(path.relative_to(root).as_posix() for path in case.images),
        has_label=loaded.label is not None,
        shape=(depth, *size),
        spacing=(z, y * height / size[0], x * width / size[1]),
        native_shape=(depth, height, width),
        native_spacing=(z, y, x),
        voxels=voxels,
    )
