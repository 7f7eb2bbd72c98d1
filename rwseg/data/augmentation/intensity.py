"""Changes of intensities: nnU-Net's noise, blur, brightness, contrast, low resolution and gamma.

Each step takes n images `(n, h, w)` with a parameter for each, and returns n new ones; what is applied to
which is drawn elsewhere. The formulas are those of batchgenerators 0.21, which the paper's code uses.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from rwseg.data.augmentation.draws import Chosen, Intensities
from rwseg.data.sampling.patches import Floats, Ints
from rwseg.data.sampling.to_device import to_device

TRUNCATE = 4.0
"""A Gaussian is cut off at so many sigma, as in SciPy."""

POLE = math.sqrt(3) - 2
EDGE = 12
"""Rows that go on with the edge pixel before a cubic spline is fitted: the pole's 12th power is 1e-7."""

MASK_32 = 0xFFFFFFFF


def change_intensities(image: Tensor, drawn: Intensities) -> None:
    """Apply all steps to a batch `(B, C, h, w)`, in place and in nnU-Net's order."""

    def change(chosen: Chosen, step: Callable[[Tensor, Floats], Tensor]) -> None:
        if chosen.value.size:
            where = tuple(to_device(i, image.device) for i in (chosen.samples, chosen.channels))
            image[where] = step(image[where], chosen.value)

    keys = drawn.noise_keys
    change(drawn.noise, lambda x, std: x + per_image(x, std) * noise(keys, drawn.noise.channels, x))
    change(drawn.blur, blur)
    change(drawn.brightness, lambda x, factor: x * per_image(x, factor))
    change(drawn.contrast, contrast)
    change(drawn.low_resolution, low_resolution)
    change(drawn.inverted_gamma, lambda x, exponent: -gamma(-x, exponent))
    change(drawn.gamma, gamma)


def per_image(x: Tensor, value: Floats) -> Tensor:
    """One number per image, as `(n, 1, 1)` beside `x`."""
    return to_device(value, x.device, x.dtype)[:, None, None]


def noise(keys: Ints, channels: Ints, like: Tensor) -> Tensor:
    """Standard normal numbers of the shape of `like` (n, h, w): a function of key, channel and pixel alone.

    Pixel numbers are hashed with the two 32-bit words of a key, pairs of hashes turned by Box and Muller, so
    that every device draws the same.
    """
    count, pixels = len(keys), like[0].numel()
    half = (pixels + 1) // 2
    first, second = to_device(keys, like.device)[:, :, None].unbind(1)  # (n, 1)
    channel = to_device(channels, like.device)[:, None]
    counter = torch.arange(2 * half, device=like.device)
    words = mix(mix(mix(counter ^ first) ^ second) + channel)  # (n, 2 half)
    uniform = ((words >> 8).float() + 0.5) * 2.0**-24  # in (0, 1]
    radius = (-2 * uniform[:, :half].log()).sqrt()
    angle = 2 * math.pi * uniform[:, half:]
    normal = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
    return normal[:, :pixels].reshape(count, *like.shape[1:])


def mix(word: Tensor) -> Tensor:
    """A bijection of 32-bit numbers, held in int64, whose every output bit depends on every input bit.

    Rounds and constants: Chris Wellons's `lowbias32`. Products wrap around at 64 bits, which leaves the low
    32 as they are.
    """
    word = word & MASK_32
    word = (word ^ (word >> 16)) * 0x7FEB352D & MASK_32
    word = (word ^ (word >> 15)) * 0x846CA68B & MASK_32
    return word ^ (word >> 16)


def blur(x: Tensor, sigma: Floats) -> Tensor:
    """Gaussian blur; beyond the border the image is mirrored, its edge pixel repeated."""
    radius = int(TRUNCATE * sigma.max() + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    kernel *= np.abs(offsets) <= np.floor(TRUNCATE * sigma + 0.5)[:, None]
    weights = to_device(kernel / kernel.sum(1, keepdims=True), x.device, x.dtype)[:, None]  # (n, 1, taps)
    height, width = (mirrored(size, radius, x.device) for size in x.shape[1:])
    groups = len(x)
    rows = conv2d(x[None, :, height], weights[..., None], groups=groups)
    return conv2d(rows[..., width], weights[:, :, None], groups=groups)[0]


def mirrored(size: int, radius: int, device: torch.device) -> Tensor:
    """Pixel numbers from `-radius` to `size + radius - 1`, mirrored at the borders, edge pixels repeated."""
    place = torch.arange(-radius, size + radius, device=device) % (2 * size)
    return torch.minimum(place, 2 * size - 1 - place)


def contrast(x: Tensor, factor: Floats) -> Tensor:
    """Deviation from the image's mean times `factor`, clipped to the image's range."""
    mean = x.mean((1, 2), keepdim=True)
    low, high = extremes(x)
    return torch.clamp((x - mean) * per_image(x, factor) + mean, low, high)


def gamma(x: Tensor, exponent: Floats) -> Tensor:
    """The image, scaled to [0, 1], to the power of `exponent`; then with its former mean and deviation."""
    mean, std = moments(x)
    low, high = extremes(x)
    span = high - low + 1e-7
    curved = ((x - low) / span).pow(per_image(x, exponent)) * span
    new_mean, new_std = moments(curved)
    return (curved - new_mean) * (std / (new_std + 1e-8)) + mean


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (over n, not n - 1) of each image, `(n, 1, 1)`."""
    mean = x.mean((1, 2), keepdim=True)
    return mean, (x - mean).square_().mean((1, 2), keepdim=True).sqrt_()


def extremes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Minimum and maximum of each image, `(n, 1, 1)`; `aminmax` takes twenty times as long."""
    return x.amin((1, 2), keepdim=True), x.amax((1, 2), keepdim=True)


def low_resolution(x: Tensor, zoom: Floats) -> Tensor:
    """Each image as if taken at `zoom` times its resolution: nearest pixels, then a cubic spline up again.

    The small image goes on with its edge pixels, and the result is clipped to its range (scikit-image's
    `resize`, order 0 and 3, mode edge, no anti-aliasing). Both are matrices, one per axis and image.
    """
    rows, up_rows = resolution(x.shape[1], zoom, x)
    columns, up_columns = resolution(x.shape[2], zoom, x)
    images = torch.arange(len(x), device=x.device)[:, None, None]
    small = x[images, rows[:, :, None], columns[:, None, :]]  # (n, m + 2 EDGE, l + 2 EDGE)
    large = up_rows @ small @ up_columns.transpose(1, 2)
    return torch.clamp(large, *extremes(small))


def resolution(size: int, zoom: Floats, like: Tensor) -> tuple[Tensor, Tensor]:
    """Which of `size` pixels make the small axis, and the matrix `(n, size, m + 2 EDGE)` that enlarges it.

    The pixels `(n, m + 2 EDGE)` begin and end with repetitions of the edge; m is the longest of the n axes.
    """
    target = np.maximum(1, np.round(size * zoom))[:, None]  # (n, 1)
    place = np.arange(-EDGE, target.max() + EDGE)
    small = np.clip(place, 0, target - 1)
    # Pixel centres correspond; in floating point as SciPy has it, since half-way cases decide which is near.
    nearest = np.floor((small + 0.5) * (size / target) - 0.5 + 0.5).astype(np.int64)
    position = (np.arange(size) + 0.5) * (target / size) - 0.5 + EDGE
    tap = np.floor(position)
    weights = cubic_weights(to_device(position - tap, like.device, like.dtype))  # (n, size) each
    taps = to_device(tap.astype(np.int64), like.device) - 1
    steps = torch.arange(place.size, device=like.device, dtype=like.dtype)
    # Coefficients of the interpolating spline: the inverse of its sampled basis falls off as a power of POLE.
    distance = (steps[:, None] - steps).abs()
    fit = math.sqrt(3) * (POLE * like.new_ones(())).pow(distance)
    matrix = sum(weight[:, :, None] * fit[taps + k] for k, weight in enumerate(weights))
    assert isinstance(matrix, Tensor)
    return to_device(nearest, like.device), matrix


def cubic_weights(t: Tensor) -> list[Tensor]:
    """Weights of the cubic B-splines at -1, 0, 1 and 2 for positions `t` in [0, 1], each shaped like `t`."""
    first, last = ((1 - t).pow(3).div_(6), t.pow(3).div_(6))
    second = t.square().mul_(t / 2 - 1).add_(2 / 3)
    return [first, second, 1 - first - second - last, last]
