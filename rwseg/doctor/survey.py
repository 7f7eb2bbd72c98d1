"""A look at every case of a dataset: can it be read, what does it hold, and does the whole make sense."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rwseg.data.case import Case, Source
from rwseg.data.reading import read_case
from rwseg.doctor.findings import Finding
from rwseg.errors import DataError


@dataclass(frozen=True)
class Seen:
    """What a case holds, on its native grid; `fault` where it could not be read (then nothing else is known).

    `voxels` counts each class, `ignored` the voxels that nobody labelled; both 0 without a reference.
    """

    case: Case
    fault: str = ""
    shape: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    voxels: tuple[int, ...] = ()
    ignored: int = 0
    fingerprint: str = ""


def look(source: Source, slice_axis: int, case: Case) -> Seen:
    """Read one case whole, so that damage anywhere in its files comes to light."""
    try:
        loaded = read_case(case, source, slice_axis)
    except DataError as fault:
        return Seen(case, fault=str(fault))
    num_classes = len(source.classes)
    counts = np.zeros(256, dtype=np.int64)
    if loaded.label is not None:
        counts = np.bincount(loaded.label.ravel(), minlength=256)
    return Seen(
        case,
        shape=loaded.image.shape[1:],
        spacing=loaded.spacing,
        voxels=tuple(counts[:num_classes].tolist()),
        ignored=int(counts[num_classes:].sum()),
        fingerprint=hashlib.blake2b(np.ascontiguousarray(loaded.image).data, digest_size=16).hexdigest(),
    )


def findings(
    seen: Sequence[Seen], source: Source, subjects: int | None, needed: Sequence[str] = ("train", "val")
) -> Iterator[Finding]:
    """What speaks for and against training on these cases.

    `subjects`: how many are labelled in all; `needed`: the splits without which a run cannot start.
    """
    for item in seen:
        if item.fault:
            yield Finding("fault", item.fault)
    readable = [item for item in seen if not item.fault]
    yield from _splits(seen, needed)
    labelled = len({item.case.subject for item in seen if item.case.label is not None})
    if subjects is not None and labelled < subjects:
        yield Finding(
            "note", f"{labelled} of the {subjects} labelled subjects of a complete download are here"
        )
    yield from _leaks(seen)
    yield from _twins(readable)
    yield from _classes(readable, source)
    yield from _geometry(readable)


def shares(seen: Sequence[Seen]) -> list[float]:
    """Voxel share of each class over all references, in percent of what was labelled."""
    total = np.sum([item.voxels for item in seen if item.voxels], axis=0)
    return [float(share) for share in 100 * total / max(1, total.sum())]


def _splits(seen: Sequence[Seen], needed: Sequence[str]) -> Iterator[Finding]:
    counts = Counter(item.case.split for item in seen)
    subjects = {split: len({i.case.subject for i in seen if i.case.split == split}) for split in counts}
    told = ", ".join(
        f"{counts[s]} {s} ({subjects[s]} subjects)" for s in ("train", "val", "test") if s in counts
    )
    yield Finding("ok", f"{len(seen)} cases: {told}")
    for split in needed:
        if not counts[split]:
            yield Finding(
                "fault", f"split '{split}': expected at least one case, found none; see dataset.fold"
            )
        bare = [i.case.name for i in seen if i.case.split == split and i.case.label is None]
        if bare:
            yield Finding("fault", f"split '{split}': expected references, missing for {_some(bare)}")


def _leaks(seen: Sequence[Seen]) -> Iterator[Finding]:
    splits_of: dict[str, set[str]] = defaultdict(set)
    for item in seen:
        splits_of[item.case.subject].add(item.case.split)
    leaking = sorted(subject for subject, splits in splits_of.items() if len(splits) > 1)
    if leaking:
        yield Finding("fault", f"subjects in more than one split: {_some(leaking)}; split by subject")


def _twins(seen: Sequence[Seen]) -> Iterator[Finding]:
    names: dict[str, list[str]] = defaultdict(list)
    for item in seen:
        names[item.fingerprint].append(item.case.name)
    for twins in names.values():
        if len(twins) > 1:
            yield Finding("note", f"the same image under several names: {_some(twins)}")


def _classes(seen: Sequence[Seen], source: Source) -> Iterator[Finding]:
    for split in ("train", "val"):
        held = [item for item in seen if item.case.split == split and any(item.voxels)]
        for k, name in enumerate(source.classes):
            if held and not any(item.voxels[k] for item in held):
                yield Finding("note", f"split '{split}': no voxel of class '{name}' in any reference")
    empty = [i.case.name for i in seen if i.case.label is not None and not any(i.voxels[1:])]
    if empty:
        yield Finding("note", f"{len(empty)} references without any foreground: {_some(empty)}")
    ignored = sum(item.ignored for item in seen)
    if ignored:
        every = ignored + sum(sum(item.voxels) for item in seen)
        yield Finding("ok", f"{100 * ignored / every:.2f} % of voxels carry the ignore label")


def _geometry(seen: Sequence[Seen]) -> Iterator[Finding]:
    if not seen:
        return
    spacing, shape = (np.array([getattr(item, key) for item in seen]) for key in ("spacing", "shape"))
    low, median, high = (np.quantile(spacing, q, axis=0) for q in (0, 0.5, 1))
    yield Finding(
        "ok",
        f"slices x height x width: median {_sizes(np.median(shape, axis=0))}, "
        f"{_sizes(shape.min(axis=0))} to {_sizes(shape.max(axis=0))} voxels",
    )
    yield Finding("ok", f"spacing in mm: median {_sizes(median)}, {_sizes(low)} to {_sizes(high)}")
    odd = [i.case.name for i in seen if max(i.spacing[1:]) > 2 * min(i.spacing[1:])]
    if odd:
        yield Finding(
            "note",
            f"in-plane spacing differs by more than a factor 2: {_some(odd)}; is the slice axis right?",
        )
    far = [i.case.name for i in seen if max(np.abs(np.log2(np.array(i.spacing) / median))) > 2]
    if far:
        yield Finding("note", f"spacing more than 4 times off the median: {_some(far)}; check these headers")


def _sizes(values: Sequence[float] | np.ndarray) -> str:
    return " x ".join(f"{value:.4g}" for value in values)


def _some(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def spread(seen: Sequence[Seen], count: int) -> list[Seen]:
    """`count` readable cases with a reference, evenly spaced through the listing."""
    shown = [item for item in seen if not item.fault and item.case.label is not None]
    places = sorted({round(p) for p in np.linspace(0, len(shown) - 1, min(count, len(shown)))})
    return [shown[place] for place in places]
