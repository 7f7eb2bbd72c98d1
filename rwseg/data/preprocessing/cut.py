"""How much foreground the crops of a preparation leave out: it counts as missed, whatever is predicted."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rwseg.data.preprocessing.prepared import Entry


def cut_lines(entries: Sequence[Entry], classes: Sequence[str]) -> Iterator[str]:
    """A line that says how much foreground is cut, by class and in the case that loses most, if any is."""
    held = [entry for entry in entries if sum(entry.native_voxels[1:])]
    cut, native = (
        np.array([getattr(entry, key)[1:] for entry in held]) for key in ("cut_voxels", "native_voxels")
    )
    if not cut.any():
        return
    worst = int(np.argmax(cut.sum(1) / native.sum(1)))
    yield (
        f"the crop cuts off {_shares(cut.sum(0), native.sum(0), classes)}, in {int(cut.any(1).sum())} of "
        f"{len(held)} cases, most in {held[worst].name}: {_shares(cut[worst], native[worst], classes)}; "
        "background is predicted there"
    )


def _shares(cut: NDArray[np.int64], native: NDArray[np.int64], classes: Sequence[str]) -> str:
    """The share of the foreground, and of each class that there is."""
    each = [
        f"{name} {100 * lost / there:.3g} %"
        for name, lost, there in zip(classes[1:], cut, native, strict=True)
        if there
    ]
    return f"{100 * cut.sum() / native.sum():.3g} % of the foreground ({', '.join(each)})"
