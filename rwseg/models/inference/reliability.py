"""Label maps, and with them counts for reliability diagrams, from probabilities slice by slice."""

from collections.abc import Iterable, Sequence

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
def counted_labels(
    slices: Iterable[Tensor], reference: NDArray[np.uint8], counts: Tensor
) -> NDArray[np.uint8]:
    """Label map `(Z, H, W)` as `most_probable` gives it, whose pixels are added to `counts` (`no_counts`).

    `slices` are probabilities `(K, H, W)`, taken one after the other. Counted are pixels that `reference`
    `(Z, H, W)` or the prediction takes for foreground: the many sure pixels of the background would hide all
    others (Mehrtash et al., IEEE TMI 2020, keep to boxes around the foreground). Pixels that nobody labelled
    are left out.
    """
    planes = []
    for scores, labels in zip(slices, reference, strict=True):
        confidence, classes = scores.max(0)  # once for both: it takes as long as all the rest
        planes.append(classes.to(torch.uint8))
        _add(confidence, planes[-1], torch.from_numpy(np.array(labels)).to(scores.device), counts)
    found: NDArray[np.uint8] = torch.stack(planes).cpu().numpy()
    return found


def reliability_of(counts: Sequence[Tensor]) -> pd.DataFrame:
    """The table of `reliability.csv` from the counts of all processes."""
    pixels, confidence, correct = torch.stack([one.cpu() for one in counts]).sum(0).numpy()
    return reliability_table(pixels, confidence / UNIT, correct)


def _add(confidence: Tensor, predicted: Tensor, labels: Tensor, counts: Tensor) -> None:
    places = ((labels | predicted) != 0).flatten().nonzero().squeeze(1)
    confidence, predicted, labels = (part.flatten()[places] for part in (confidence, predicted, labels))
    labelled = labels != IGNORE
    bins = ((confidence * BINS).ceil().long() - 1).clamp_(0, BINS - 1)
    units = (confidence.double() * UNIT).round().long()
    for row, part in zip(counts, (labelled, units * labelled, predicted == labels), strict=True):
        row.index_add_(0, bins, part.long())
