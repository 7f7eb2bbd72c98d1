"""A look at every case of a dataset: can it be read, what does it hold, and does the whole make sense."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rwseg.core.errors import DataError
from rwseg.core.faults import grouped, some
from rwseg.core.validation import Unit
from rwseg.data.case import Case, Remark, Source
from rwseg.data.io.cases import read_case
from rwseg.data.oddities import fingerprint, leaks, oddities
from rwseg.report.doctor.findings import Finding


@dataclass(frozen=True)
class Seen:
    """What a case holds, on its native grid; `fault` where it could not be read (then nothing else is known).

    `voxels` counts each class, `ignored` the voxels that nobody labelled; both 0 without a reference.
    """

    case: Case
    fault: str = ""
    shape: tuple[int, ...] = ()
    native_spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    voxels: tuple[int, ...] = ()
    ignored: int = 0
    fingerprint: str = ""
    remarks: tuple[Remark, ...] = ()
    unit: Unit = "mm"

    @property
    def name(self) -> str:
        """The case."""
        return self.case.name

    @property
    def subject(self) -> str:
        """Whose it is."""
        return self.case.subject

    @property
    def split(self) -> str:
        """`train`, `val` or `test`."""
        return self.case.split

    @property
    def has_label(self) -> bool:
        """Whether there is a reference."""
        return self.case.label is not None


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
        native_spacing=loaded.spacing,
        voxels=tuple(counts[:num_classes].tolist()),
        ignored=int(counts[num_classes:].sum()),
        fingerprint=fingerprint(loaded.image),
        remarks=loaded.remarks,
        unit=loaded.unit,
    )


def findings(
    seen: Sequence[Seen], source: Source, subjects: int | None, needed: Sequence[str] = ("train", "val")
) -> Iterator[Finding]:
    """What speaks for and against training on these cases.

    `subjects`: how many are labelled in all; `needed`: the splits without which a run cannot start.
    """
    yield from (Finding("fault", line) for line in grouped(item.fault for item in seen if item.fault))
    readable = [item for item in seen if not item.fault]
    yield from _splits(seen, needed)
    yield from (Finding("fault", line) for line in leaks(seen))
    yield from _geometry(readable)
    yield from _ignored(readable)
    yield from (
        Finding("note", line) for line in (*oddities(readable, source.classes, subjects), *source.notes)
    )


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
            yield Finding("fault", f"split '{split}': expected references, missing for {some(bare)}")


def _ignored(seen: Sequence[Seen]) -> Iterator[Finding]:
    ignored = sum(item.ignored for item in seen)
    if ignored:
        every = ignored + sum(sum(item.voxels) for item in seen)
        yield Finding("ok", f"{100 * ignored / every:.2f} % of voxels carry the ignore label")


def _geometry(seen: Sequence[Seen]) -> Iterator[Finding]:
    if not seen:
        return
    spacing, shape = (np.array([getattr(item, key) for item in seen]) for key in ("native_spacing", "shape"))
    low, median, high = (np.quantile(spacing, q, axis=0) for q in (0, 0.5, 1))
    yield Finding(
        "ok",
        f"slices x height x width: median {_sizes(np.median(shape, axis=0))}, "
        f"{_sizes(shape.min(axis=0))} to {_sizes(shape.max(axis=0))} voxels",
    )
    if seen[0].unit == "px":
        yield Finding("ok", "no physical spacing: distances are in pixels")
    else:
        yield Finding("ok", f"spacing in mm: median {_sizes(median)}, {_sizes(low)} to {_sizes(high)}")


def _sizes(values: Sequence[float] | np.ndarray) -> str:
    return " x ".join(f"{value:.4g}" for value in values)


def spread(seen: Sequence[Seen], count: int) -> list[Seen]:
    """`count` readable cases with a reference, evenly spaced through the listing."""
    shown = [item for item in seen if not item.fault and item.case.label is not None]
    places = sorted({round(p) for p in np.linspace(0, len(shown) - 1, min(count, len(shown)))})
    return [shown[place] for place in places]
