"""Which patches a batch holds: nnU-Net's 2D sampling, for a whole batch at once and without hidden state.

Every random number is a function of (seed, sample number), so the patch of a sample does not depend on the
batch it travels in, a resumed run draws what an uninterrupted one would have drawn, and nothing is stored.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 8
"""Uniform numbers per sample: case, slice, class, row or pixel, column, flips of rows and columns, spare."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Size = tuple[int, int]


def uniforms(seed: int, first_sample: int, count: int, draws: int = DRAWS, stream: int = 0) -> Floats:
    """`(count, draws)` uniform numbers of the samples from `first_sample` on.

    Streams of one seed are independent of one another. Numbers come four at a time: `ValueError` unless
    `draws` is a multiple of 4.
    """
    blocks_per_sample, rest = divmod(draws, 4)  # Philox yields four 64-bit words per counter value
    if rest:
        raise ValueError(f"draws: expected a multiple of 4, got {draws}")
    key = seed + (stream << 64)  # two words: the seed and the stream
    generator = np.random.Generator(np.random.Philox(key=key, counter=first_sample * blocks_per_sample))
    return generator.random((count, draws))


@dataclass(frozen=True)
class Boxes:
    """Where each sample of a batch is cut: slice number, upper left corner in pixels, and flips per axis."""

    slices: Ints  # (B,)
    top: Ints  # (B,)
    left: Ints  # (B,)
    flips: NDArray[np.bool_]  # (B, 2)


@dataclass(frozen=True)
class Ragged:
    """Rows of differing length in one array: row `i` is `values[start[i] : start[i] + count[i]]`."""

    values: Ints
    start: Ints
    count: Ints

    @staticmethod
    def from_groups(groups: Ints, values: Ints, num_groups: int) -> "Ragged":
        """Collect `values` by their group number, keeping their order."""
        order = np.argsort(groups, kind="stable")
        count = np.bincount(groups, minlength=num_groups)
        return Ragged(values[order], np.cumsum(count) - count, count)

    def pick(self, rows: Ints, uniform: Floats) -> Ints:
        """One element of each row, uniformly. Rows must not be empty."""
        chosen: Ints = self.values[self.start[rows] + _floor(uniform, self.count[rows])]
        return chosen


@dataclass(frozen=True)
class Sampler:
    """Tables over all slices of a dataset, S slices of N cases and K classes.

    `labels_of` reads the labels `(H, W)` of a slice by its number: pixels of a class are looked for in the
    slice that was drawn, for a table of all of them would take 8 bytes each.
    """

    sizes: Ints  # (S, 2): height and width
    slices_of_case: Ragged  # N rows
    classes_of_case: Ragged  # N rows: foreground classes present; `IGNORE` is none
    slices_of_class: Ragged  # N * K rows: slices of the case that hold the class
    counts: Ints  # (S, K): pixels of each class
    case_of_slice: Ints  # (S,)
    labels_of: Callable[[int], NDArray[np.uint8]]

    @staticmethod
    def from_counts(
        counts: Ints, cases: Ints, sizes: Ints, labels_of: Callable[[int], NDArray[np.uint8]]
    ) -> "Sampler":
        """Tables of slices of `sizes` (S, 2), each of one of `cases` (S,), by the pixels of their classes."""
        num_classes, num_cases = counts.shape[1], int(cases[-1]) + 1
        held_slices, held_classes = np.nonzero(counts[:, 1:])
        held_classes += 1
        of_class = cases[held_slices] * num_classes + held_classes
        case_class = np.unique(of_class)
        return Sampler(
            sizes=sizes,
            slices_of_case=Ragged.from_groups(cases, np.arange(len(cases)), num_cases),
            classes_of_case=Ragged.from_groups(
                case_class // num_classes, case_class % num_classes, num_cases
            ),
            slices_of_class=Ragged.from_groups(of_class, held_slices, num_cases * num_classes),
            counts=counts,
            case_of_slice=cases,
            labels_of=labels_of,
        )

    def boxes(
        self,
        draws: Floats,
        oversampled: NDArray[np.bool_],
        patch: Size,
        flip: bool,
        loader: Size | None = None,
    ) -> Boxes:
        """Boxes of `patch` pixels for the samples whose uniform numbers are `draws`.

        A free sample takes a random slice of a random case and a random box, an `oversampled` one a random
        foreground class of the case, a random slice and pixel of it, and centres the box there. Boxes may
        exceed the slice where it is smaller than the patch (as in nnU-Net's loader).

        `loader` is the size of the boxes that nnU-Net's loader cuts so that a rotation finds its corners.
        Boxes are then drawn as that loader draws them, and the patch is the middle of one.
        """
        loader = loader or patch
        case = _floor(draws[:, 0], self.slices_of_case.start.size)
        slices = self.slices_of_case.pick(case, draws[:, 1])
        low_top, top = _free(draws[:, 3], self.sizes[slices, 0], patch[0], loader[0])
        low_left, left = _free(draws[:, 4], self.sizes[slices, 1], patch[1], loader[1])

        oversampled = oversampled & (self.classes_of_case.count[case] > 0)
        some, chosen = np.flatnonzero(oversampled), case[oversampled]
        label = self.classes_of_case.pick(chosen, draws[some, 2])
        slices[some] = self.slices_of_class.pick(chosen * self.counts.shape[1] + label, draws[some, 1])
        row, column = self.pixels(slices[some], label, draws[some, 3])
        top[some] = np.maximum(low_top[some], row - loader[0] // 2)
        left[some] = np.maximum(low_left[some], column - loader[1] // 2)
        top += (loader[0] - patch[0]) // 2
        left += (loader[1] - patch[1]) // 2
        return Boxes(slices, top, left, (draws[:, 5:7] < 0.5) & flip)

    def pixels(self, slices: Ints, labels: Ints, uniform: Floats) -> tuple[Ints, Ints]:
        """Row and column of one pixel of a class in each of `slices`, uniformly over those of the class."""
        nth = _floor(uniform, self.counts[slices, labels])
        pixels = [
            np.flatnonzero(self.labels_of(number) == label)[which]
            for number, label, which in zip(slices.tolist(), labels.tolist(), nth.tolist(), strict=True)
        ]
        row, column = np.divmod(np.array(pixels, dtype=np.int64), self.sizes[slices, 1])
        return row, column


def oversampled_samples(batch_size: int, share: float) -> NDArray[np.bool_]:
    """Foreground oversampling: the last `B - round((1 - share) B)` samples of a batch, as in nnU-Net."""
    return np.arange(batch_size) >= round((1 - share) * batch_size)


def _free(uniform: Floats, size: Ints, patch: int, loader: int) -> tuple[Ints, Ints]:
    """Lowest and random corner of a loader's box: its middle, the patch, is inside the image.

    An image that is smaller than the patch lies in the middle of both. An odd number of missing pixels leaves
    two middles, as in nnU-Net.
    """
    missing = np.maximum(loader - patch, loader - size)
    low: Ints = -missing // 2
    positions = size - loader + (missing + 1) // 2 - low + 1
    return low, low + _floor(uniform, positions)


def _floor(uniform: Floats, count: Ints | int) -> Ints:
    return np.floor(uniform * count).astype(np.int64)
