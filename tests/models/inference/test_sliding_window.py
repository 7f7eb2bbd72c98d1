"""Sliding windows against a loop written by hand and MONAI's; the way back to the native grid."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from monai.inferers.utils import sliding_window_inference
from torch import Tensor, nn

from rwseg.models.inference.sliding_window import (
    most_probable,
    predict_slices,
    predict_volume,
    to_native,
    window_starts,
    window_weights,
)
from rwseg.models.unet import UNet

PATCH = (16, 8)


class Constant(nn.Module):
    """The same logits at every pixel; remembers the batch sizes that it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, image: Tensor) -> list[Tensor]:
        self.seen.append(len(image))
        return [torch.tensor([1.0, 2.0, 4.0])[:, None, None].expand(len(image), 3, *image.shape[2:])]


@pytest.fixture(scope="module")
def net() -> UNet:
    """Instance norm makes the output of a pixel depend on its whole window."""
    torch.manual_seed(0)
    return UNet(2, 3, 4, 8, [(2, 2), (2, 1)], 1, "instance", True).eval()


def volume(height: int, width: int, depth: int = 2) -> Tensor:
    return torch.randn(2, depth, height, width, generator=torch.Generator().manual_seed(height * 100 + width))


def by_hand(net: nn.Module, image: Tensor, patch: tuple[int, int], flips: bool) -> np.ndarray:
    """Probabilities `(K, H, W)` of one slice `(C, H, W)` no smaller than the patch, summed in NumPy.

    Windows are evenly spaced and at most half a patch apart; each is mirrored; Gaussian weights.
    """
    size = image.shape[1:]
    counts = [math.ceil((s - p) / (p / 2)) + 1 for s, p in zip(size, patch, strict=True)]
    starts = [
        np.round(np.linspace(0, s - p, n)).astype(int) for s, p, n in zip(size, patch, counts, strict=True)
    ]
    rows, columns = ([math.exp(-(((i - p // 2) / (p / 8)) ** 2) / 2) for i in range(p)] for p in patch)
    weight = np.outer(rows, columns) if math.prod(counts) > 1 else np.ones(patch)
    total, weights = np.zeros((3, *size)), np.zeros(size)
    for y in starts[0]:
        for x in starts[1]:
            window = np.s_[..., y : y + patch[0], x : x + patch[1]]
            mirrors = [[], [1], [2], [1, 2]] if flips else [[]]
            for axes in mirrors:
                scores = np.exp(net(image[window].flip(axes)[None])[0][0].detach().double().numpy())
                total[window] += weight * np.flip(scores / scores.sum(0), axes) / len(mirrors)
            weights[window] += weight
    return total / weights


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("size", [(16, 8), (24, 20), (29, 13), (16, 31), (37, 9)])
def test_equals_windows_written_by_hand(net: UNet, size: tuple[int, int], flips: bool) -> None:
    image = volume(*size)
    got = predict_volume(net, image, PATCH, flips=flips, window_batch=5)
    assert (got.dtype, got.shape) == (torch.float32, (3, 2, *size))
    expected = np.stack([by_hand(net, image[:, z], PATCH, flips) for z in range(2)], axis=1)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(24, 20), (32, 8), (16, 16)])
def test_equals_monai_where_its_windows_are_the_same(net: UNet, size: tuple[int, int]) -> None:
    image = volume(*size)
    with torch.no_grad():
        slices = sliding_window_inference(
            image.transpose(0, 1),
            roi_size=PATCH,
            sw_batch_size=4,
            predictor=lambda windows: net(windows)[0].softmax(1),
            overlap=0.5,
            roi_weight_map=window_weights(PATCH),
        )
    got = predict_volume(net, image, PATCH, flips=False, window_batch=7)
    torch.testing.assert_close(got.transpose(0, 1), slices, rtol=1e-4, atol=1e-5)


@given(st.integers(1, 700), st.integers(1, 330))
def test_windows_are_evenly_spaced_and_at_most_half_a_patch_apart(size: int, patch: int) -> None:
    starts = window_starts(size, patch)
    last = max(size - patch, 0)
    assert len(starts) == math.ceil(last / (patch / 2)) + 1
    assert starts == np.round(np.linspace(0, last, len(starts))).astype(int).tolist()
    assert (starts[0], starts[-1]) == (0, last)
    assert all(after - before <= math.ceil(patch / 2) for before, after in pairwise(starts))


@pytest.mark.parametrize("patch", [(16, 8), (256, 224), (33, 7), (1, 5)])
def test_weights_are_one_at_most_and_positive(patch: tuple[int, int]) -> None:
    weights = window_weights(patch)
    assert (weights.dtype, weights.shape) == (torch.float32, patch)
    assert weights.max() == 1
    assert weights[patch[0] // 2, patch[1] // 2] == 1
    assert weights.min() > 0


def test_with_flips_a_flipped_window_gives_the_flipped_prediction(net: UNet) -> None:
    image = volume(16, 8)
    straight = predict_volume(net, image, PATCH, flips=True, window_batch=64)
    for axes in ([2], [3], [2, 3]):
        flipped = predict_volume(net, image.flip(axes), PATCH, flips=True, window_batch=64)
        torch.testing.assert_close(flipped, straight.flip(axes))
    single = predict_volume(net, image, PATCH, flips=False, window_batch=64)
    assert (single - straight).abs().max() > 0.01  # else the flips would not matter


@pytest.mark.parametrize("window_batch", [1, 3, 64])
def test_slices_together_equal_slice_by_slice(net: UNet, window_batch: int) -> None:
    image = volume(24, 20, depth=3)
    together = predict_volume(net, image, PATCH, flips=True, window_batch=window_batch)
    alone = [predict_volume(net, image[:, [z]], PATCH, flips=True, window_batch=7) for z in range(3)]
    torch.testing.assert_close(together, torch.cat(alone, dim=1), rtol=1e-4, atol=1e-5)


def test_slice_smaller_than_the_patch_is_zero_padded_around(net: UNet) -> None:
    image = volume(12, 6)
    padded = F.pad(image, (1, 1, 2, 2)).transpose(0, 1)  # (Z, C, 16, 8)
    expected = net(padded)[0].softmax(1)[:, :, 2:14, 1:7].transpose(0, 1)
    torch.testing.assert_close(predict_volume(net, image, PATCH, flips=False, window_batch=4), expected)


@pytest.mark.parametrize("size", [(5, 40), (33, 9), (16, 8)])
def test_constant_network_gives_uniform_probabilities_that_sum_to_one(size: tuple[int, int]) -> None:
    network = Constant().eval()
    got = predict_volume(network, volume(*size), PATCH, flips=True, window_batch=3)
    expected = np.exp([1, 2, 4]) / np.exp([1, 2, 4]).sum()
    np.testing.assert_allclose(
        got.numpy(), np.broadcast_to(expected[:, None, None, None], got.shape), rtol=1e-5
    )
    assert max(network.seen) <= 3


def test_windows_of_all_slices_share_full_batches() -> None:
    network = Constant().eval()
    predict_volume(network, volume(24, 20, depth=5), PATCH, flips=False, window_batch=8)
    assert network.seen == [8] * 5  # 2 x 4 windows in each of 5 slices


def test_half_precision_network_and_image_give_float32(net: UNet) -> None:
    image = volume(24, 20)
    full = predict_volume(net, image, PATCH, flips=False, window_batch=8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = predict_volume(net, image.to(torch.bfloat16), PATCH, flips=False, window_batch=8)
    assert low.dtype == torch.float32
    assert (low - full).abs().mean() < 0.02


@pytest.mark.parametrize(
    ("image", "patch", "window_batch", "message"),
    [
        (
            torch.zeros(2, 16, 8),
            PATCH,
            1,
            r"image: expected .*\(C, Z, H, W\), got torch.float32 \(2, 16, 8\)",
        ),
        (torch.zeros(2, 0, 16, 8), PATCH, 1, r"image: .*got torch.float32 \(2, 0, 16, 8\)"),
        (torch.zeros(2, 1, 16, 8, dtype=torch.int16), PATCH, 1, "image: .*got torch.int16"),
        (torch.zeros(2, 1, 16, 8), (16, 8, 8), 1, r"patch_size: expected two positive sizes .*\(16, 8, 8\)"),
        (torch.zeros(2, 1, 16, 8), (16, 0), 1, r"patch_size: expected two positive sizes .*\(16, 0\)"),
        (torch.zeros(2, 1, 16, 8), PATCH, 0, "window_batch: expected at least 1, got 0"),
    ],
)
def test_faulty_arguments_are_named(
    net: UNet, image: Tensor, patch: tuple[int, ...], window_batch: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        predict_volume(net, image, patch, flips=False, window_batch=window_batch)


def test_network_in_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"training mode; call network\.eval\(\)"):
        predict_volume(Constant().train(), volume(16, 8), PATCH, flips=False, window_batch=1)


def bilinear(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Linear interpolation at pixel centres along each axis in turn, edge values beyond the outer centres."""

    def along(line: np.ndarray, size: int) -> np.ndarray:
        centres = (np.arange(size) + 0.5) * len(line) / size - 0.5
        return np.asarray(np.interp(centres, np.arange(len(line)), line))

    rows = np.apply_along_axis(along, 0, plane, height)
    return np.asarray(np.apply_along_axis(along, 1, rows, width))


def probabilities(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape))).softmax(0)


WHOLE = ((0, 2), (0, 13), (0, 11))


@pytest.mark.parametrize("prepared", [(7, 5), (26, 30), (13, 11), (5, 30)])
def test_native_probabilities_are_interpolated_linearly(prepared: tuple[int, int]) -> None:
    scores = probabilities(3, 2, *prepared)
    got = torch.stack(list(to_native(scores.unbind(1), (2, 13, 11), WHOLE)), dim=1)
    expected = np.array([[bilinear(plane.numpy(), 13, 11) for plane in channel] for channel in scores])
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-6)
    np.testing.assert_array_equal(
        most_probable([to_native(scores.unbind(1), (2, 13, 11), WHOLE)]), expected.argmax(0)
    )


@given(st.data())
def test_outside_of_the_crop_there_is_certain_background(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.integers(1, 9)) for _ in range(3))
    starts = [data.draw(st.integers(0, side - 1)) for side in shape]
    stops = [data.draw(st.integers(start + 1, side)) for start, side in zip(starts, shape, strict=True)]
    (z, y, x), (zz, yy, xx) = starts, stops
    scores = probabilities(3, zz - z, yy - y, xx - x)
    crop = ((z, zz), (y, yy), (x, xx))
    got = torch.stack(list(to_native(scores.unbind(1), shape, crop)), dim=1)
    expected = torch.zeros(3, *shape)
    expected[0] = 1
    expected[:, z:zz, y:yy, x:xx] = scores
    assert torch.equal(got, expected)


def test_other_slices_than_those_of_the_crop_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        list(to_native(probabilities(4, 3, 6, 9).unbind(1), (4, 6, 9), ((1, 3), (0, 6), (0, 9))))


def test_an_ensemble_takes_the_class_of_the_largest_mean() -> None:
    scores = torch.rand(3, 4, 2, 6, 5, generator=torch.Generator().manual_seed(0)).softmax(1)
    members = list(scores)
    labels = most_probable([member.unbind(1) for member in members])
    assert (labels.dtype, labels.shape) == (np.uint8, (2, 6, 5))
    np.testing.assert_array_equal(labels, scores.numpy().sum(0).argmax(0))


@pytest.mark.parametrize("classes", [1, 2, 7])
def test_of_equal_probabilities_the_first_class_is_taken(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    scores = torch.randint(0, 3, (classes, 2, 6, 5), generator=generator) / 3  # many are equal
    np.testing.assert_array_equal(most_probable([scores.unbind(1)]), scores.numpy().argmax(0))
    nothing = torch.full((classes, 1, 3, 4), torch.nan)  # what a network gives whose training has diverged
    np.testing.assert_array_equal(most_probable([nothing.unbind(1)]), nothing.numpy().argmax(0))


def test_slices_come_one_by_one_and_only_their_windows_are_computed() -> None:
    network = Constant().eval()
    slices = predict_slices(network, volume(24, 20, depth=50), PATCH, flips=False, window_batch=4)
    next(slices)
    assert network.seen == [4, 4]  # 2 x 4 windows of the first slice, none of the 49 others
