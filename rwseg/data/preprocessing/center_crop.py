"""The centre crop: every slice cut to a size around its centre, or padded to it, without a look at labels.

An odd number of pixels to cut, or to pad, leaves two centres: the one nearer to the first pixel is taken, so
that one more is cut, or padded, at the end.
"""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)

Span = tuple[int, int]

Padding = tuple[Span, Span]
"""Native pixels `(before, after)` that a slice was padded by, along its rows and its columns."""

NO_PADDING: Padding = ((0, 0), (0, 0))


def center_span(span: Span, length: int) -> tuple[Span, Span]:
    """The part of `span` `(start, stop)` in the middle `length` pixels, and the padding that these need.

    >>> center_span((0, 9), 4)
    ((2, 6), (0, 0))
    >>> center_span((2, 5), 8)
    ((2, 5), (2, 3))
    """
    start, stop = span
    surplus = stop - start - length
    if surplus >= 0:
        start += surplus // 2
        return (start, start + length), (0, 0)
    return span, (-surplus // 2, -surplus - -surplus // 2)


def padded(array: NDArray[Number], padding: Padding) -> NDArray[Number]:
    """`array` `(..., H, W)` with its edge pixels repeated outside, as resampling repeats them."""
    if padding == NO_PADDING:
        return array
    return np.pad(array, [(0, 0)] * (array.ndim - 2) + list(padding), mode="edge")


def inside(padding: Padding, plane: tuple[int, int], size: tuple[int, int]) -> tuple[Any, ...]:
    """Index of the pixels that show the slice, where its padded `plane` (H, W) became `(..., *size)`.

    Those are the pixels whose centre lies in the slice, at least one along each axis.
    """
    rows, columns = (
        _inside(before, old - after, old, new)
        for (before, after), old, new in zip(padding, plane, size, strict=True)
    )
    return ..., rows, columns


def _inside(start: int, stop: int, old: int, new: int) -> slice:
    """New pixel i has its centre at `(i + 1/2) old / new`; counted in integers, which do not round."""
    first, last = (-((old - 2 * edge * new) // (2 * old)) for edge in (start, stop))
    return slice(first, max(last, first + 1))
