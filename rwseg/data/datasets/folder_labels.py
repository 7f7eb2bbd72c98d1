"""What the values of masks mean: as `dataset.labels` says, or, without it, what is found in them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rwseg.core.errors import DataError
from rwseg.core.faults import grouped
from rwseg.data.io.labels import WHOLE
from rwseg.data.io.nifti import read_nifti
from rwseg.data.io.pictures import has_palette, is_picture, read_picture

BACKGROUND, IGNORED = "background", "ignore"
_MOST_CLASSES = 32
_MOST_SETS = 3

Labels = Mapping[str, int | Sequence[int]]


class Meaning(NamedTuple):
    """Names of the classes, the values of each, and the value of what nobody labelled."""

    classes: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]
    ignore: int | None


def meaning_of(labels: Labels) -> tuple[Meaning, list[str]]:
    """The classes of `dataset.labels`, the background first and the others in their order; no notes."""
    values = {name: (value,) if isinstance(value, int) else tuple(value) for name, value in labels.items()}
    (ignored,) = values.pop(IGNORED, (None,))
    named = {BACKGROUND: values.pop(BACKGROUND), **values}
    return Meaning(tuple(named), tuple(named.values()), ignored), []


def found_meaning(masks: Sequence[Path]) -> tuple[Meaning | None, list[str]]:
    """The classes that masks show without `dataset.labels`, and a note on them; or None, and what is wrong.

    Taken are values of one meaning alone: 0 and one more, or 0, 1, 2, ... without a gap, in masks of which
    all or none have a palette. For others the setting to give is among what is wrong, with masks that cannot
    be read.
    """
    found: dict[bool, Counter[frozenset[int]]] = {}
    faults = []
    for mask in masks:
        try:
            values, palette = _values(mask, mask.stat().st_mtime_ns)
            found.setdefault(palette, Counter())[values] += 1
        except DataError as fault:
            faults.append(str(fault))
    if faults or not found:
        return None, grouped(faults)
    ranks = _ranks([sorted(frozenset().union(*sets)) for sets in found.values()])
    if len(ranks) > _MOST_CLASSES:
        return None, [_too_many([values[0] for values in ranks], len(masks))]
    if not _is_plain(ranks):
        return None, [_question(found, ranks)]
    names = (BACKGROUND, *(f"class_{number}" for number in range(1, len(ranks))))
    shown = ", ".join(str(value) for (value,) in ranks)
    note = f"dataset.labels: masks hold {shown}, taken as {_override(ranks)}; give it with your own names"
    return Meaning(names, tuple(ranks), None), [note]


def _is_plain(ranks: Sequence[tuple[int, ...]]) -> bool:
    values = [values[0] for values in ranks]
    counted = values == list(range(len(ranks))) or (len(ranks) == 2 and values[0] == 0)
    return counted and len(ranks) > 1 and all(len(values) == 1 for values in ranks)


def _question(found: Mapping[bool, Counter[frozenset[int]]], ranks: Sequence[tuple[int, ...]]) -> str:
    sets = "; ".join(
        f"{', '.join(map(str, sorted(values)))} in {count} {'with' if palette else 'without'} a palette"
        for palette, counts in found.items()
        for values, count in counts.most_common(_MOST_SETS)
    )
    shown = ", ".join(map(str, sorted({value for values in ranks for value in values})))
    return (
        f"dataset.labels: expected what the values of the masks mean, got nothing, and they hold {shown} "
        f"({sets}); if these are the classes, give {_override(ranks)} with your own names"
    )


def _too_many(values: Sequence[int], masks: int) -> str:
    return (
        f"dataset.labels: expected masks of a few values, got {len(values)} in {masks} masks, from "
        f"{values[0]} to {values[-1]}: smoothed, resized or lossy edges, or no masks at all; export them "
        "without smoothing, or name the values that count in dataset.labels"
    )


@cache
def _values(path: Path, _: int) -> tuple[frozenset[int], bool]:
    """The values of a mask, for as long as it was not changed, and whether it has a palette."""
    volume = read_picture(path, labels=True) if is_picture(path) else read_nifti(path)
    values = _different(volume.array)
    broken = values[~(np.abs(values - np.rint(values)) <= WHOLE)]  # NaN too
    if broken.size:
        raise DataError(
            f"{path}: expected whole numbers as labels, got {broken.size} others, such as {broken[0]:.4g}; "
            "export the labels again, resampled with nearest neighbours if at all"
        )
    return frozenset(map(int, np.rint(values))), is_picture(path) and has_palette(path)


def _different(array: NDArray[Any]) -> NDArray[Any]:
    """The values of `array` in their order; those of 8 bits are counted, which is faster than to sort."""
    if array.dtype == np.uint8:
        return np.flatnonzero(np.bincount(array.ravel(order="K"), minlength=256))
    return np.unique(array)


def _ranks(schemes: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """The values of each class: of equal rank where masks with a palette and others hold equally many."""
    if len({len(values) for values in schemes}) == 1:
        return [tuple(sorted(set(values))) for values in zip(*schemes, strict=True)]
    return [(value,) for value in sorted(set().union(*schemes))]


def _override(ranks: Iterable[tuple[int, ...]]) -> str:
    """`dataset.labels` of these values, as a shell takes it."""
    items = (
        f"{BACKGROUND if rank == 0 else f'class_{rank}'}: {values[0] if len(values) == 1 else list(values)}"
        for rank, values in enumerate(ranks)
    )
    return f"'dataset.labels={{{', '.join(items)}}}'"
