"""The stability meter against counts by hand and pixel by pixel, and the losses that it must call stable."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rwseg.losses import (
    CombinedLoss,
    CrossEntropyLoss,
    DiceLoss,
    FocalLoss,
    RegionWiseLoss,
    RRWLoss,
    SegmentationLoss,
    region_wise_loss,
)
from rwseg.maps import RectifiedMap, boundary_map, expand, rectified_region_map, rrw_map
from rwseg.training.diagnostics.stability import CollapseWatch, gradient_wrong_signs, loss_terms, wrong_signs

K = 4
SHAPES = {"2d": (3, 9, 14), "3d": (2, 4, 6, 9)}
STABLE: dict[str, Callable[[], SegmentationLoss]] = {
    "rrw": RRWLoss,
    "rectified boundary": lambda: RegionWiseLoss("boundary", rectify=True),
    "active contour": lambda: RegionWiseLoss("active_contour"),
    "cross entropy": CrossEntropyLoss,
    "focal": FocalLoss,
}


def make(shape: tuple[int, ...], scale: float = 2.0) -> tuple[Tensor, Tensor]:
    """Random logits, and boxes of classes 1 and 2 in the background; class 3 is absent."""
    generator = torch.Generator().manual_seed(2)
    logits = scale * torch.randn(shape[0], K, *shape[1:], generator=generator)
    labels = torch.zeros(shape, dtype=torch.long)
    labels[(slice(0, 2), *(slice(1, n - 1) for n in shape[1:]))] = 1
    labels[(0, *(slice(2, n // 2 + 1) for n in shape[1:]))] = 2
    return logits, labels


def brute_force(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels: Tensor) -> list[float]:
    """Signs of the float64 gradient, pixel by pixel and without a tolerance."""
    leaf = logits.double().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf, labels), leaf)
    pixels = gradient.movedim(1, -1).reshape(-1, logits.shape[1]).tolist()
    wrong: dict[int, list[bool]] = {k: [] for k in range(logits.shape[1])}
    for components, label in zip(pixels, labels.flatten().tolist(), strict=True):
        others = [value for k, value in enumerate(components) if k != label]
        wrong[label].append(components[label] >= 0 or any(value < 0 for value in others))
    return [sum(found) / len(found) if found else float("nan") for found in wrong.values()]


def test_shares_by_hand() -> None:
    gradient = torch.tensor(
        [
            [-2.0, 1.0, 1.0],  # class 0, right
            [-1.0, -1.0, 2.0],  # class 0, wrong: class 1 goes up too
            [0.0, 0.0, 0.0],  # class 0, no gradient
            [0.0, 0.0, 0.0],  # class 0, no gradient
            [1.0, 1.0, -2.0],  # class 1, wrong: it goes down
            [1.0, -1.0, 0.0],  # class 1, right
        ]
    ).T[None, :, None]  # (1, 3, 1, 6)
    labels = torch.tensor([[[0, 0, 0, 0, 1, 1]]], dtype=torch.uint8)
    expected = torch.tensor([1 / 4, 1 / 2, torch.nan])
    torch.testing.assert_close(wrong_signs(gradient, labels), expected, equal_nan=True)
    for factor in (1e-9, 1e9):
        torch.testing.assert_close(wrong_signs(factor * gradient, labels), expected, equal_nan=True)


@pytest.mark.parametrize("scale", [0.0, 1.0, 8.0, 60.0])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("build", STABLE.values(), ids=STABLE)
def test_stable_losses_have_no_wrong_sign(
    build: Callable[[], SegmentationLoss], shape: tuple[int, ...], scale: float
) -> None:
    logits, labels = make(shape, scale)
    shares = gradient_wrong_signs(build(), logits, labels)
    present = labels.flatten().bincount(minlength=K) > 0
    assert (shares[present] == 0).all()
    assert shares[~present].isnan().all()


@pytest.mark.parametrize("scale", [1.0, 8.0, 60.0])
@pytest.mark.parametrize("name", ["rrw", "boundary"])
def test_rounding_of_dense_rectified_maps_is_not_called_wrong(name: str, scale: float) -> None:
    """Automatic differentiation of the dense form does make wrong signs, all within rounding."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(1, 60, 300, dtype=torch.long)
    labels[:, 20:40, 10:30], labels[:, 25:30, 15:20] = 1, 2
    logits = scale * torch.randn(1, 3, 60, 300, generator=generator)
    z = expand(rectified_region_map(name, labels, 3), labels, 3)
    leaf = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(region_wise_loss(leaf, z), leaf)
    assert (wrong_signs(gradient, labels) == 0).all()
    if scale == 60.0:
        assert (wrong_signs(gradient, labels, tolerance=0.0) > 0).any()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("build", [lambda: RegionWiseLoss("boundary"), DiceLoss], ids=["boundary", "dice"])
def test_unstable_losses_agree_with_counting_pixel_by_pixel(
    build: Callable[[], SegmentationLoss], shape: tuple[int, ...]
) -> None:
    logits, labels = make(shape)
    expected = torch.tensor(brute_force(build(), logits, labels))
    assert expected.nansum() > 0.1
    exact = gradient_wrong_signs(build(), logits.double(), labels, tolerance=1e-12)
    torch.testing.assert_close(exact, expected, equal_nan=True)
    pixels = labels.flatten().bincount(minlength=K)
    apart = (gradient_wrong_signs(build(), logits, labels) - expected) * pixels
    assert apart.nan_to_num().abs().sum().round() <= 2  # pixels whose wrong component is within the tolerance


def test_two_classes_are_stable_with_any_boundary_map() -> None:
    logits, labels = make(SHAPES["2d"])
    assert (gradient_wrong_signs(RegionWiseLoss("boundary"), logits[:, :2], labels.clamp(max=1)) == 0).all()


def test_a_given_map_is_used() -> None:
    logits, labels = make(SHAPES["2d"])
    loss = RegionWiseLoss("boundary")
    online = gradient_wrong_signs(loss, logits, labels)
    given = gradient_wrong_signs(loss, logits, labels, boundary_map(labels, K))
    torch.testing.assert_close(online, given, equal_nan=True)
    assert gradient_wrong_signs(loss, logits, labels, rrw_map(labels, K)).nansum() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    logits, labels = make((4, 64, 96))
    logits = logits.to(dtype)
    loss = RegionWiseLoss("boundary")
    shares = gradient_wrong_signs(loss, logits, labels)
    torch.testing.assert_close(shares, gradient_wrong_signs(loss, logits.float(), labels), equal_nan=True)
    leaf = logits.float().requires_grad_()
    (gradient,) = torch.autograd.grad(1e3 * loss(leaf, labels), leaf)
    rounded = wrong_signs(gradient.to(dtype), labels)
    torch.testing.assert_close(rounded, shares, rtol=0, atol=0.01, equal_nan=True)


def test_measuring_leaves_the_network_alone_and_works_where_gradients_are_off() -> None:
    logits, labels = make(SHAPES["2d"])
    logits.requires_grad_()
    hidden = 2 * logits
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        inside = gradient_wrong_signs(RegionWiseLoss("boundary"), hidden, labels)
        terms = loss_terms(CombinedLoss(RegionWiseLoss("boundary")), hidden, labels)
    outside = gradient_wrong_signs(RegionWiseLoss("boundary"), hidden, labels)
    torch.testing.assert_close(inside, outside, equal_nan=True)
    assert logits.grad is None
    for tensor in (inside, outside, *terms["main"]):
        assert not tensor.requires_grad
    hidden.sum().backward()  # its graph is whole


def test_a_gradient_that_is_not_finite_gives_no_number() -> None:
    logits, labels = make(SHAPES["2d"])
    for broken in (float("nan"), float("inf"), -float("inf")):
        gradient = logits.clone()
        gradient[0, 1, 2, 3] = broken
        assert wrong_signs(gradient, labels).isnan().all()


def test_terms_of_a_combined_loss() -> None:
    logits, labels = make(SHAPES["2d"])
    parts = {"main": RegionWiseLoss("boundary"), "partner": DiceLoss()}
    terms = loss_terms(CombinedLoss(parts["main"], parts["partner"], mode="gradual"), logits, labels)
    assert terms.keys() == parts.keys()
    for name, part in parts.items():
        leaf = logits.double().requires_grad_()
        value = part(leaf, labels)
        (gradient,) = torch.autograd.grad(value, leaf)
        assert terms[name].value.item() == pytest.approx(value.item(), rel=1e-5)
        assert terms[name].gradient_norm.item() == pytest.approx(
            gradient.square().sum().sqrt().item(), rel=1e-5
        )
    assert loss_terms(CombinedLoss(parts["main"]), logits, labels).keys() == {"main"}


@pytest.mark.cuda
@pytest.mark.parametrize("build", [RRWLoss, CrossEntropyLoss, DiceLoss])
def test_on_a_gpu_nothing_waits_and_the_shares_are_the_same(build: Callable[[], SegmentationLoss]) -> None:
    logits, labels = make(SHAPES["2d"])
    z = rectified_region_map("rrw", labels, K)
    expected = gradient_wrong_signs(build(), logits, labels, z)
    on_device = (logits.cuda(), labels.cuda(), RectifiedMap(*(weights.cuda() for weights in z)))
    torch.cuda.set_sync_debug_mode("error")
    try:
        shares = gradient_wrong_signs(build(), *on_device)
        loss_terms(CombinedLoss(build()), *on_device)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(shares.cpu(), expected, equal_nan=True)


def counts(rv: float, lv: float) -> dict[str, float]:
    return {"RV": rv, "LV": lv}


def test_collapse_is_warned_of_at_patience_and_its_multiples() -> None:
    watch = CollapseWatch(["RV", "LV"], patience=2)
    warned = [watch.update(counts(50, 80), counts(0, 70)) for _ in range(5)]
    assert warned == [[], ["RV"], [], ["RV"], []]
    assert watch.silent == {"RV": 5, "LV": 0}
    assert watch.update(counts(50, 80), counts(1, 0)) == []
    assert watch.silent == {"RV": 0, "LV": 1}
    assert watch.update(counts(50, 80), counts(0, 0)) == ["LV"]


def test_epochs_without_the_class_say_nothing() -> None:
    watch = CollapseWatch(["RV", "LV"], patience=2)
    watch.update(counts(50, 80), counts(0, 70))
    for _ in range(3):
        assert watch.update(counts(0, 80), counts(0, 70)) == []
    assert watch.update(counts(50, 80), counts(0, 70)) == ["RV"]


def test_a_watch_goes_on_from_its_state() -> None:
    before, after = (CollapseWatch(["RV", "LV"], patience=2) for _ in range(2))
    before.update(counts(50, 80), counts(0, 70))
    after.silent = dict(before.silent)
    assert after.update(counts(50, 80), counts(0, 70)) == ["RV"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wrong_signs(torch.ones(1, 3, 4, 5), torch.ones(1, 4, 6)), r"labels \(1, 4, 6\)"),
        (
            lambda: gradient_wrong_signs(RRWLoss(), torch.ones(1, 3, 4, 5), torch.full((1, 4, 5), 0.5)),
            "whole numbers",
        ),
        (lambda: CollapseWatch([], 3), "at least one class"),
        (lambda: CollapseWatch(["RV"], 0), r"\['RV'\] and 0"),
        (lambda: CollapseWatch(["RV"], 1).update({"RV": 1}, {"LV": 1}), "predicted: expected .* RV, got LV"),
        (lambda: CollapseWatch(["RV"], 1).update({}, {"RV": 1}), "reference: expected .* RV, got"),
    ],
)
def test_wrong_input_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
