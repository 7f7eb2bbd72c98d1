"""Calibration: whether a network is right as often as its confidence says.

The confidence of a pixel is the largest of its class probabilities. Pixels are sorted by it into bins of
equal width; the expected calibration error is the mean over pixels of the distance between the accuracy of
their bin and its mean confidence (Naeini et al., AAAI 2015; Guo et al., ICML 2017).
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BINS = 15
"""As Guo et al. have it; bin b holds confidences in (b / 15, (b + 1) / 15]."""

COLUMNS = ("bin", "low", "high", "pixels", "confidence", "accuracy")
"""Columns of `reliability.csv`: mean confidence and accuracy of a bin's pixels, empty where it has none."""


def reliability_table(
    pixels: NDArray[np.int64], confidence: NDArray[np.float64], correct: NDArray[np.int64]
) -> pd.DataFrame:
    """A row per bin with `COLUMNS`, from the numbers of pixels, their summed confidence, and correct ones."""
    edges = np.arange(BINS + 1) / BINS
    some = np.where(pixels > 0, pixels, np.nan)
    columns = (np.arange(BINS), edges[:-1], edges[1:], pixels, confidence / some, correct / some)
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def pooled(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The bins of several runs as if their pixels were those of one."""
    pixels = np.sum([table["pixels"] for table in tables], axis=0).astype(np.int64)
    sums = [
        np.sum([(table[name] * table["pixels"]).fillna(0) for table in tables], axis=0)
        for name in ("confidence", "accuracy")
    ]
    return reliability_table(pixels, sums[0], sums[1])


def calibration_error(table: pd.DataFrame) -> float:
    """The expected calibration error, `sum_b n_b / N |accuracy_b - confidence_b|`; NaN without pixels."""
    return _mean(table, (table["accuracy"] - table["confidence"]).abs())


def overconfidence(table: pd.DataFrame) -> float:
    """Mean confidence minus accuracy over all pixels: above 0, the network is surer than it is right."""
    return _mean(table, table["confidence"] - table["accuracy"])


def _mean(table: pd.DataFrame, values: pd.Series) -> float:
    total = table["pixels"].sum()
    return float((values * table["pixels"]).sum() / total) if total else float("nan")
