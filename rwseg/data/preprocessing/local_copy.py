"""Copies of prepared arrays on a disk of the node: many processes read them there, and a server only once.

The copy is made once per node, and it appears whole or not at all.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from rwseg.core.build_once import CACHE, build_once
from rwseg.core.disk import check_room
from rwseg.core.errors import DataError
from rwseg.core.files import relative
from rwseg.data.preprocessing.distances import KIND_OF_MAP, ensure_distances
from rwseg.data.preprocessing.prepared import MANIFEST, Prepared
from rwseg.data.preprocessing.tables import COUNTS

BASE = ("image", "label", "reference", COUNTS, MANIFEST)
"""What every preparation holds; `reference`, `label` and counts only where there are some."""


def local_copy(prepared: Prepared, cache: Path, map_name: str | None, workers: int = 1) -> Prepared:
    """The same data, read from a copy below `cache`; it is made now unless it is there.

    The distances that `map_name` needs are copied too, or computed where nobody has yet: nothing is written
    beside the source. Processes that start at once wait for one that copies. Each file is read again and
    compared with its source. Raises `DataError` where the copy differs or cannot be written.
    """
    copy = replace(prepared, folder=cache / prepared.folder.name)
    base = [prepared.folder / name for name in BASE if (prepared.folder / name).exists()]
    build_once(copy.folder, partial(_copy, prepared.folder, base), CACHE)
    kind = KIND_OF_MAP.get(map_name or "")
    if kind is not None and (prepared.folder / kind).is_dir():
        source = prepared.folder / kind
        build_once(copy.folder / kind, partial(_copy, source, [source]), CACHE)
    ensure_distances(copy, map_name, workers, CACHE)
    return copy


def _copy(root: Path, sources: list[Path], folder: Path) -> None:
    """Copy files and folders of `root` to the same place in `folder`."""
    paths = [path for source in sources for path in _files(source)]
    check_room(folder, sum(path.stat().st_size for path in paths), f"the copy of {root}", CACHE)
    for path in paths:
        target = folder / relative(path, root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        with open(target, "rb") as file:
            os.fsync(file.fileno())
        if _digest(path) != _digest(target):
            raise DataError(
                f"{target}: expected the bytes of {path}, got others: the disk is faulty or the source was "
                f"changed; choose another folder ({CACHE}=...)"
            )


def _files(source: Path) -> Iterator[Path]:
    """The file itself, or those of the folder; lock files of distances beside them are none."""
    yield from sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]


def _digest(path: Path) -> tuple[int, str]:
    """Size and hash of a file."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=16))
    return path.stat().st_size, digest.hexdigest()
