"""The region-wise loss: against a double loop, the paper's own example, and its compact form."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rwseg.losses import RegionWiseLoss, RRWLoss, rectified_loss, region_wise_loss
from rwseg.maps import MAP_NAMES, RectifiedMap, compact, rectified_rrw_map, rectify, region_map, rrw_map

SHAPES = [(2, 7, 12), (2, 4, 6, 9)]


def make(
    shape: tuple[int, ...], classes: int = 4, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Random logits and labels; the last class is absent."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, classes - 1, shape, generator=generator)
    return torch.randn(shape[0], classes, *shape[1:], generator=generator, dtype=dtype), labels


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize("name", MAP_NAMES)
@pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
def test_equals_a_double_loop_over_pixels_and_classes(name: str, shape: tuple[int, ...]) -> None:
    logits, labels = make(shape)
    z = region_map(name, labels, 4).numpy()
    total = 0.0
    for b, *pixel in np.ndindex(shape):
        scores = np.exp(logits[(b, slice(None), *pixel)].numpy().astype(float))
        for k in range(4):
            total += scores[k] / scores.sum() * z[(b, k, *pixel)]
    expected = total / (np.prod(shape) * 4)
    online, given = (
        RegionWiseLoss(name)(logits, labels),
        RegionWiseLoss(name)(logits, labels, torch.tensor(z)),
    )
    assert float(online) == pytest.approx(expected, rel=1e-5)
    assert float(given) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("z", "loss", "gradients"),
    [
        ([0, 0, 0, -0.6], -0.36, [0.04, 0.04, 0.07, -0.14]),
        ([2, 2, 2, -0.6], 0.44, [0.16, 0.16, 0.31, -0.62]),
    ],
)
def test_the_papers_example_of_one_pixel(z: list[float], loss: float, gradients: list[float]) -> None:
    logits = torch.tensor([0.1, 0.1, 0.2, 0.6]).log().view(1, 4, 1, 1).requires_grad_()
    labels = torch.full((1, 1, 1), 3)
    dense = torch.tensor(z).view(1, 4, 1, 1)
    # The paper's numbers are sums; the loss divides by N = 1 pixel times K = 4 classes.
    for value in (region_wise_loss(logits, dense), rectified_loss(logits, labels, compact(dense, labels))):
        assert 4 * value.item() == pytest.approx(loss, abs=1e-6)
        torch.testing.assert_close(
            4 * gradient(value, logits).flatten(), torch.tensor(gradients), atol=0.005, rtol=0
        )


@pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])
def test_compact_form_equals_dense_form_in_value_and_gradient(shape: tuple[int, ...]) -> None:
    logits, labels = make(shape)
    logits.requires_grad_()
    dense = region_wise_loss(logits, rrw_map(labels, 4))
    rectified = rectified_loss(logits, labels, rectified_rrw_map(labels, 4))
    torch.testing.assert_close(rectified, dense)
    torch.testing.assert_close(gradient(rectified, logits), gradient(dense, logits), rtol=1e-4, atol=1e-8)


def test_gradients_of_both_forms_in_double_precision() -> None:
    logits, labels = make((1, 3, 4), dtype=torch.float64)
    logits.requires_grad_()
    dense, rectified = rrw_map(labels, 4).double(), rectified_rrw_map(labels, 4)
    assert torch.autograd.gradcheck(lambda x: region_wise_loss(x, dense), logits)
    assert torch.autograd.gradcheck(lambda x: rectified_loss(x, labels, rectified), logits)


@pytest.mark.parametrize("name", MAP_NAMES)
def test_rectify_option_equals_the_loss_of_the_rectified_map(name: str) -> None:
    logits, labels = make((2, 7, 12))
    loss = RegionWiseLoss(name, rectify=True)
    dense = region_map(name, labels, 4)
    expected = region_wise_loss(logits, rectify(dense, labels))
    for given in (None, dense, rectify(dense, labels), compact(dense, labels)):
        torch.testing.assert_close(loss(logits, labels, given), expected)


def test_rrw_loss_is_the_region_wise_loss_of_the_rrw_map() -> None:
    logits, labels = make((2, 7, 12))
    z = rrw_map(labels, 4)
    for given in (None, z, compact(z, labels)):
        torch.testing.assert_close(RRWLoss()(logits, labels, given), region_wise_loss(logits, z))


@pytest.mark.parametrize(
    ("loss", "map_name", "rectified"),
    [
        (RRWLoss(), "rrw", True),
        (RegionWiseLoss(), "rrw", True),
        (RegionWiseLoss("active_contour"), "active_contour", True),
        (RegionWiseLoss("boundary"), "boundary", False),
        (RegionWiseLoss("boundary", rectify=True), "boundary", True),
    ],
)
def test_a_loss_says_which_map_it_needs(loss: nn.Module, map_name: str, rectified: bool) -> None:
    assert (loss.map_name, loss.rectified) == (map_name, rectified)


def test_half_precision_maps_and_logits_are_computed_in_single_precision() -> None:
    logits, labels = make((2, 7, 12))
    z = rrw_map(labels, 4)
    half = logits.half()
    expected = region_wise_loss(half.float(), z.half().float())
    for given in (z.half(), RectifiedMap(*(part.half() for part in compact(z, labels)))):
        value = RRWLoss()(half, labels, given)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected)


LOGITS, LABELS = make((2, 7, 12))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RegionWiseLoss("rwr"), "active_contour, boundary, rrw, got 'rwr'"),
        (lambda: RRWLoss()(LOGITS, LABELS + 4), r"values in \[0, 4\)"),
        (lambda: RRWLoss()(LOGITS, LABELS.float()), "integer tensor of class indices"),
        (lambda: RRWLoss()(LOGITS, LABELS[:1]), r"labels \(1, 7, 12\)"),
        (lambda: RRWLoss()(LOGITS.long(), LABELS), "floating tensor"),
        (lambda: RRWLoss()(LOGITS, LABELS, LOGITS[:, :3]), r"logits \(2, 4, 7, 12\), got \(2, 3, 7, 12\)"),
        (lambda: RRWLoss()(LOGITS, LABELS, RectifiedMap(LABELS, LABELS[:1])), "region map, outside"),
        (lambda: rectified_loss(LOGITS, LABELS[0], RectifiedMap(LABELS, LABELS)), "not one-hot"),
    ],
)
def test_wrong_input_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
