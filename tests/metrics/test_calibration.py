"""Expected calibration error: by its formula pixel by pixel, and of predictors whose calibration is known."""

import io

import numpy as np
import pandas as pd
import pytest

from rwseg.metrics.calibration import (
    BINS,
    COLUMNS,
    calibration_error,
    overconfidence,
    pooled,
    reliability_table,
)

Pair = tuple[np.ndarray, np.ndarray]


def predictor(seed: int, pixels: int, shift: float = 0.0) -> Pair:
    """Confidences of `pixels` pixels, and whether each is correct: as often as confidence minus `shift`."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.3, 1.0, pixels)
    return confidence, rng.uniform(size=pixels) < confidence - shift


def table_of(confidence: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    bins = np.digitize(confidence, np.arange(1, BINS) / BINS, right=True)
    counts = [np.bincount(bins, weights, BINS) for weights in (None, confidence, correct)]
    return reliability_table(counts[0].astype(np.int64), counts[1], counts[2].astype(np.int64))


def by_hand(confidence: np.ndarray, correct: np.ndarray) -> float:
    """A loop over bins and pixels, as Guo et al. define it."""
    error = 0.0
    for b in range(BINS):
        inside = (confidence > b / BINS) & (confidence <= (b + 1) / BINS)
        if inside.any():
            error += inside.sum() / len(confidence) * abs(correct[inside].mean() - confidence[inside].mean())
    return error


@pytest.mark.parametrize(("pixels", "shift"), [(1, 0.0), (7, 0.2), (4001, 0.0), (4001, 0.25), (4001, -0.4)])
def test_the_error_is_that_of_its_definition(pixels: int, shift: float) -> None:
    pair = predictor(pixels, pixels, shift)
    table = table_of(*pair)
    assert tuple(table.columns) == COLUMNS
    assert calibration_error(table) == pytest.approx(by_hand(*pair))
    assert overconfidence(table) == pytest.approx(pair[0].mean() - pair[1].mean())


def test_a_calibrated_predictor_has_no_error_and_one_that_is_too_sure_has_its_surplus() -> None:
    pixels = 400_000
    calibrated, sure = (table_of(*predictor(0, pixels, shift)) for shift in (0.0, 0.1))
    noise = 0.5 * np.sqrt(BINS / pixels)  # a share of n pixels has a deviation of at most 0.5 / sqrt(n)
    assert calibration_error(calibrated) < noise
    assert abs(overconfidence(calibrated)) < noise
    assert calibration_error(sure) == pytest.approx(0.1, abs=noise)
    assert overconfidence(sure) == pytest.approx(0.1, abs=noise)


def test_errors_of_both_signs_do_not_cancel() -> None:
    confidence, correct = np.array([0.5] * 10 + [0.9] * 10), np.array([1] * 10 + [0] * 5 + [1] * 4 + [0])
    assert overconfidence(table_of(confidence, correct)) == pytest.approx(0.7 - 14 / 20)
    assert calibration_error(table_of(confidence, correct)) == pytest.approx((0.5 + 0.5) / 2)


def test_runs_are_pooled_pixel_by_pixel_also_through_a_file() -> None:
    pairs = [predictor(seed, 50 + 900 * seed, 0.1 * seed) for seed in range(3)]
    files = [io.StringIO(table_of(*pair).to_csv(index=False)) for pair in pairs]
    found = pooled([pd.read_csv(file) for file in files])
    both = table_of(*(np.concatenate(part) for part in zip(*pairs, strict=True)))
    pd.testing.assert_frame_equal(found, both, check_dtype=False)


def test_bins_without_pixels_are_empty_and_count_nowhere() -> None:
    table = table_of(np.array([0.71, 0.72]), np.array([1, 0]))
    assert table["accuracy"].notna().sum() == 1
    assert calibration_error(table) == pytest.approx(abs(0.5 - 0.715))
    nothing = table_of(np.array([]), np.array([]))
    assert np.isnan(calibration_error(nothing))
    assert np.isnan(overconfidence(nothing))
