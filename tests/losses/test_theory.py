"""Closed-form gradients against loops and automatic differentiation, and the signs that they have."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from rwseg.losses import rectified_loss, region_wise_loss
from rwseg.losses.theory import (
    cross_entropy_gradient,
    map_wrong_sign_pixels,
    negative_components,
    region_wise_gradient,
    right_for_every_softmax,
    squared_region_wise_gradient,
    two_class_gradient,
    wrong_sign_pixels,
    wrong_sign_share,
)
from rwseg.maps import (
    RectifiedMap,
    active_contour_map,
    boundary_map,
    compact,
    hausdorff_map,
    is_rectified,
    rectify,
    rrw_map,
)

SHAPES = {"2d": (3, 9, 14), "3d": (2, 4, 6, 9)}


def scene(shape: tuple[int, ...], num_classes: int) -> Tensor:
    """Boxes of classes 1 and 2 side by side in the background; further classes are absent."""
    labels = torch.zeros(shape, dtype=torch.long)
    labels[(slice(0, 2), *(slice(1, n - 1) for n in shape[1:]))] = 1
    labels[(0, *(slice(2, n // 2 + 1) for n in shape[1:]))] = min(2, num_classes - 1)
    return labels


def random(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def random_logits(labels: Tensor, num_classes: int, scale: float = 2.0) -> Tensor:
    return scale * random((labels.shape[0], num_classes, *labels.shape[1:]))


def autograd(value: Tensor, leaf: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(value, leaf)
    return gradient


def printed_equation_2(p: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Eq. 2 as the paper starts it, `z_k p_k (1 - p_k) - sum_{l != k} z_l p_k p_l`, term by term."""
    result = np.empty_like(p)
    for k in range(len(p)):
        others = sum(z[j] * p[k] * p[j] for j in range(len(p)) if j != k)
        result[k] = z[k] * p[k] * (1 - p[k]) - others
    return result


@pytest.mark.parametrize("num_classes", [2, 3, 6])
def test_equation_2_as_printed(num_classes: int) -> None:
    softmax = torch.softmax(random((20, num_classes)), dim=-1)
    z = 10 * random((20, num_classes), seed=1)
    expected = [printed_equation_2(p, w) for p, w in zip(softmax.numpy(), z.numpy(), strict=True)]
    np.testing.assert_allclose(region_wise_gradient(softmax, z), np.stack(expected), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("z", "gradient", "value"),
    [
        ([0.0, 0.0, 0.0, -0.6], [0.04, 0.04, 0.07, -0.14], -0.36),
        ([2.0, 2.0, 2.0, -0.6], [0.16, 0.16, 0.31, -0.62], 0.44),
    ],
)
def test_the_numbers_of_section_3_3(z: list[float], gradient: list[float], value: float) -> None:
    softmax, weights = torch.tensor([0.1, 0.1, 0.2, 0.6]), torch.tensor(z)
    assert (softmax * weights).sum().item() == pytest.approx(value)
    torch.testing.assert_close(
        region_wise_gradient(softmax, weights), torch.tensor(gradient), rtol=0, atol=5e-3
    )


@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_equation_2_is_the_gradient_of_the_dense_loss(shape: tuple[int, ...], num_classes: int) -> None:
    labels = scene(shape, num_classes)
    logits = random_logits(labels, num_classes).requires_grad_()
    z = boundary_map(labels, num_classes).double()
    closed = region_wise_gradient(torch.softmax(logits.detach(), 1), z, dim=1) / logits.numel()
    torch.testing.assert_close(autograd(region_wise_loss(logits, z), logits), closed)


def test_equation_2_is_the_gradient_of_the_compact_loss() -> None:
    labels = scene(SHAPES["2d"], 4)
    logits = random_logits(labels, 4).requires_grad_()
    z = rectify(boundary_map(labels, 4), labels).double()
    inside, outside = compact(z, labels)
    closed = region_wise_gradient(torch.softmax(logits.detach(), 1), z, dim=1) / logits.numel()
    value = rectified_loss(logits, labels, RectifiedMap(inside, outside))
    torch.testing.assert_close(autograd(value, logits), closed)


def test_squared_softmax() -> None:
    labels = scene(SHAPES["2d"], 4)
    logits = random_logits(labels, 4).requires_grad_()
    z = hausdorff_map(labels, 4).double()
    value = (torch.softmax(logits, 1) ** 2 * z).sum()
    closed = squared_region_wise_gradient(torch.softmax(logits.detach(), 1), z, dim=1)
    torch.testing.assert_close(autograd(value, logits), closed)


def test_equation_5_is_equation_2_for_two_classes() -> None:
    logits, z = random((50, 2)), random((50, 2), seed=1)
    p = torch.softmax(logits, -1)
    closed = two_class_gradient(p[:, 0], z[:, 0], z[:, 1])
    torch.testing.assert_close(closed, region_wise_gradient(p, z)[:, 0])
    torch.testing.assert_close(closed, two_class_gradient(1 - p[:, 0], z[:, 0], z[:, 1]))  # t and 1 - t
    logits.requires_grad_()
    torch.testing.assert_close(autograd((torch.softmax(logits, -1) * z).sum(), logits)[:, 0], closed)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_cross_entropy(shape: tuple[int, ...]) -> None:
    labels = scene(shape, 4)
    logits = random_logits(labels, 4).requires_grad_()
    value = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    closed = cross_entropy_gradient(torch.softmax(logits.detach(), 1), labels, dim=1)
    torch.testing.assert_close(autograd(value, logits), closed)
    last = cross_entropy_gradient(torch.softmax(logits.detach(), 1).movedim(1, -1), labels)
    torch.testing.assert_close(last.movedim(-1, 1), closed)


def test_components_sum_to_zero_and_equal_weights_give_none() -> None:
    softmax, z = torch.softmax(random((30, 5)), -1), random((30, 5), seed=1)
    for gradient in (region_wise_gradient(softmax, z), squared_region_wise_gradient(softmax, z)):
        torch.testing.assert_close(gradient.sum(-1), torch.zeros(30).double(), rtol=0, atol=1e-14)
    assert not region_wise_gradient(softmax, torch.full((5,), 7.3).double()).any()


def test_rounding_makes_no_wrong_sign_in_single_precision() -> None:
    labels = scene((3, 40, 50), 4)
    z = rectify(boundary_map(labels, 4, (30.0, 7.0)), labels)
    for scale in (1.0, 10.0, 60.0):
        softmax = torch.softmax(random_logits(labels, 4, scale).float(), 1)
        gradient = region_wise_gradient(softmax, z, dim=1)
        true = gradient.gather(1, labels[:, None])
        assert (true <= 0).all()
        assert (gradient.scatter(1, labels[:, None], 0.0) >= 0).all()


def test_negative_components_are_counted_beyond_the_tolerance() -> None:
    gradient = torch.tensor(
        [[-2.0, 1.0, 1.0], [-1.0, -1.0, 2.0], [1.0, -1.0, -1e-6], [0.0, 0.0, 0.0], [-1e-6, 1e-6, 0.0]]
    )
    assert negative_components(gradient).tolist() == [1, 2, 1, 0, 0]
    assert negative_components(gradient, tolerance=0.0).tolist() == [1, 2, 2, 0, 1]
    assert negative_components(gradient.T, dim=0).tolist() == [1, 2, 1, 0, 0]
    assert negative_components(1e-30 * gradient.double()).tolist() == [1, 2, 1, 0, 0]  # free of scale


def test_wrong_sign_pixels_by_hand() -> None:
    pixels = {
        "right": [-2.0, 1.0, 1.0],
        "another class up as well": [-1.0, -1.0, 2.0],
        "true class down, another up": [1.0, -2.0, 1.0],
        "true class not moved, another up": [0.0, -1.0, 1.0],
        "no gradient": [0.0, 0.0, 0.0],
        "another class not moved": [-1.0, 1.0, 0.0],
        "everything down, as no softmax can": [1.0, 1.0, 1.0],
    }
    gradient = torch.tensor(list(pixels.values())).T[None, :, None]  # (1, 3, 1, 7)
    labels = torch.zeros(1, 1, 7, dtype=torch.uint8)
    expected = [False, True, True, True, False, False, True]
    assert wrong_sign_pixels(gradient, labels)[0, 0].tolist() == expected
    shifted = wrong_sign_pixels(gradient.roll(1, dims=1), labels + 1)
    assert shifted[0, 0].tolist() == expected


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_maps_that_are_right_for_every_softmax(shape: tuple[int, ...]) -> None:
    labels = scene(shape, 4)
    boundary = boundary_map(labels, 4)
    softmax = torch.softmax(random_logits(labels, 4), 1).float()
    for z in (rrw_map(labels, 4), active_contour_map(labels, 4), rectify(boundary, labels)):
        assert is_rectified(z, labels)
        assert right_for_every_softmax(z.movedim(1, -1), labels, atol=1e-5).all()
        assert not map_wrong_sign_pixels(softmax, z, labels).any()
    assert not right_for_every_softmax(boundary.movedim(1, -1), labels).all()
    wrong = map_wrong_sign_pixels(softmax, boundary, labels)
    assert wrong.any()
    assert not (wrong & right_for_every_softmax(boundary.movedim(1, -1), labels)).any()


def test_condition_for_every_softmax_is_necessary_and_sufficient() -> None:
    generator = torch.Generator().manual_seed(3)
    z = torch.randint(-2, 3, (400, 4), generator=generator).double()
    z[:60, 1:] = z[:60, 1:2]  # equal wrong classes are rare by chance
    labels = torch.zeros(len(z), dtype=torch.long)
    softmax = torch.softmax(torch.randn(1500, 1, 4, generator=generator).double() * 3, -1)
    near_corners = torch.softmax(12 * torch.eye(4).double(), -1)[:, None]
    gradient = region_wise_gradient(torch.cat([softmax, near_corners]), z)  # (1504, 400, 4)
    right = (gradient[..., 0] <= 0) & (gradient[..., 1:] >= 0).all(-1)
    assert torch.equal(right_for_every_softmax(z, labels), right.all(0))
    assert 5 < int(right.all(0).sum()) < len(z)


@pytest.mark.parametrize(
    ("z", "answer"),
    [
        ([-1.0, 1.0, 1.0], True),
        ([0.0, 1.0, 1.0], True),
        ([3.0, 5.0, 5.0], True),  # differences decide, not signs
        ([0.0, 0.0, 0.0], True),  # no gradient at all
        ([1.0, 0.0, 0.0], False),  # section 3.3 as printed: true class >= 0 >= others
        ([-3.0, 12.0, 4.0], False),
    ],
)
def test_which_weights_are_right_for_every_softmax(z: list[float], answer: bool) -> None:
    weights = torch.tensor(z)
    for label in range(3):
        at_label = weights.roll(label)
        assert right_for_every_softmax(at_label, torch.tensor(label)).item() is answer


@pytest.mark.parametrize("z", [[12.0, 4.0, -3.0], [10.0, 10.0, -3.0], [1.0, 9.0, 0.0], [2.0, 2.0, 2.0]])
def test_share_of_wrong_predictions_by_sampling(z: list[float]) -> None:
    uniform = np.random.default_rng(0).dirichlet(np.ones(3), size=200_000)
    gradient = region_wise_gradient(torch.from_numpy(uniform), torch.tensor(z).double())
    sampled = (gradient[:, :2] < -1e-12).any(-1).double().mean().item()
    assert wrong_sign_share(z, label=2) == pytest.approx(sampled, abs=0.005)


def test_figure_2_has_two_negative_components_in_more_than_half_of_all_predictions() -> None:
    assert wrong_sign_share([12, 4, -3], label=2) == pytest.approx(8 / 15)
    assert wrong_sign_share([-3, 12, 4], label=0) == pytest.approx(8 / 15)
    assert wrong_sign_share([10, 10, -3], label=2) == 0


def test_rectifying_does_not_save_the_squared_softmax() -> None:
    """A wrong class of low probability goes up where another wrong class leads; with two classes never."""
    softmax = torch.tensor([0.1, 0.8, 0.1]).double()
    gradient = squared_region_wise_gradient(softmax, torch.tensor([0.0, 1.0, 1.0]).double())
    assert negative_components(gradient) == 2
    two = torch.softmax(random((200, 2)), -1)
    assert (
        negative_components(squared_region_wise_gradient(two, torch.tensor([0.0, 1.0]).double())) == 1
    ).all()


def test_region_wise_gradient_is_strongest_on_a_line_not_at_the_centre() -> None:
    """Figure 4 has -0.25 at the centre, as a saddle point: it is reached on a line; the centre has -2/9."""
    z = torch.tensor([0.0, 1.0, 1.0]).double()
    share = torch.linspace(0, 1, 11).double()
    line = torch.stack([torch.full_like(share, 0.5), share / 2, (1 - share) / 2], -1)
    torch.testing.assert_close(region_wise_gradient(line, z)[:, 0], torch.full_like(share, -0.25))
    assert region_wise_gradient(torch.full((3,), 1 / 3).double(), z)[0].item() == pytest.approx(-2 / 9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: region_wise_gradient(torch.ones(2, 3), torch.ones(4)), "z: expected 3 classes"),
        (lambda: wrong_sign_pixels(torch.ones(2, 3, 4, 5), torch.ones(2, 5, 4)), r"labels \(2, 5, 4\)"),
        (lambda: wrong_sign_pixels(torch.ones(2, 3), torch.ones(2)), r"gradient \(2, 3\)"),
        (lambda: negative_components(torch.ones(2, 3), tolerance=-1.0), r"tolerance: expected .* got -1.0"),
        (lambda: wrong_sign_share([1.0, 2.0], 0), "expected three weights"),
        (lambda: wrong_sign_share([1.0, 2.0, 3.0], 1), "least of them at the true class, .* label=1"),
        (lambda: wrong_sign_share([1.0, 2.0, 3.0], 3), "label=3"),
    ],
)
def test_wrong_input_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
