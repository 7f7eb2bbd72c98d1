"""Counts for reliability diagrams, taken while the probabilities of a volume pass slice by slice."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from rwseg.data.case import IGNORE
from rwseg.metrics.calibration import BINS, reliability_table

UNIT = 2**24
"""Confidences are summed as whole numbers of 1 / UNIT, so that sums do not depend on the order of volumes."""


def no_counts(device: torch.device) -> Tensor:
    """Counts of no pixels, `(3, BINS)` int64: pixels, their confidence times `UNIT`, correct ones."""
    return torch.zeros((3, BINS), dtype=torch.int64, device=device)


@torch.inference_mode()
def counting(slices: Iterable[Tensor], reference: NDArray[np.uint8], counts: Tensor) -> Iterator[Tensor]:
    """Pass probabilities `(K, H, W)` on, and add the pixels of each slice to `counts` (`no_counts`).

    Counted are pixels that `reference` `(Z, H, W)` or the prediction takes for foreground: the many sure
    pixels of the background would hide all others (Mehrtash et al., IEEE TMI 2020, keep to boxes around the
    foreground). Pixels that nobody labelled are left out.
    """
    for scores, labels in zip(slices, reference, strict=True):
        _add(scores, torch.from_numpy(np.array(labels)).to(scores.device), counts)
        yield scores


def reliability_of(counts: Sequence[Tensor]) -> pd.DataFrame:
    """The table of `reliability.csv` from the counts of all processes."""
    pixels, confidence, correct = torch.stack([one.cpu() for one in counts]).sum(0).numpy()
    return reliability_table(pixels, confidence / UNIT, correct)


def _add(scores: Tensor, labels: Tensor, counts: Tensor) -> None:
    confidence, predicted = scores.max(0)
    counted = ((labels > 0) | (predicted > 0)) & (labels != IGNORE)
    confidence, correct = confidence[counted], predicted[counted] == labels[counted]
    bins = ((confidence * BINS).ceil().long() - 1).clamp_(0, BINS - 1)
    parts = (torch.ones_like(bins), (confidence.double() * UNIT).round().long(), correct.long())
    for row, part in zip(counts, parts, strict=True):
        row.index_add_(0, bins, part)
