"""Preparation: from a dataset's files to arrays that training maps into memory, once per data and settings.

The folder's name holds a hash of the files' content, the settings and the format below, so the same data in
another place is found again, and anything that would change an array makes another folder.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rwseg.core.build_once import CACHE, build_once
from rwseg.core.errors import DataError, ReadOnlyError
from rwseg.core.files import from_json, relative, save_array, write_json
from rwseg.core.journal import Journal, take_over
from rwseg.data.case import Case, Dataset, LoadedCase, Source
from rwseg.data.io.cases import read_case, slice_axis_of
from rwseg.data.io.pictures import is_picture
from rwseg.data.oddities import fingerprint
from rwseg.data.parallel import Workers, raise_faults
from rwseg.data.preprocessing.config import FittedPreprocessing, PreprocessingConfig
from rwseg.data.preprocessing.cut import cut_lines
from rwseg.data.preprocessing.digest import digest_of
from rwseg.data.preprocessing.each_once import Noted, each_once
from rwseg.data.preprocessing.fingerprint import case_statistics, fit_preprocessing, needs_statistics
from rwseg.data.preprocessing.image_codes import Scale, encode
from rwseg.data.preprocessing.prepared import MANIFEST, Entry, Prepared, manifest_of, open_prepared
from rwseg.data.preprocessing.tables import COUNTS, count_classes, write_table
from rwseg.data.preprocessing.volume import PreparedVolume, prepare_volume
from rwseg.data.split import Fold, with_fold

log = logging.getLogger(__name__)

FORMAT = 7
"""Raise this when the arrays' meaning changes: older preparations are then made again."""

FITTED = "/"
"""What stands in a journal for the numbers of the rules: no case has this name."""

STORAGE = 2
"""Raise this when the same values are stored in another way: runs on either may be compared."""


@dataclass(frozen=True)
class _Work:
    """What is prepared: `source` lists the cases of the dataset `name` at `root`."""

    name: str
    root: Path
    source: Source
    preparation: PreprocessingConfig
    workers: int

    def check(self, faults: Sequence[str]) -> None:
        """Raise `DataError` with all `faults`, if there are any."""
        raise_faults(f"dataset '{self.name}' in {self.root}", faults, len(self.source.cases))


@dataclass(frozen=True)
class _Task:
    """What a process needs to prepare any case: `source` without its cases, and where to write."""

    source: Source
    slice_axis: int
    preprocessing: FittedPreprocessing
    root: Path
    folder: Path


def prepare(
    dataset: Dataset,
    root: Path,
    prepared_root: Path,
    preparation: PreprocessingConfig,
    fold: Fold = None,
    folds: int = 5,
    split_seed: int = 0,
    workers: int = 1,
    cache: Path | None = None,
) -> Prepared:
    """Return the prepared form of the dataset at `root`, making it below `prepared_root` unless it is there.

    Where `prepared_root` cannot be written, it is made below `cache` if that is given.

    The entries' splits are those of the dataset, or of fold `fold` of `folds` (`rwseg.data.split.with_fold`).
    `workers` processes share the cases, each holding one in memory; the arrays do not depend on how many.
    Raises `DataError` that lists every faulty case, or says that the disk is full, and `ConfigError` for a
    fold that there is not.
    """
    source = with_fold(dataset.load(root), fold, folds, split_seed)
    preparation = _for_pixels(preparation, source)
    work = _Work(dataset.name, root, source, preparation, workers)
    names = Counter(case.name for case in source.cases)  # two of one name would overwrite each other
    work.check([f"{name}: expected one case of this name, got {n}" for name, n in names.items() if n > 1])
    digest, unreadable = digest_of(dataset.name, root, source, preparation, FORMAT, workers)
    work.check(unreadable)
    folder = _prepared_folder(
        f"{dataset.name}-{digest[:12]}-{STORAGE}", prepared_root, cache, partial(_build, work, digest)
    )
    return open_prepared(folder, root, source.cases)


def _for_pixels(preparation: PreprocessingConfig, source: Source) -> PreprocessingConfig:
    """Of pictures the median spacing is 1, whichever train: nothing is read for it; folds share arrays."""
    are_pictures = all(is_picture(path) for case in source.cases for path in case.images)
    if preparation.spacing != "median" or not are_pictures:
        return preparation
    return replace(preparation, spacing=(1.0, 1.0))


def _prepared_folder(name: str, root: Path, cache: Path | None, make: Callable[[Path], None]) -> Path:
    """Where the preparation `name` is: in `root`, or in `cache` where `root` lacks it and is read-only."""
    if (root / name).is_dir():
        return root / name
    try:
        build_once(root / name, make, take_over=take_over)
        return root / name
    except ReadOnlyError:
        if cache is None:
            raise
    if not (cache / name).is_dir():
        log.info("%s cannot be written: preparing %s in %s", root, name, cache)
        build_once(cache / name, make, CACHE, take_over=take_over)
    return cache / name


def _build(work: _Work, digest: str, folder: Path) -> None:
    cases, source = work.source.cases, work.source
    slice_axis = slice_axis_of(source)
    bare = replace(source, cases=(), folds=())  # what a process needs of it
    journal = Journal(folder)
    with Workers(work.workers) as workers:
        preprocessing = _fitted_once(journal, lambda: _fitted(work, bare, slice_axis, workers))
        one = partial(_prepare_case, _Task(bare, slice_axis, preprocessing, work.root, folder))
        made, faults = each_once(journal, workers, one, cases, f"preparing {work.name}", _noted, _known)
    work.check(faults)
    journal.remove()
    entries = [entry for entry, _ in made]
    labelled = [(entry.name, counts) for entry, counts in made if counts is not None]
    if labelled:
        write_table(folder / COUNTS, *zip(*labelled, strict=True))
    prepared = Prepared(
        folder, work.root, work.name, source.classes, source.channels, preprocessing, digest, tuple(entries)
    )
    write_json(folder / MANIFEST, manifest_of(prepared))
    for line in cut_lines(prepared.entries, prepared.classes):
        log.warning("%s: %s", work.name, line)


def _fitted_once(journal: Journal, fitted: Callable[[], FittedPreprocessing]) -> FittedPreprocessing:
    """The numbers for the rules: those that were `fitted` before, or now."""
    if FITTED in journal.finished:
        found: FittedPreprocessing = from_json(FittedPreprocessing, journal.finished[FITTED])
        return found
    preprocessing = fitted()
    journal.add(FITTED, (), asdict(preprocessing))
    return preprocessing


def _fitted(work: _Work, source: Source, slice_axis: int, workers: Workers) -> FittedPreprocessing:
    """The numbers for the rules, from a first look at the training cases where a rule asks for one."""
    if not needs_statistics(work.preparation):
        return fit_preprocessing(work.preparation, ())
    look = partial(case_statistics, source, slice_axis, work.preparation)
    description = f"statistics of {work.name}"
    training = [case for case in work.source.cases if case.split == "train"]
    statistics, faults = workers.each(look, training, description)
    if faults:  # so the other cases' faults are told with them
        others = [case for case in work.source.cases if case.split != "train"]
        faults += workers.each(look, others, description)[1]
    work.check(faults)
    return fit_preprocessing(work.preparation, statistics)


def _prepare_case(task: _Task, case: Case) -> tuple[Entry, NDArray[np.int64] | None]:
    """Write the arrays of a case; its entry and, where it has a label, the pixels of classes by slice."""
    loaded = read_case(case, task.source, task.slice_axis)
    try:
        volume = prepare_volume(loaded, task.preprocessing, len(task.source.classes))
    except DataError as error:
        raise DataError(f"{case.name}: {error}") from error
    image, scales = encode(volume.image, loaded.image)
    entry = _entry(task, case, loaded, volume, scales)
    save_array(task.folder / "image" / f"{case.name}.npy", image)
    if volume.label is None or loaded.label is None:
        return entry, None
    save_array(task.folder / "label" / f"{case.name}.npy", volume.label)
    if not entry.is_native:
        save_array(task.folder / "reference" / f"{case.name}.npy", loaded.label)
    return entry, count_classes(volume.label, len(task.source.classes))


def _noted(made: tuple[Entry, NDArray[np.int64] | None]) -> Noted:
    entry, counts = made
    kinds = [] if counts is None else ["label", *([] if entry.is_native else ["reference"])]
    files = [f"{kind}/{entry.name}.npy" for kind in ("image", *kinds)]
    return Noted(files, [asdict(entry), None if counts is None else counts.tolist()])


def _known(case: Case, result: Any) -> tuple[Entry, NDArray[np.int64] | None]:
    entry, counts = result
    return from_json(Entry, entry | {"split": case.split}), None if counts is None else np.array(counts)


def _entry(
    task: _Task, case: Case, loaded: LoadedCase, volume: PreparedVolume, scales: tuple[Scale, ...]
) -> Entry:
    depth, height, width = volume.image.shape[1:]
    z, y, x = loaded.image.shape[1:]
    classes = len(task.source.classes)
    kept = None if loaded.label is None else loaded.label[*(slice(*span) for span in volume.crop)]
    native_voxels = _voxels(loaded.label, classes)
    return Entry(
        name=case.name,
        subject=case.subject,
        phase=case.phase,
        split=case.split,
        images=tuple(relative(path, task.root) for path in case.images),
        has_label=volume.label is not None,
        shape=(depth, height, width),
        spacing=volume.spacing,
        native_shape=(z, y, x),
        native_spacing=loaded.spacing,
        crop=volume.crop,
        slice_axis=task.slice_axis,
        voxels=_voxels(volume.label, classes),
        fingerprint=fingerprint(loaded.image),
        remarks=loaded.remarks,
        padding=volume.padding,
        native_voxels=native_voxels,
        cut_voxels=tuple(np.subtract(native_voxels, _voxels(kept, classes)).tolist()),
        unit=loaded.unit,
        scales=scales,
    )


def _voxels(label: NDArray[np.uint8] | None, classes: int) -> tuple[int, ...]:
    """Voxels of each class, those of `IGNORE` left out; none without a label."""
    if label is None:
        return ()
    return tuple(np.bincount(label.ravel(), minlength=classes)[:classes].tolist())
