import numpy as np
import pytest

from rwseg.data.case import IGNORE
from rwseg.data.preprocessing.config import FittedPreprocessing, Intensities, Normalisation
from rwseg.data.preprocessing.normalisation import foreground_sample, intensities, normalise

SHAPE = (2, 3, 8, 11)


def preprocessing(normalisation: Normalisation, *known: Intensities) -> FittedPreprocessing:
    return FittedPreprocessing(False, None, None, 1.0, "spline", normalisation, known)


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(300, 40, SHAPE) * np.array([1, -3]).reshape(2, 1, 1, 1)).astype(np.float32)


def test_zscore_by_hand_per_channel(image: np.ndarray) -> None:
    found = normalise(image, preprocessing("zscore"))
    assert found.dtype == np.float32
    for channel, raw in zip(found, image.astype(np.float64), strict=True):
        np.testing.assert_allclose(channel, (raw - raw.mean()) / raw.std(), atol=1e-5)
        assert channel.mean(dtype=float) == pytest.approx(0, abs=1e-5)
        assert channel.std(dtype=float) == pytest.approx(1, abs=1e-5)


def test_zscore_nonzero_by_hand_and_exactly_0_outside(image: np.ndarray) -> None:
    mask = np.random.default_rng(1).random(SHAPE[1:]) < 0.4
    found = normalise(image, preprocessing("zscore_nonzero"), mask)
    assert found.dtype == np.float32
    assert (found[:, ~mask] == 0).all()
    for channel, raw in zip(found, image.astype(np.float64), strict=True):
        expected = (raw[mask] - raw[mask].mean()) / raw[mask].std()
        np.testing.assert_allclose(channel[mask], expected, atol=1e-5)


def test_ct_clips_then_takes_the_given_mean_and_deviation(image: np.ndarray) -> None:
    known = Intensities(280, 330, 301, 17), Intensities(-950, -800, -880, 60)
    found = normalise(image, preprocessing("ct", *known))
    assert found.dtype == np.float32
    for channel, raw, one in zip(found, image.astype(np.float64), known, strict=True):
        clipped = np.minimum(np.maximum(raw, one.low), one.high)
        assert 0 < (clipped != raw).mean() < 1
        np.testing.assert_allclose(channel, (clipped - one.mean) / one.std, atol=1e-5)


def test_minmax_by_hand(image: np.ndarray) -> None:
    found = normalise(image, preprocessing("minmax"))
    assert found.dtype == np.float32
    for channel, raw in zip(found, image.astype(np.float64), strict=True):
        np.testing.assert_allclose(channel, (raw - raw.min()) / (raw.max() - raw.min()), atol=1e-6)
        assert (channel.min(), channel.max()) == (0, 1)


@pytest.mark.parametrize("normalisation", ["zscore", "zscore_nonzero", "minmax"])
def test_a_constant_channel_becomes_0(image: np.ndarray, normalisation: Normalisation) -> None:
    image[1] = 5
    found = normalise(image, preprocessing(normalisation), np.ones(SHAPE[1:], bool))
    assert (found[1] == 0).all()
    assert found[0].std() > 0


@pytest.mark.parametrize("normalisation", ["zscore", "zscore_nonzero", "ct", "minmax"])
def test_the_input_stays_as_it_was(image: np.ndarray, normalisation: Normalisation) -> None:
    before = image.copy()
    known = [Intensities(0, 1, 0, 1)] * 2 if normalisation == "ct" else []
    normalise(image, preprocessing(normalisation, *known), np.ones(SHAPE[1:], bool))
    np.testing.assert_array_equal(image, before)


def test_what_a_rule_lacks_is_named(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"intensities: expected one per channel \(2\), got 1"):
        normalise(image, preprocessing("ct", Intensities(0, 1, 0, 1)))
    with pytest.raises(ValueError, match=r"nonzero: expected a mask .* got None"):
        normalise(image, preprocessing("zscore_nonzero"))
    with pytest.raises(ValueError, match=r"nonzero: expected a mask .* got an empty one"):
        normalise(image, preprocessing("zscore_nonzero"), np.zeros(SHAPE[1:], bool))


def test_intensities_are_those_of_the_pooled_foreground_every_tenth_voxel() -> None:
    rng = np.random.default_rng(2)
    images = [rng.normal(40, 25, (2, z, 30, 20)).astype(np.float32) for z in (3, 7)]
    labels = [rng.choice(np.array([0, 1, 2, IGNORE], np.uint8), image.shape[1:]) for image in images]
    samples = [foreground_sample(i, lab, 3) for i, lab in zip(images, labels, strict=True)]
    found = intensities(samples)
    for c, one in enumerate(found):
        pooled: list[float] = []
        for image, label in zip(images, labels, strict=True):
            inside = [float(v) for v, k in zip(image[c].ravel(), label.ravel(), strict=True) if k in (1, 2)]
            pooled += inside[::10]
        expected = (*np.percentile(pooled, (0.5, 99.5)), np.mean(pooled), np.std(pooled))
        np.testing.assert_allclose((one.low, one.high, one.mean, one.std), expected, rtol=1e-6)
