"""What is odd about data that can be trained on: a line of each kind, for the doctor and for a training.

A file's reader leaves a `Remark` on what it returns; what shows only beside the other cases is found here.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rwseg.core.faults import some
from rwseg.data.case import Remark
from rwseg.data.names import several_of_one

_LARGEST_RATIO_IN_PLANE = 2
_FAR_FROM_THE_MEDIAN = 4


class Seen(Protocol):
    """A case that was read, or its prepared form."""

    @property
    def name(self) -> str:
        """The case."""

    @property
    def subject(self) -> str:
        """Whose it is."""

    @property
    def split(self) -> str:
        """`train`, `val` or `test`."""

    @property
    def has_label(self) -> bool:
        """Whether there is a reference."""

    @property
    def native_spacing(self) -> tuple[float, float, float]:
        """(z, y, x) in mm."""

    @property
    def voxels(self) -> tuple[int, ...]:
        """Reference voxels of each class; all 0, or none, without a reference."""

    @property
    def fingerprint(self) -> str:
        """Hash of the native image."""

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What is odd about the files."""


def oddities(seen: Sequence[Seen], classes: Sequence[str], subjects: int | None) -> Iterator[str]:
    """A line for each kind of oddity among the cases, with its number and an example.

    `subjects` is the number of labelled subjects of a complete download, where it is known.
    """
    labelled = len({item.subject for item in seen if item.has_label})
    if subjects is not None and labelled < subjects:
        yield f"{labelled} of the {subjects} labelled subjects of a complete download are here"
    if all(item.subject == item.name for item in seen):
        yield from filter(None, [several_of_one([item.name for item in seen])])
    yield from _twins(seen)
    yield from _classes(seen, classes)
    yield from _geometry(seen)
    yield from remark_lines((item.name, item.remarks) for item in seen)


def leaks(seen: Iterable[Seen]) -> Iterator[str]:
    """A line that names the subjects in more than one split, if there are any."""
    splits_of: dict[str, set[str]] = defaultdict(set)
    for item in seen:
        splits_of[item.subject].add(item.split)
    leaking = sorted(subject for subject, splits in splits_of.items() if len(splits) > 1)
    if leaking:
        yield f"subjects in more than one split: {some(leaking)}; split by subject"


def remark_lines(found: Iterable[tuple[str, Sequence[Remark]]]) -> Iterator[str]:
    """A line for each kind among the remarks of the cases (name, remarks): how many, which, one in detail."""
    cases: dict[str, list[str]] = defaultdict(list)
    first: dict[str, str] = {}
    for name, remarks in found:
        for remark in remarks:
            first.setdefault(remark.kind, remark.detail)
            if name not in cases[remark.kind][-1:]:
                cases[remark.kind].append(name)
    for kind, names in cases.items():
        yield f"{kind} in {len(names)} case(s): {some(names)}; {first[kind]}"


def fingerprint(image: NDArray[Any]) -> str:
    """Hash of an image's values."""
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).hexdigest()


def _twins(seen: Sequence[Seen]) -> Iterator[str]:
    names: dict[str, list[str]] = defaultdict(list)
    for item in seen:
        names[item.fingerprint].append(item.name)
    twins = [group for group in names.values() if len(group) > 1]
    if twins:
        yield f"the same image under several names, {len(twins)} time(s): {some(twins[0])}"


def _classes(seen: Sequence[Seen], classes: Sequence[str]) -> Iterator[str]:
    for split in ("train", "val"):
        held = [item for item in seen if item.split == split and any(item.voxels)]
        for k, name in enumerate(classes):
            if held and not any(item.voxels[k] for item in held):
                yield f"split '{split}': no voxel of class '{name}' in any reference"
    empty = [item.name for item in seen if item.has_label and not any(item.voxels[1:])]
    if empty:
        yield f"{len(empty)} references without any foreground: {some(empty)}"


def _geometry(seen: Sequence[Seen]) -> Iterator[str]:
    if not seen:
        return
    odd = [
        i.name
        for i in seen
        if max(i.native_spacing[1:]) > _LARGEST_RATIO_IN_PLANE * min(i.native_spacing[1:])
    ]
    if odd:
        yield (
            f"in-plane spacing differs by more than a factor {_LARGEST_RATIO_IN_PLANE} "
            f"in {len(odd)} case(s): {some(odd)}; is the slice axis right?"
        )
    logarithms = np.log(np.array([item.native_spacing for item in seen]))
    off = np.abs(logarithms - np.median(logarithms, axis=0)).max(axis=1)
    far = [item.name for item, ratio in zip(seen, off, strict=True) if ratio > np.log(_FAR_FROM_THE_MEDIAN)]
    if far:
        yield (
            f"spacing more than {_FAR_FROM_THE_MEDIAN} times off the median "
            f"in {len(far)} case(s): {some(far)}; check these headers"
        )
