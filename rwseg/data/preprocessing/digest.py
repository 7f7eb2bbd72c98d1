"""The hash that a preparation is named by: of everything that its arrays depend on, and of nothing else."""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rwseg.core.errors import DataError
from rwseg.core.files import relative
from rwseg.data.case import Case, Source
from rwseg.data.preprocessing.config import PreprocessingConfig
from rwseg.data.preprocessing.fingerprint import needs_statistics


def digest_of(
    name: str, root: Path, source: Source, preparation: PreprocessingConfig, version: int, workers: int
) -> tuple[str, list[str]]:
    """Hash of a dataset's files and of how they are read and prepared; and what files cannot be read.

    Paths count from `root`, so the same data elsewhere has the same hash. The split counts only where the
    preparation takes statistics of the training cases: else all folds share one preparation.
    """
    convert = source.convert
    settings = {
        "format": version,
        "dataset": name,
        "classes": source.classes,
        "channels": source.channels,
        "label_values": source.label_values,
        "ignore": source.ignore,
        "slice_axis": source.slice_axis,
        "convert": None if convert is None else f"{convert.__module__}.{convert.__qualname__}",
        "preparation": asdict(preparation),
        "training": _training(source.cases) if needs_statistics(preparation) else None,
    }
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16)
    paths = [path for case in source.cases for path in _files(case)]
    with ThreadPoolExecutor(workers) as pool:  # reading and hashing run outside the interpreter's lock
        hashes = dict(zip(paths, pool.map(_hash, paths), strict=True))
    for case in source.cases:
        digest.update(f"{case.name}|{case.subject}|{case.phase}".encode())
        for path in _files(case):
            digest.update(f"|{relative(path, root)}|{hashes[path]}".encode())
    return digest.hexdigest(), [str(found) for found in hashes.values() if isinstance(found, DataError)]


def _files(case: Case) -> tuple[Path, ...]:
    return (*case.images, case.label) if case.label else case.images


def _training(cases: Sequence[Case]) -> list[str]:
    return sorted(case.name for case in cases if case.split == "train")


def _hash(path: Path) -> str | DataError:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=16)).hexdigest()
    except OSError as error:
        return DataError(f"{path}: expected a readable file, got: {error.strerror}; restore it")
