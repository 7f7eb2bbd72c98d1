"""Prepared data on disk: memory-mapped arrays per volume, and the manifest that says what they are."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rwseg.core.errors import MALFORMED, DataError
from rwseg.core.files import from_json
from rwseg.core.validation import Unit
from rwseg.data.case import Case, Remark
from rwseg.data.preprocessing.center_crop import NO_PADDING, Padding
from rwseg.data.preprocessing.config import FittedPreprocessing
from rwseg.data.preprocessing.image_codes import Scale, decode
from rwseg.data.split import of_split

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Entry:
    """One prepared volume: shapes `(Z, H, W)`, spacings `(z, y, x)` in `unit`, `images` relative to the root.

    The native grid is the file's with the slice axis first (`slice_axis` is its number in the file); `crop`
    is the box of it, `(start, stop)` per axis, that was resampled to `shape` with `padding` around it.
    `split` and `group` are not stored: they are the dataset's, or a fold's, at the moment.
    """

    name: str
    subject: str
    phase: str
    split: str
    images: tuple[str, ...]
    has_label: bool
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    native_shape: tuple[int, int, int]
    native_spacing: tuple[float, float, float]
    crop: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    slice_axis: int
    voxels: tuple[int, ...]
    """Reference voxels of each class on the prepared grid, none ignored; empty without a label."""
    fingerprint: str = ""
    """Hash of the native image; the two images of a twin share it."""
    remarks: tuple[Remark, ...] = ()
    """What is odd about the files, found when they were read."""
    padding: Padding = NO_PADDING
    native_voxels: tuple[int, ...] = ()
    """Reference voxels of each class on the native grid, none ignored; empty without a label."""
    cut_voxels: tuple[int, ...] = ()
    """Those of `native_voxels` that lie outside of `crop`."""
    unit: Unit = "mm"
    scales: tuple[Scale, ...] = ()
    """Of the codes that the image is stored as, per channel; none where it is stored as float32."""
    group: str = ""

    @property
    def is_native(self) -> bool:
        """Whether the prepared grid is the native one, voxel by voxel."""
        whole = tuple((0, size) for size in self.native_shape)
        return (self.shape, self.crop, self.padding) == (self.native_shape, whole, NO_PADDING)


@dataclass(frozen=True)
class Prepared:
    """A prepared dataset: where its arrays lie, what they hold, and the preprocessing that made them."""

    folder: Path
    root: Path
    name: str
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    preprocessing: FittedPreprocessing
    digest: str
    entries: tuple[Entry, ...]

    @property
    def has_ignored(self) -> bool:
        """Whether some label holds `IGNORE`."""
        return any(entry.has_label and sum(entry.voxels) < math.prod(entry.shape) for entry in self.entries)

    def split(self, split: str) -> list[Entry]:
        """The entries of `train`, `val` or `test`; `DataError` when there are none."""
        return of_split(self.entries, split, self.name, self.root)

    def split_digest(self) -> str:
        """Hash of which case belongs to which split."""
        text = json.dumps(sorted((entry.name, entry.split) for entry in self.entries))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def image(self, entry: Entry, planes: slice = slice(None)) -> NDArray[np.float32]:
        """Normalised image, `(C, Z, H, W)`; of `planes`, if only these are wanted."""
        return decode(self.stored_image(entry)[:, planes], entry.scales)

    def stored_image(self, entry: Entry) -> NDArray[Any]:
        """The image as it is stored, `(C, Z, H, W)`, memory-mapped: see `image_codes`."""
        return self._array(
            "image", entry, (len(self.channels), *entry.shape), np.int16 if entry.scales else np.float32
        )

    def label(self, entry: Entry) -> NDArray[np.uint8]:
        """Reference on the prepared grid, `(Z, H, W)`, memory-mapped."""
        return self._array("label", entry, entry.shape, np.uint8)

    def reference(self, entry: Entry) -> NDArray[np.uint8]:
        """Reference on the native grid, `(Z, H, W)`: the one that metrics use; it may hold `IGNORE`."""
        return self._array("label" if entry.is_native else "reference", entry, entry.native_shape, np.uint8)

    def distance(self, kind: str, entry: Entry) -> NDArray[np.float32]:
        """Cached distances in mm on the volume: see `rwseg.data.preprocessing.distances`."""
        classes = (len(self.classes),) if kind == "signed" else ()
        return self._array(kind, entry, (*classes, *entry.shape), np.float32)

    def pixels(self, kind: str, entry: Entry) -> NDArray[np.float32]:
        """Numbers of a case's own file, `(Z, H, W)`: see `rwseg.data.preprocessing.pixel_files`."""
        return self._array(kind, entry, entry.shape, np.float32)

    def source(self, entry: Entry) -> Path:
        """The first image file of the case: it has the native geometry."""
        return self.root / entry.images[0]

    def _array(self, kind: str, entry: Entry, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
        return prepared_array(self.folder, kind, entry.name, shape, dtype)


def all_coded(entries: Sequence[Entry]) -> bool:
    """Whether the images of all `entries` are stored as codes."""
    return all(entry.scales for entry in entries)


def prepared_array(folder: Path, kind: str, name: str, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    """One array of a preparation, memory-mapped; `DataError` where it is not what the manifest says."""
    path = folder / kind / f"{name}.npy"
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(f"{array.dtype} of shape {array.shape} in place of {np.dtype(dtype)}, {shape}")
    except (*MALFORMED, TokenError) as error:
        raise DataError(
            f"{path}: expected a prepared array, found {error}; delete {folder} and start again"
        ) from error
    return array


def manifest_of(prepared: Prepared) -> dict[str, Any]:
    """The content of `manifest.json`; which case belongs to which split and group is not in it."""
    entries = [asdict(entry) for entry in prepared.entries]
    return {
        "name": prepared.name,
        "classes": list(prepared.classes),
        "channels": list(prepared.channels),
        "preprocessing": asdict(prepared.preprocessing),
        "digest": prepared.digest,
        "entries": [
            {key: value for key, value in entry.items() if key not in ("split", "group")} for entry in entries
        ],
    }


def open_prepared(folder: Path, root: Path, cases: Sequence[Case]) -> Prepared:
    """Read the manifest of a finished preparation in `folder` of the dataset at `root`.

    `cases` are those that were prepared; splits and groups are theirs. Raises `DataError` where the manifest
    is missing or faulty, or tells of other cases.
    """
    path = folder / MANIFEST
    known = {case.name: {"split": case.split, "group": case.group} for case in cases}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = tuple(from_json(Entry, {**entry, **known[entry["name"]]}) for entry in content["entries"])
        if sorted(entry.name for entry in entries) != sorted(known):
            raise ValueError(f"{len(entries)} entries for {len(known)} cases")
        return Prepared(
            folder=folder,
            root=root,
            name=from_json(str, content["name"]),
            classes=from_json(tuple[str, ...], content["classes"]),
            channels=from_json(tuple[str, ...], content["channels"]),
            preprocessing=from_json(FittedPreprocessing, content["preprocessing"]),
            digest=from_json(str, content["digest"]),
            entries=entries,
        )
    except MALFORMED as error:
        raise DataError(
            f"{path}: expected a sound manifest, found {error!r}; delete {folder} and start again"
        ) from error
