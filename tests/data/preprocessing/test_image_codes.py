"""Images as 16-bit codes: what a source of 8 to 16 bits had is there to half of its levels; others stay."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import spline_filter
from small_dataset import PLAIN

from rwseg.data.case import LoadedCase
from rwseg.data.preprocessing.config import FittedPreprocessing
from rwseg.data.preprocessing.fingerprint import fit_preprocessing
from rwseg.data.preprocessing.image_codes import LARGEST, Scale, decode, encode
from rwseg.data.preprocessing.volume import prepare_volume
from rwseg.data.sampling.patches import Boxes
from rwseg.data.sampling.slice_cache import SPLINE_GAIN, Flat, SliceCache
from rwseg.data.sampling.stores import spline_coefficients

ON_ITS_GRID = fit_preprocessing(PLAIN, ())
RESAMPLED = fit_preprocessing(replace(PLAIN, zoom=0.7), ())


def source_of(bits: int) -> NDArray[np.float32]:
    """Two channels `(2, 3, 23, 31)` that use all levels of `bits`, the second one mostly near 0."""
    rng = np.random.default_rng(bits)
    image = rng.integers(0, 2**bits, (2, 3, 23, 31)).astype(np.float64)
    image[1] = np.floor(image[1] ** 3 / 4.0**bits)
    image[:, 0, 0, :2] = 0, 2**bits - 1
    return image.astype(np.float32)


@pytest.mark.parametrize("rule", [ON_ITS_GRID, RESAMPLED], ids=["native", "resampled"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_source_of_8_to_16_bits_keeps_its_levels(bits: int, rule: FittedPreprocessing) -> None:
    native = source_of(bits)
    image = prepare_volume(LoadedCase(native, None, (9.0, 1.0, 1.5)), rule, num_classes=2).image
    codes, scales = encode(image, native)
    assert codes.dtype == np.int16
    level = 1 / native.std(axis=(1, 2, 3), dtype=np.float64)
    overshoot = np.ptp(image, axis=(1, 2, 3)) / np.ptp(native, axis=(1, 2, 3)) / level
    error = np.abs(decode(codes, scales) - image).max(axis=(1, 2, 3))
    assert (error <= 2.0 ** (bits - 17) * level * np.maximum(overshoot, 1) * 1.01).all()


@pytest.mark.parametrize("bits", [8, 12, 15])
def test_on_their_own_grid_the_whole_numbers_come_back(bits: int) -> None:
    native = source_of(bits)
    image = prepare_volume(LoadedCase(native, None, (1.0, 1.0, 1.0)), ON_ITS_GRID, num_classes=2).image
    mean, std = (f(native, axis=(1, 2, 3), keepdims=True, dtype=np.float64) for f in (np.mean, np.std))
    np.testing.assert_array_equal(np.rint(decode(*encode(image, native)) * std + mean), native)


@pytest.mark.parametrize(
    "change",
    [lambda a: a + 0.25, lambda a: a * 300, lambda a: a - 0.5 * (a == 255)],
    ids=["between whole numbers", "more than 16 bits", "one voxel between"],
)
def test_other_sources_are_stored_as_they_are(change: Callable[[NDArray], NDArray]) -> None:
    native = source_of(8)
    image = native / np.float32(70)
    stored, scales = encode(image, change(native))
    assert scales == ()
    assert stored is image
    np.testing.assert_array_equal(decode(stored, scales), image)


@pytest.mark.parametrize("low", [0.0, -3.0, 2.0])
def test_zero_stays_zero_and_a_constant_channel_too(low: float) -> None:
    image = np.linspace(low, 11, 30, dtype=np.float32).reshape(1, 2, 3, 5)
    image[0, 1] = 0
    image = np.concatenate([image, np.zeros_like(image)])
    codes, scales = encode(image, np.zeros_like(image))
    assert (decode(codes, scales)[:, 1] == 0).all()
    assert (decode(codes, scales)[1] == 0).all()
    assert (codes[0].min(), codes[0].max()) >= (-LARGEST - 1, LARGEST - 1)
    np.testing.assert_array_equal(decode(codes[:, 1:], scales), decode(codes, scales)[:, 1:])


def test_coefficients_of_the_harshest_image_fit_and_are_those_of_its_values() -> None:
    rows, columns = np.indices((21, 26))
    codes = np.where((rows + columns) % 2, LARGEST, -LARGEST).astype(np.int16)[None]
    codes[:, 10:] //= 3
    stored = spline_coefficients(codes)
    assert stored.dtype == np.int16
    assert np.abs(stored).max() > 0.95 * LARGEST, "the gain is not larger than it has to be"
    scale = Scale(0.002, -1234)
    flat = Flat(
        geometry=torch.tensor([[0], [21], [26], [26]]),
        image=torch.from_numpy(codes.reshape(1, -1)),
        labels=torch.zeros(codes.size, dtype=torch.uint8),
        map_channels=None,
        coefficients=torch.from_numpy(stored.reshape(1, -1)),
        scales=torch.tensor([[[scale.step]], [[scale.zero]]], dtype=torch.float32),
    )
    cache = SliceCache(flat, np.array([[21, 26]]), rectified=False, has_ignored=False)
    whole = Boxes(np.array([0]), np.array([0]), np.array([0]), np.zeros((1, 2), bool))
    values = decode(codes, (scale,))
    found = cache.coefficients_at(whole, (21, 26))[0, 0].numpy()
    reference = spline_filter(values[0].astype(np.float64), order=3, mode="mirror")
    np.testing.assert_allclose(found, reference, atol=scale.step * (SPLINE_GAIN / 2 + 0.01))
    np.testing.assert_array_equal(cache.batch(whole, (21, 26)).image[0], values)
