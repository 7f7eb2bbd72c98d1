"""Preparation: from a dataset's files to arrays that training maps into memory, once per data and settings.

The folder's name holds a hash of the files' content, the settings and the format below. It is built under
a temporary name and renamed, under a lock: a crash, a full disk or a second process never leaves or sees half of it.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from rwseg.data.case import Case, Dataset
from rwseg.data.nifti import LoadedCase, read_case
from rwseg.data.resample import plane_size, resample_image, resample_labels
from rwseg.data.store import MANIFEST, Entry, Prepared, manifest_of, open_prepared
from rwseg.errors import DataError
from rwseg.files import save_array, write_json
from rwseg.progress import track

FORMAT = 1
"""Raise this when the arrays' meaning changes: older preparations are then made again."""

MOST_FAULTS = 20

log = logging.getLogger(__name__)


def prepare(dataset: Dataset, root: Path, prepared_root: Path, zoom: float) -> Prepared:
    """Return the prepared form of the dataset at `root`, making it below `prepared_root` if it is not there yet.

    `zoom` scales the in-plane size (0.5 halves the resolution). Images are standardised per volume and channel,
    `(x - mean) / (std + 1e-8)`. Raises `DataError` that lists every faulty case, or says that the disk is full.
    """
    cases = dataset.load(root)
    digest = _digest(dataset, cases, root, zoom)
    folder = prepared_root / f"{dataset.name}-{digest[:12]}"
    if not (folder / MANIFEST).is_file():
        with locked(folder), new_folder(folder) as temporary:
            if temporary is not None:
                _build(dataset, cases, root, zoom, digest, temporary)
    return open_prepared(folder, root)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder` between processes; a process that dies releases it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("another process is preparing %s; waiting for it", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def new_folder(folder: Path) -> Iterator[Path | None]:
    """Yield a temporary folder that becomes `folder` on success, or None when `folder` is there already.

    Call it under `locked`. A full disk becomes a `DataError`; whatever was written is removed.
    """
    if folder.exists():
        yield None
        return
    temporary = folder.with_name(f".building-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)  # left by a process that was killed; we hold the lock
    temporary.mkdir(parents=True)
    try:
        yield temporary
        os.replace(temporary, folder)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = shutil.disk_usage(folder.parent).free
        raise DataError(
            f"no space left in {folder.parent} while preparing {folder.name}: expected room for its arrays, found "
            f"{free / 1e6:.1f} MB free; nothing was left behind. Free some space or set prepared_root to another disk"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _digest(dataset: Dataset, cases: list[Case], root: Path, zoom: float) -> str:
    """Hash of everything that the prepared arrays depend on; the same data elsewhere has the same hash."""
    settings = {"format": FORMAT, "dataset": dataset.name, "classes": dataset.classes, "zoom": zoom}
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16)
    for case in cases:
        digest.update(f"{case.name}|{case.subject}|{case.phase}|{case.split}".encode())
        for path in (*case.images, *([case.label] if case.label else [])):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(hashlib.blake2b(path.read_bytes(), digest_size=16).digest())
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
    if faults:
        shown = [f"  - {fault}" for fault in faults[:MOST_FAULTS]]
        if len(faults) > MOST_FAULTS:
            shown.append(f"  and {len(faults) - MOST_FAULTS} more")
        raise DataError(
            f"dataset '{dataset.name}' in {root}: {len(faults)} of {len(cases)} cases are faulty:\n" + "\n".join(shown)
        )
    prepared = Prepared(folder, root, dataset.name, dataset.classes, digest, tuple(entries))
    write_json(folder / MANIFEST, manifest_of(prepared))


def _store(case: Case, loaded: LoadedCase, root: Path, zoom: float, num_classes: int, folder: Path) -> Entry:
    depth, height, width = loaded.image.shape[1:]
    size = plane_size((height, width), zoom)
    image = resample_image(loaded.image, size)
    mean = image.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64)
    std = image.std(axis=(1, 2, 3), keepdims=True, dtype=np.float64)
    save_array(folder / "image" / f"{case.name}.npy", ((image - mean) / (std + 1e-8)).astype(np.float32))
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
