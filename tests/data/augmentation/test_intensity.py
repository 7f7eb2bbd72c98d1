from collections.abc import Callable

import numpy as np
import pytest
import torch
from augmentation_samples import with_probability
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import kstest

from rwseg.data.augmentation.draws import Chosen, Intensities, draw_intensities, draws_per_sample
from rwseg.data.augmentation.intensity import blur, change_intensities, contrast, gamma, low_resolution, noise
from rwseg.data.sampling.patches import Floats, uniforms

Plane = NDArray[np.float64]
SHAPES = [(37, 52), (16, 9), (64, 31)]


def planes(shape: tuple[int, int], count: int = 5) -> NDArray[np.float32]:
    """Smooth structure and noise, another mean and contrast for each."""
    rng = np.random.default_rng(1)
    smooth = ndimage.gaussian_filter(rng.normal(size=(count, *shape)), (0, 2, 3)) * 6
    mixed = smooth + 0.2 * rng.normal(size=smooth.shape)
    return (mixed * rng.uniform(0.5, 2, (count, 1, 1)) + rng.normal(size=(count, 1, 1))).astype(np.float32)


def scipy_blur(x: Plane, sigma: float) -> Plane:
    return ndimage.gaussian_filter(x, sigma)  # type: ignore[no-any-return]


def numpy_contrast(x: Plane, factor: float) -> Plane:
    return np.clip((x - x.mean()) * factor + x.mean(), x.min(), x.max())


def numpy_gamma(x: Plane, exponent: float) -> Plane:
    span = np.ptp(x) + 1e-7
    curved = ((x - x.min()) / span) ** exponent * span + x.min()
    return (curved - curved.mean()) / (curved.std() + 1e-8) * x.std() + x.mean()


def scipy_low_resolution(x: Plane, zoom: float) -> Plane:
    shape = np.array(x.shape)
    target = np.round(shape * zoom)
    options = {"mode": "nearest", "grid_mode": True}
    small = ndimage.zoom(x, target / shape, order=0, **options)
    large = ndimage.zoom(small, shape / target, order=3, **options)
    return np.clip(large, small.min(), small.max())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("step", "reference", "values"),
    [
        (blur, scipy_blur, [0.5, 0.62, 0.63, 0.87, 1.0]),
        (contrast, numpy_contrast, [0.75, 0.9, 1.0, 1.1, 1.25]),
        (gamma, numpy_gamma, [0.7, 0.8, 1.0, 1.2, 1.5]),
        (low_resolution, scipy_low_resolution, [0.5, 0.61, 0.75, 0.93, 1.0]),
    ],
)
def test_a_step_is_what_scipy_or_numpy_give_image_by_image(
    shape: tuple[int, int],
    step: Callable[[torch.Tensor, Floats], torch.Tensor],
    reference: Callable[[Plane, float], Plane],
    values: list[float],
) -> None:
    x = planes(shape)
    before = torch.from_numpy(x.copy())
    changed = step(before, np.array(values))
    assert changed.shape == before.shape
    assert torch.equal(before, torch.from_numpy(x)), "what comes in stays"
    for image, value, result in zip(x.astype(np.float64), values, changed.numpy(), strict=True):
        np.testing.assert_allclose(result, reference(image, value), atol=3e-5 * np.ptp(image))
        if value != 1.0:
            assert np.abs(result - image).max() > 1e-3, "the test would not see a step that does nothing"


@pytest.mark.parametrize("step", [blur, contrast, gamma, low_resolution])
def test_a_constant_image_stays_constant(step: Callable[[torch.Tensor, Floats], torch.Tensor]) -> None:
    x = torch.full((2, 12, 9), 1.5)
    torch.testing.assert_close(step(x, np.array([0.5, 0.9])), x, rtol=0, atol=1e-5)


def numpy_noise(key: NDArray[np.int64], channel: int, shape: tuple[int, int]) -> Plane:
    """The hash in 32-bit arithmetic, and Box and Muller's formula."""

    def mixed(word: NDArray[np.uint32]) -> NDArray[np.uint32]:
        word = (word ^ (word >> np.uint32(16))) * np.uint32(0x7FEB352D)
        word = (word ^ (word >> np.uint32(15))) * np.uint32(0x846CA68B)
        return word ^ (word >> np.uint32(16))

    pixels = shape[0] * shape[1]
    half = (pixels + 1) // 2
    words = mixed(np.arange(2 * half, dtype=np.uint32) ^ np.uint32(key[0])) ^ np.uint32(key[1])
    uniform = ((mixed(mixed(words) + np.uint32(channel)) >> np.uint32(8)) + 0.5) / 2**24
    radius, angle = np.sqrt(-2 * np.log(uniform[:half])), 2 * np.pi * uniform[half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:pixels].reshape(shape)


@pytest.mark.parametrize("shape", [(6, 10), (7, 5)])
def test_noise_is_a_function_of_key_channel_and_pixel(shape: tuple[int, int]) -> None:
    keys = np.random.default_rng(0).integers(0, 2**32, (6, 2))
    channels = np.array([0, 1, 2, 0, 1, 2])
    drawn = noise(keys, channels, torch.zeros(6, *shape))
    for key, channel, plane in zip(keys, channels, drawn.numpy(), strict=True):
        np.testing.assert_allclose(plane, numpy_noise(key, channel, shape), atol=1e-4)


def test_noise_is_normal_and_independent_of_pixel_channel_and_sample() -> None:
    keys = np.array([[7, 9], [7, 9], [8, 9], [7, 10]])
    drawn = noise(keys, np.array([0, 1, 0, 0]), torch.zeros(4, 256, 225)).numpy().astype(np.float64)
    assert kstest(drawn.ravel(), "norm").pvalue > 1e-3
    pixels = drawn[0].size
    neighbours = [drawn[0, :-1, :-1], drawn[0, 1:, :-1], drawn[0, :-1, 1:], drawn[0, 1:, 1:]]
    for group in (drawn.reshape(4, -1), np.stack(neighbours).reshape(4, -1)):
        assert np.abs(np.corrcoef(group) - np.eye(4)).max() < 5 / np.sqrt(pixels)
    power = np.abs(np.fft.rfft2(drawn[0])) ** 2 / pixels  # exponentially distributed for white noise
    assert power.max() < np.log(pixels) + 8


def everything(channels: int, count: int = 6) -> Intensities:
    settings = with_probability(1.0).intensity
    assert settings is not None
    return draw_intensities(settings, uniforms(5, 0, count, draws_per_sample(channels), 1), channels)


@pytest.mark.parametrize(("channels", "shape"), [(1, (24, 18)), (3, (17, 22))])
def test_all_steps_in_nnunets_order(channels: int, shape: tuple[int, int]) -> None:
    drawn = everything(channels)
    x = planes(shape, 6 * channels).reshape(6, channels, *shape)
    image = torch.from_numpy(x.copy())
    change_intensities(image, drawn)
    for n, (sample, channel) in enumerate(zip(drawn.noise.samples, drawn.noise.channels, strict=True)):
        value = x[sample, channel].astype(np.float64)
        value = value + drawn.noise.value[n] * numpy_noise(drawn.noise_keys[n], channel, shape)
        value = scipy_blur(value, drawn.blur.value[n])
        value = value * drawn.brightness.value[n]
        value = numpy_contrast(value, drawn.contrast.value[n])
        value = scipy_low_resolution(value, drawn.low_resolution.value[n])
        value = -numpy_gamma(-value, drawn.inverted_gamma.value[n])
        value = numpy_gamma(value, drawn.gamma.value[n])
        np.testing.assert_allclose(image[sample, channel], value, atol=1e-3 * np.ptp(value))


def test_only_the_chosen_images_change() -> None:
    nothing = Chosen(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    chosen = Chosen(np.array([1, 3]), np.array([0, 1]), np.array([0.8, 1.2]))
    keys = np.zeros((0, 2), np.int64)
    drawn = Intensities(nothing, keys, nothing, chosen, nothing, nothing, nothing, nothing)
    x = torch.from_numpy(planes((8, 9), 8)).view(4, 2, 8, 9)
    image = x.clone()
    change_intensities(image, drawn)
    torch.testing.assert_close(image[1, 0], 0.8 * x[1, 0])
    torch.testing.assert_close(image[3, 1], 1.2 * x[3, 1])
    image[1, 0], image[3, 1] = x[1, 0], x[3, 1]
    assert torch.equal(image, x)


def test_an_image_is_changed_alike_in_every_batch() -> None:
    drawn = everything(2, count=12)
    x = torch.from_numpy(planes((33, 20), 24)).view(12, 2, 33, 20)
    together = x.clone()
    change_intensities(together, drawn)
    few = [0, 5, 11]
    alone = x[few].clone()
    change_intensities(alone, _of(drawn, few))
    torch.testing.assert_close(alone, together[few], rtol=0, atol=1e-4)


def _of(drawn: Intensities, samples: list[int]) -> Intensities:
    """The part of `drawn` that concerns `samples`, renumbered."""

    def part(chosen: Chosen) -> Chosen:
        here = np.isin(chosen.samples, samples)
        return Chosen(
            np.searchsorted(samples, chosen.samples[here]), chosen.channels[here], chosen.value[here]
        )

    keys = drawn.noise_keys[np.isin(drawn.noise.samples, samples)]
    names = ("blur", "brightness", "contrast", "low_resolution", "inverted_gamma", "gamma")
    return Intensities(part(drawn.noise), keys, *(part(getattr(drawn, name)) for name in names))


def test_mirrored_images_are_changed_alike() -> None:
    """Flips are made before the intensities; nnU-Net makes them after."""
    shape = (33, 21)  # odd: no two pixels are equally near to a pixel of lower resolution
    x = torch.from_numpy(planes(shape))
    values = np.array([0.55, 0.66, 0.78, 0.87, 0.96])
    for step in (blur, contrast, gamma, low_resolution):
        for axes in ((1,), (2,), (1, 2)):
            mirrored = step(x.flip(axes), values).flip(axes)
            torch.testing.assert_close(mirrored, step(x, values), rtol=0, atol=2e-5)


@pytest.mark.cuda
def test_a_gpu_changes_images_as_a_cpu_does() -> None:
    drawn = everything(2)
    x = torch.from_numpy(planes((40, 36), 12)).view(6, 2, 40, 36)
    there = x.cuda()
    change_intensities(x, drawn)
    change_intensities(there, drawn)
    torch.testing.assert_close(there.cpu(), x, rtol=0, atol=1e-3)
