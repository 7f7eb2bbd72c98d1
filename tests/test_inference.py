"""Whole-volume prediction against a tiling written by hand, and its symmetries."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rwseg.inference import predict_volume, to_native_labels
from rwseg.unet import UNet

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


def tiled(net: nn.Module, image: Tensor, patch: tuple[int, int]) -> np.ndarray:
    """Probabilities `(K, H, W)` of one slice `(C, H, W)` no smaller than the patch, summed in NumPy."""
    size = image.shape[1:]
    starts = [
        [min(i * p // 2, s - p) for i in range(math.ceil((s - p) / (p / 2)) + 1)]
        for s, p in zip(size, patch, strict=True)
    ]
    rows, columns = ([math.exp(-(((i - (p - 1) / 2) / (p / 8)) ** 2) / 2) for i in range(p)] for p in patch)
    weight = np.maximum(np.outer(rows, columns), 1e-3)
    total, weights = np.zeros((3, *size)), np.zeros(size)
    for y in starts[0]:
        for x in starts[1]:
            window = np.s_[..., y : y + patch[0], x : x + patch[1]]
            scores = np.exp(net(image[window][None])[0][0].detach().double().numpy())
            total[window] += weight * scores / scores.sum(0)
            weights[window] += weight
    return total / weights


@pytest.mark.parametrize("size", [(16, 8), (24, 20), (29, 13), (16, 31)])
def test_equals_a_tiling_written_by_hand(net: UNet, size: tuple[int, int]) -> None:
    image = volume(*size)
    got = predict_volume(net, image, PATCH, flips=False, window_batch=5)
    assert (got.dtype, got.shape) == (torch.float32, (3, 2, *size))
    expected = np.stack([tiled(net, image[:, z], PATCH) for z in range(2)], axis=1)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-5)


def test_flips_average_the_four_mirror_images(net: UNet) -> None:
    image = volume(29, 13)
    mirrors = [torch.flip(image, axes) for axes in ([], [2], [3], [2, 3])]
    single = [predict_volume(net, mirror, PATCH, flips=False, window_batch=64) for mirror in mirrors]
    back = [torch.flip(p, axes) for p, axes in zip(single, ([], [2], [3], [2, 3]), strict=True)]
    got = predict_volume(net, image, PATCH, flips=True, window_batch=64)
    torch.testing.assert_close(got, sum(back) / 4)
    assert (back[0] - back[1]).abs().max() > 0.01  # else any average would pass


@pytest.mark.parametrize("axes", [[2], [3], [2, 3]])
@pytest.mark.parametrize("size", [(29, 13), (11, 7)])
def test_with_flips_a_flipped_volume_gives_the_flipped_prediction(
    net: UNet, axes: list[int], size: tuple[int, int]
) -> None:
    image = volume(*size)
    straight = predict_volume(net, image, PATCH, flips=True, window_batch=64)
    flipped = predict_volume(net, image.flip(axes), PATCH, flips=True, window_batch=64)
    torch.testing.assert_close(flipped, straight.flip(axes))


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


def test_native_labels_are_the_argmax_of_interpolated_probabilities() -> None:
    scores = torch.rand(3, 2, 7, 5, generator=torch.Generator().manual_seed(1)).softmax(0)
    labels = to_native_labels(scores, (2, 13, 11))
    expected = np.array(
        [[bilinear(plane.numpy(), 13, 11) for plane in channel] for channel in scores]
    ).argmax(0)
    assert (labels.dtype, labels.shape) == (torch.uint8, (2, 13, 11))
    np.testing.assert_array_equal(labels.numpy(), expected)


def test_native_labels_on_the_same_grid_are_the_plain_argmax() -> None:
    scores = torch.rand(4, 3, 6, 9, generator=torch.Generator().manual_seed(2))
    assert torch.equal(to_native_labels(scores, (3, 6, 9)), scores.argmax(0).to(torch.uint8))


def test_a_shrinking_grid_averages_over_all_its_pixels() -> None:
    # The triangle of anti-aliasing weights pixels 0, 1, 2 by 3/7, 3/7, 1/7 and 1, 2, 3 by 1/7, 3/7, 3/7:
    # 0.55 and 0.71 for class 1; plain bilinear would see pixels 0 and 1 only and answer 0.475.
    first = torch.tensor([0.45, 0.5, 1.0, 0.5])
    scores = torch.stack([1 - first, first])[:, None, None]  # (2, 1, 1, 4)
    assert to_native_labels(scores, (1, 1, 2)).tolist() == [[[1, 1]]]


@pytest.mark.parametrize("shape", [(3, 6, 9), (6, 9)])
def test_native_shape_with_other_slices_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape: expected \(Z, H, W\)"):
        to_native_labels(torch.rand(4, 2, 6, 9), shape)
