"""The region-wise loss: against a double loop, the paper's own example, and its compact form."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rwseg.losses import (
    ConstantMapLoss,
    OneSidedHausdorffLoss,
    RegionWiseLoss,
    RRWLoss,
    rectified_loss,
    region_wise_loss,
    squared_region_wise_loss,
)
from rwseg.losses.region_wise import LINEAR_MAP_NAMES
from rwseg.maps import (
    RectifiedMap,
    compact,
    constant_map,
    expand,
    hausdorff_map,
    rectified_rrw_map,
    rectify,
    region_map,
    rrw_map,
)

SHAPES = [(2, 7, 12), (2, 4, 6, 9)]
both_shapes = pytest.mark.parametrize("shape", SHAPES, ids=["2d", "3d"])


def make(
    shape: tuple[int, ...], classes: int = 4, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Random logits and labels; the last class is absent."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, classes - 1, shape, generator=generator)
    return torch.randn(shape[0], classes, *shape[1:], generator=generator, dtype=dtype), labels


def random_map(labels: Tensor, dtype: torch.dtype = torch.float32) -> RectifiedMap:
    """Weights of any sign, so that nothing is hidden by a map's regularity."""
    generator = torch.Generator().manual_seed(7)
    return RectifiedMap(*torch.randn(2, *labels.shape, generator=generator, dtype=dtype))


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(loss, logits)[0]


def double_loop(logits: Tensor, z: np.ndarray, power: int = 1) -> float:
    """Eq. 1 with its 1/(NK), pixel by pixel and class by class; softmax to the given power."""
    total = 0.0
    for b, *pixel in np.ndindex(z.shape[:1] + z.shape[2:]):
        scores = np.exp(logits[(b, slice(None), *pixel)].numpy().astype(float))
        for k in range(z.shape[1]):
            total += (scores[k] / scores.sum()) ** power * z[(b, k, *pixel)]
    return total / z.size


@pytest.mark.parametrize("name", LINEAR_MAP_NAMES)
@both_shapes
def test_equals_a_double_loop_over_pixels_and_classes(name: str, shape: tuple[int, ...]) -> None:
    logits, labels = make(shape)
    z = region_map(name, labels, 4)
    expected = double_loop(logits, z.numpy())
    assert float(RegionWiseLoss(name)(logits, labels)) == pytest.approx(expected, rel=1e-5)
    assert float(RegionWiseLoss(name)(logits, labels, z)) == pytest.approx(expected, rel=1e-5)


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


@pytest.mark.parametrize("classes", [2, 4, 11])
@both_shapes
def test_compact_form_equals_dense_form_in_value_and_gradient(shape: tuple[int, ...], classes: int) -> None:
    logits, labels = make(shape, classes, torch.float64)
    logits.requires_grad_()
    for weights in (random_map(labels, torch.float64), rectified_rrw_map(labels, classes)):
        dense = region_wise_loss(logits, expand(weights, labels, classes))
        rectified = rectified_loss(logits, labels, weights)
        torch.testing.assert_close(rectified, dense, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(
            gradient(-3 * rectified, logits), gradient(-3 * dense, logits), rtol=1e-9, atol=1e-14
        )


def test_gradients_of_all_forms_in_double_precision() -> None:
    logits, labels = make((1, 3, 4), dtype=torch.float64)
    logits.requires_grad_()
    dense = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weights = random_map(labels, torch.float64)
    assert torch.autograd.gradcheck(lambda x: region_wise_loss(x, dense), logits)
    assert torch.autograd.gradcheck(lambda x: rectified_loss(x, labels, weights), logits)
    for given in (dense, weights):
        assert torch.autograd.gradcheck(lambda x, z=given: squared_region_wise_loss(x, labels, z), logits)


def test_rectified_loss_can_be_differentiated_again_and_again_but_not_twice_over() -> None:
    logits, labels = make((2, 7, 12))
    logits.requires_grad_()
    value = rectified_loss(logits, labels, random_map(labels))
    first = torch.autograd.grad(value, logits, retain_graph=True)[0]
    second = torch.autograd.grad(value, logits, create_graph=True)[0]
    assert torch.equal(second, first)
    with pytest.raises(RuntimeError, match="does not require grad"):
        torch.autograd.grad(second.sum(), logits)


@pytest.mark.parametrize("loss", [RegionWiseLoss(name, rectify=True) for name in LINEAR_MAP_NAMES])
def test_rectify_option_equals_the_loss_of_the_rectified_map(loss: RegionWiseLoss) -> None:
    logits, labels = make((2, 7, 12))
    dense = region_map(loss.map_name, labels, 4)
    expected = region_wise_loss(logits, rectify(dense, labels))
    for given in (None, dense, rectify(dense, labels), compact(dense, labels)):
        torch.testing.assert_close(loss(logits, labels, given), expected)


def test_rrw_loss_is_the_region_wise_loss_of_the_rrw_map() -> None:
    logits, labels = make((2, 7, 12))
    z = rrw_map(labels, 4)
    for given in (None, z, compact(z, labels)):
        torch.testing.assert_close(RRWLoss()(logits, labels, given), region_wise_loss(logits, z))


@pytest.mark.parametrize("name", LINEAR_MAP_NAMES)
@pytest.mark.parametrize("rectified", [False, True])
def test_spacing_is_that_of_the_map_computed_online(name: str, rectified: bool) -> None:
    logits, labels = make((2, 7, 12))
    spacing = (1.5, 0.5)
    loss = RegionWiseLoss(name, rectify=rectified, spacing=spacing)
    z = region_map(name, labels, 4, spacing)
    z = rectify(z, labels) if rectified else z
    torch.testing.assert_close(loss(logits, labels), region_wise_loss(logits, z))
    if name != "active_contour":
        assert not torch.isclose(loss(logits, labels), RegionWiseLoss(name, rectified)(logits, labels))
    precomputed = region_map(name, labels, 4)
    plain = RegionWiseLoss(name, rectified)
    torch.testing.assert_close(loss(logits, labels, precomputed), plain(logits, labels, precomputed))


def test_spacing_of_rrw_and_hausdorff_losses() -> None:
    logits, labels = make((2, 7, 12))
    z = rrw_map(labels, 4, (3.0, 1.0))
    torch.testing.assert_close(RRWLoss((3.0, 1.0))(logits, labels), region_wise_loss(logits, z))
    pixels, mm = OneSidedHausdorffLoss(1.5), OneSidedHausdorffLoss(1.5, spacing=[2.0, 2.0])
    torch.testing.assert_close(mm(logits, labels), 2**1.5 * pixels(logits, labels))


@pytest.mark.parametrize(("alpha", "beta"), [(-1.0, -1.0), (0.0, -1.0), (-2.5, 0.5), (0.3, -0.4)])
@both_shapes
def test_constant_loss_is_that_of_the_constant_map(alpha: float, beta: float, shape: tuple[int, ...]) -> None:
    logits, labels = make(shape)
    logits.requires_grad_()
    ours = ConstantMapLoss(alpha, beta)(logits, labels)
    torch.testing.assert_close(ours, region_wise_loss(logits, constant_map(labels, 4, alpha, beta)))
    active_contour = RegionWiseLoss("active_contour")(logits, labels)
    torch.testing.assert_close(
        gradient(ours, logits), -(alpha + beta) * gradient(active_contour, logits), rtol=1e-5, atol=1e-9
    )


def test_one_sided_hausdorff_loss_equals_a_double_loop() -> None:
    for shape in SHAPES:
        logits, labels = make(shape)
        for alpha in (1.0, 2.0):
            loss = OneSidedHausdorffLoss(alpha)
            z = hausdorff_map(labels, 4, alpha)
            expected = double_loop(logits, z.numpy(), power=2)
            assert float(loss(logits, labels)) == pytest.approx(expected, rel=1e-5)
            assert float(loss(logits, labels, z)) == pytest.approx(expected, rel=1e-5)
            expected = double_loop(logits, rectify(z, labels).numpy(), power=2)
            rectified = OneSidedHausdorffLoss(alpha, rectify=True)
            for given in (None, z, rectify(z, labels), compact(z, labels)):
                assert float(rectified(logits, labels, given)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "map_name", "rectified"),
    [
        (RRWLoss(), "rrw", True),
        (RegionWiseLoss(), "rrw", True),
        (RegionWiseLoss("active_contour"), "active_contour", True),
        (RegionWiseLoss("boundary"), "boundary", False),
        (RegionWiseLoss("boundary", rectify=True), "boundary", True),
        (RegionWiseLoss("boundary_kervadec"), "boundary_kervadec", False),
        (OneSidedHausdorffLoss(), "hausdorff", False),
        (OneSidedHausdorffLoss(rectify=True), "hausdorff", True),
        (ConstantMapLoss(), None, False),
    ],
)
def test_a_loss_says_which_map_it_needs(loss: nn.Module, map_name: str | None, rectified: bool) -> None:
    assert (loss.map_name, loss.rectified) == (map_name, rectified)


def test_half_precision_maps_and_logits_are_computed_in_single_precision() -> None:
    logits, labels = make((2, 7, 12))
    z = rrw_map(labels, 4)
    half = logits.half().requires_grad_()
    expected = region_wise_loss(half.float(), z.half().float())
    for given in (z.half(), RectifiedMap(*(part.half() for part in compact(z, labels)))):
        value = RRWLoss()(half, labels, given)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected)
        assert gradient(value, half).dtype == torch.float16


def test_autocast_changes_nothing() -> None:
    logits, labels = make((2, 7, 12))
    logits.requires_grad_()
    plain = RRWLoss()(logits, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = RRWLoss()(logits, labels)
    assert torch.equal(cast, plain)
    assert torch.equal(gradient(cast, logits), gradient(plain, logits))


def test_gradient_points_the_same_way_as_cross_entropy_at_every_component() -> None:
    logits, labels = make((2, 30, 44))
    logits.requires_grad_()
    ours = gradient(RRWLoss()(logits, labels), logits)
    theirs = gradient(F.cross_entropy(logits, labels), logits)
    assert torch.equal(ours.sign(), theirs.sign())


LOGITS, LABELS = make((2, 7, 12))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RegionWiseLoss("rwr"), "active_contour, boundary, boundary_kervadec, rrw, got 'rwr'"),
        (lambda: RegionWiseLoss("hausdorff"), "got 'hausdorff'"),
        (lambda: RegionWiseLoss("boundary", spacing=(1.0, -1.0)), "expected positive finite values in mm"),
        (lambda: RegionWiseLoss("rrw", spacing=(1.0,))(LOGITS, LABELS), "expected 2 values"),
        (lambda: ConstantMapLoss(1.0, 1.0), r"alpha \+ beta < 0.* got alpha=1.0, beta=1.0"),
        (lambda: ConstantMapLoss(-float("inf"), 0.0), "expected a finite alpha"),
        (lambda: ConstantMapLoss()(LOGITS, LABELS[:1]), r"labels \(1, 7, 12\)"),
        (lambda: OneSidedHausdorffLoss(-1.0), "positive exponent of the distance, got -1.0"),
        (lambda: OneSidedHausdorffLoss()(LOGITS, LABELS, LOGITS[:1]), r"got \(1, 4, 7, 12\)"),
        (lambda: squared_region_wise_loss(LOGITS, LABELS, RectifiedMap(LABELS[:1], LABELS)), "map, inside"),
        (lambda: RRWLoss()(LOGITS, LABELS + 4), r"values in \[0, 4\)"),
        (lambda: RRWLoss()(LOGITS, LABELS + 0.5), "whole numbers"),
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
