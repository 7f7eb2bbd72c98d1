"""Counts of confidence beside the label map: the right pixels, in the right bins, in any order."""

import numpy as np
import pytest
import torch

from rwseg.data.case import IGNORE
from rwseg.metrics.calibration import BINS, calibration_error
from rwseg.models.inference.reliability import counted_labels, no_counts, reliability_of
from rwseg.models.inference.sliding_window import most_probable

CPU = torch.device("cpu")


def volume(seed: int, shape: tuple[int, int, int] = (3, 17, 23), classes: int = 4) -> tuple[np.ndarray, ...]:
    """Probabilities (Z, K, H, W) and a reference with pixels that nobody labelled."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (shape[0], classes, *shape[1:])) + 2 * (np.arange(classes) == 0)[:, None, None]
    powers = np.exp(logits)
    reference = rng.choice([0, 0, 0, 1, 2, 3, IGNORE], shape).astype(np.uint8)
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32), reference


def counted(scores: np.ndarray, reference: np.ndarray) -> torch.Tensor:
    counts = no_counts(CPU)
    labels = counted_labels(iter(torch.from_numpy(scores)), reference, counts)
    np.testing.assert_array_equal(labels, most_probable([torch.from_numpy(scores)]))
    assert labels.dtype == np.uint8
    return counts


def by_hand(scores: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixel by pixel: number, sum of confidence and number correct of each bin."""
    found = np.zeros((3, BINS))
    for z, y, x in np.ndindex(*reference.shape):
        label, pixel = reference[z, y, x], scores[z, :, y, x]
        best = int(pixel.argmax())
        if label == IGNORE or (label == 0 and best == 0):
            continue
        found[:, int(np.ceil(float(pixel[best]) * BINS)) - 1] += 1, pixel[best], best == label
    return found[0], found[1], found[2]


@pytest.mark.parametrize("seed", [0, 1])
def test_foreground_of_either_side_is_counted_bin_by_bin(seed: int) -> None:
    scores, reference = volume(seed)
    table = reliability_of([counted(scores, reference)])
    pixels, confidence, correct = by_hand(scores, reference)
    some = pixels > 0
    np.testing.assert_array_equal(table["pixels"], pixels)
    np.testing.assert_allclose(
        table["confidence"][some], (confidence / np.maximum(pixels, 1))[some], rtol=1e-6
    )
    np.testing.assert_array_equal(table["accuracy"][some], (correct / np.maximum(pixels, 1))[some])
    assert table["accuracy"][~some].isna().all()


def test_what_processes_count_adds_up_exactly_in_any_order() -> None:
    volumes = [volume(seed, (2, 9, 11 + seed)) for seed in range(5)]
    alone = no_counts(CPU)
    for scores, reference in volumes:
        counted_labels(torch.from_numpy(scores), reference, alone)
    shares = [no_counts(CPU), no_counts(CPU)]
    for place, (scores, reference) in enumerate(reversed(volumes)):
        counted_labels(torch.from_numpy(scores), reference, shares[place % 2])
    assert torch.equal(alone, shares[0] + shares[1])
    assert reliability_of(shares).equals(reliability_of([alone]))


def test_sure_background_certain_pixels_and_a_full_class() -> None:
    scores = np.zeros((1, 2, 4, 6), np.float32)
    scores[0, 0] = 1
    nothing = np.zeros((1, 4, 6), np.uint8)
    assert counted(scores, nothing).sum() == 0
    assert np.isnan(calibration_error(reliability_of([counted(scores, nothing)])))
    wrong = reliability_of([counted(scores, nothing + 1)])
    assert wrong.iloc[-1][["pixels", "confidence", "accuracy"]].tolist() == [24, 1, 0]
    assert counted(scores, nothing + np.uint8(IGNORE)).sum() == 0


def test_a_calibrated_network_has_an_error_near_0() -> None:
    """Labels that are drawn from the probabilities themselves."""
    rng = np.random.default_rng(0)
    scores, _ = volume(3, (8, 96, 128), classes=3)
    scores[:, 0] = 0  # foreground everywhere, so that no pixel is left out for what it shows
    scores /= scores.sum(1, keepdims=True)
    drawn = (rng.random((8, 96, 128)) > scores[:, 1]).astype(np.uint8) + 1
    table = reliability_of([counted(scores, drawn)])
    assert table["pixels"].sum() == drawn.size
    assert calibration_error(table) < 0.5 * np.sqrt(BINS / drawn.size)
