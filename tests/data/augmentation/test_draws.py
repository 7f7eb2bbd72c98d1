from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from augmentation_samples import INTENSITY, NNUNET, SPATIAL, with_probability
from scipy.stats import binomtest, kstest

from rwseg.data.augmentation.draws import (
    OF_CHANNEL,
    OF_SAMPLE,
    STREAM,
    Chosen,
    Warps,
    draw_intensities,
    draw_warps,
    draws_per_sample,
)
from rwseg.data.sampling.patches import Floats, uniforms

N, C = 10_000, 2
PATCH = (256, 224)
CONF = Path(__file__).parents[3] / "conf" / "augment"


@pytest.fixture(scope="module")
def draws() -> Floats:
    return uniforms(3, 0, N, draws_per_sample(C), STREAM)


def near(count: int, trials: int, probability: float) -> bool:
    return bool(binomtest(count, trials, probability).pvalue > 1e-4)


def uniform_within(values: Floats, low: float, high: float) -> bool:
    """Uniform by a Kolmogorov-Smirnov test, never outside, and close to both ends."""
    margin = 20 * (high - low) / len(values)
    reached = values.min() < low + margin and values.max() > high - margin
    inside = values.min() >= low and values.max() <= high
    return bool(inside and reached and kstest(values, "uniform", (low, high - low)).pvalue > 1e-4)


def half_each_side(values: Floats, low: float, high: float) -> bool:
    below, above = values[values < 1], values[values >= 1]
    return (
        near(len(below), len(values), 0.5)
        and uniform_within(below, low, 1)
        and uniform_within(above, 1, high)
    )


def test_the_settings_here_are_those_of_the_configuration() -> None:
    of_file = yaml.safe_load((CONF / "nnunet.yaml").read_text())
    assert of_file == yaml.safe_load(yaml.safe_dump(_lists(asdict(NNUNET))))


def _lists(value: object) -> object:
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def test_warps_have_nnunets_frequencies_and_ranges(draws: Floats) -> None:
    warps = draw_warps(SPATIAL, draws, PATCH)
    rotated, scaled = warps.angle != 0, warps.factor != 1
    assert near(len(warps.samples), N, 1 - 0.8**2)
    assert near(rotated.sum(), N, 0.2)
    assert near(scaled.sum(), N, 0.2)
    assert near((rotated & scaled).sum(), N, 0.04)
    assert uniform_within(np.rad2deg(warps.angle[rotated]), -180, 180)
    assert half_each_side(warps.factor[scaled], 0.7, 1.4)


@pytest.mark.parametrize(("patch", "largest"), [((150, 100), 180), ((151, 100), 15), ((100, 151), 15)])
def test_elongated_patches_are_hardly_turned(draws: Floats, patch: tuple[int, int], largest: float) -> None:
    warps = draw_warps(SPATIAL, draws, patch)
    assert uniform_within(np.rad2deg(warps.angle[warps.angle != 0]), -largest, largest)
    small = draw_warps(replace(SPATIAL, degrees=5.0), draws, patch)
    assert np.abs(np.rad2deg(small.angle)).max() <= 5


@pytest.mark.parametrize(
    ("name", "images", "limits"),
    [
        ("blur", 0.2 * 0.5, (0.5, 1.0)),
        ("brightness", 0.15, (0.75, 1.25)),
        ("low_resolution", 0.25 * 0.5, (0.5, 1.0)),
    ],
)
def test_intensities_have_nnunets_frequencies_and_ranges(
    draws: Floats, name: str, images: float, limits: tuple[float, float]
) -> None:
    chosen: Chosen = getattr(draw_intensities(INTENSITY, draws, C), name)
    assert near((chosen.channels == 0).sum(), N, images)
    assert near((chosen.channels == 1).sum(), N, images)
    assert uniform_within(chosen.value, *limits)


@pytest.mark.parametrize(
    ("name", "share", "limits"),
    [
        ("contrast", 0.15, (0.75, 1.25)),
        ("inverted_gamma", 0.1, (0.7, 1.5)),
        ("gamma", 0.3, (0.7, 1.5)),
    ],
)
def test_factors_and_exponents_are_half_below_and_half_above_one(
    draws: Floats, name: str, share: float, limits: tuple[float, float]
) -> None:
    chosen: Chosen = getattr(draw_intensities(INTENSITY, draws, C), name)
    assert near(len(chosen.value) // C, N, share)
    assert half_each_side(chosen.value, *limits)
    for channel in range(C):
        np.testing.assert_array_equal(chosen.samples[chosen.channels == channel], chosen.samples[::C])
    values = chosen.value.reshape(-1, C)
    assert abs(np.corrcoef(values.T)[0, 1]) < 5 / np.sqrt(len(values)), "channels have values of their own"


def test_noise_has_one_deviation_per_sample_and_keys_of_64_bits(draws: Floats) -> None:
    drawn = draw_intensities(INTENSITY, draws, C)
    std = drawn.noise.value.reshape(-1, C)
    assert near(len(std), N, 0.1)
    np.testing.assert_array_equal(std[:, 0], std[:, 1])
    assert uniform_within(std[:, 0], 0.0, 0.1)
    keys = drawn.noise_keys.reshape(-1, C, 2)
    np.testing.assert_array_equal(keys[:, 0], keys[:, 1])
    for word in keys[:, 0].T:
        assert len(np.unique(word)) == len(word)
        assert uniform_within(word / 2**32, 0, 1)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_nothing_or_everything_happens(draws: Floats, probability: float) -> None:
    settings = with_probability(probability)
    assert settings.spatial is not None
    assert settings.intensity is not None
    count = int(probability) * N
    assert len(draw_warps(settings.spatial, draws, PATCH).samples) == count
    drawn = draw_intensities(settings.intensity, draws, C)
    for name in ("noise", "blur", "brightness", "contrast", "low_resolution", "inverted_gamma", "gamma"):
        assert len(getattr(drawn, name).value) == count * C, name


def test_what_a_sample_gets_depends_on_its_number_alone(draws: Floats) -> None:
    for sample in (0, 17, 4242):
        alone = uniforms(3, sample, 1, draws_per_sample(C), STREAM)
        np.testing.assert_array_equal(alone[0], draws[sample])
        one, all_ = draw_warps(SPATIAL, alone, PATCH), draw_warps(SPATIAL, draws, PATCH)
        same_warps(one, all_, sample)


def same_warps(one: Warps, all_: Warps, sample: int) -> None:
    here = all_.samples == sample
    assert len(one.samples) == here.sum()
    np.testing.assert_array_equal(one.angle, all_.angle[here])
    np.testing.assert_array_equal(one.factor, all_.factor[here])


def test_steps_are_drawn_independently_of_one_another_and_of_the_boxes(draws: Floats) -> None:
    used = draws[:, : len(OF_SAMPLE) + C * len(OF_CHANNEL)]
    correlations = np.corrcoef(np.hstack([used, uniforms(3, 0, N)]).T)
    assert np.abs(correlations - np.eye(len(correlations))).max() < 5 / np.sqrt(N)
    without_blur = draw_intensities(replace(INTENSITY, blur=0.0), draws, C)
    with_blur = draw_intensities(INTENSITY, draws, C)
    np.testing.assert_array_equal(without_blur.gamma.value, with_blur.gamma.value)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_there_are_enough_numbers_for_every_channel(channels: int) -> None:
    count = draws_per_sample(channels)
    assert count % 4 == 0
    assert 0 <= count - len(OF_SAMPLE) - channels * len(OF_CHANNEL) < 4
    everything = with_probability(1.0).intensity
    assert everything is not None
    drawn = draw_intensities(everything, uniforms(0, 0, 50, count, STREAM), channels)
    assert len(np.unique(drawn.gamma.value)) == 50 * channels
