"""The user's own labels in a size to draw on: at most four classes, at most 128 pixels a side."""

from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rwseg.data.io.label_slice import LabelSlice

MOST_CLASSES = 4
MOST_PIXELS = 128
"""Classes of a drawing, and pixels of its longer side; `state.js` reads no more."""


class Drawing(NamedTuple):
    """Labels `(H, W)` in `[0, K)`, their spacing, a name per class, and what was left out of the file."""

    labels: NDArray[np.uint8]
    spacing: tuple[float, float]
    names: list[str]
    note: str


def drawing_of(found: LabelSlice, source: str) -> Drawing:
    """Return the slice as a drawing: the background, its three largest classes, every n-th pixel.

    Classes beyond the three become background; a side of more than 128 pixels is sampled by nearest
    neighbours, and the spacing grows by as much. The note says so.
    """
    counts = np.bincount(found.labels.ravel(), minlength=len(found.values))
    largest = sorted(range(1, len(counts)), key=lambda k: (-counts[k], k))[: MOST_CLASSES - 1]
    kept = [0, *sorted(largest)]
    table = np.zeros(len(counts), np.uint8)
    table[kept] = range(len(kept))
    height, width = found.labels.shape
    step = max(1.0, max(height, width) / MOST_PIXELS)
    rows, columns = _sampled(height, step), _sampled(width, step)
    labels = table[found.labels[np.ix_(rows, columns)]]
    spacing = (found.spacing[0] * height / len(rows), found.spacing[1] * width / len(columns))
    names = [f"label {found.values[k]}" if k else "background" for k in kept]
    left_out = [str(value) for k, value in enumerate(found.values) if k not in kept]
    note = f"{source}, slice {found.number + 1}: {height} x {width} pixels"
    if step > 1:
        note += f", shown as {len(rows)} x {len(columns)} by nearest neighbours"
    if left_out:
        note += f"; labels {', '.join(left_out)} are drawn as background, because a drawing has four classes"
    return Drawing(labels, spacing, names, f"{note}.")


def as_text(drawing: Drawing) -> dict[str, Any]:
    """The drawing as `readDrawing` in `state.js` takes it; labels are runs along the rows, as in `a12b`."""
    height, width = drawing.labels.shape
    runs = ((int(label), len(list(run))) for label, run in groupby(drawing.labels.ravel()))
    return {
        "size": f"{height}x{width}",
        "classes": len(drawing.names),
        "spacing": "x".join(f"{step:.6g}" for step in drawing.spacing),
        "runs": "".join("abcd"[label] + (str(count) if count > 1 else "") for label, count in runs),
    }


def _sampled(size: int, step: float) -> NDArray[np.intp]:
    count = max(1, round(size / step))
    return ((np.arange(count) + 0.5) * size / count).astype(np.intp)
