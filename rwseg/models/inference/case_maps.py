"""All that one or several runs say of a case: classes, probabilities, and where they are unsure."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rwseg.data.case import LoadedCase
from rwseg.models.inference.predictor import Predictor
from rwseg.models.inference.sliding_window import ensemble_mean

Map = NDArray[np.float32]


class CaseMaps(NamedTuple):
    """Of a case on its native grid; uncertainties are between 0 and 1.

    `entropy` is that of the mean probabilities, over that of classes that are all alike: `-sum_k p log p /
    log K`. `disagreement` is the share of an ensemble's members whose class is not the ensemble's; None for
    one run.
    """

    labels: NDArray[np.uint8]  # (Z, H, W)
    probabilities: Map  # (K, Z, H, W)
    entropy: Map  # (Z, H, W)
    disagreement: Map | None  # (Z, H, W)


@torch.inference_mode()
def case_maps(members: Sequence[Predictor], loaded: LoadedCase) -> CaseMaps:
    """What `predict_case` makes labels of, whole. Raises `DataError` where the case cannot be prepared."""
    labels, means, entropies, others = [], [], [], []
    for scores in zip(*(member.slices(loaded) for member in members), strict=True):
        mean = ensemble_mean(scores)  # (K, H, W)
        chosen = mean.max(0).indices
        labels.append(chosen.to(torch.uint8).cpu().numpy())
        means.append(mean.cpu().numpy())
        entropies.append((torch.special.entr(mean).sum(0) / math.log(len(mean))).clamp(0, 1).cpu().numpy())
        others.append(
            torch.stack([one.max(0).indices != chosen for one in scores]).float().mean(0).cpu().numpy()
        )
    disagreement = np.stack(others) if len(members) > 1 else None
    return CaseMaps(np.stack(labels), np.stack(means, axis=1), np.stack(entropies), disagreement)
