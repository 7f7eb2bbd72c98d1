"""Weights of maps: the loss by hand in float64, pixel by pixel; batches, heads, partners; what is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rwseg.losses import (
    CombinedLoss,
    ComposedMapLoss,
    ConstantMapLoss,
    DiceLoss,
    DistancePenalizedCrossEntropyLoss,
    FinalMap,
    OneSidedHausdorffLoss,
    RegionWiseLoss,
    RRWCrossEntropyLoss,
    RRWLoss,
    check_weighable,
    head_weights,
    region_wise_loss,
    scaled_map,
    supervised_loss,
    weighted_map,
)
from rwseg.maps import RectifiedMap, boundary_map, rectified_region_map, rectified_rrw_map, rrw_map

B, K, SHAPE = 3, 4, (8, 12)


def rectified_contour_map(labels: Tensor, num_classes: int) -> RectifiedMap:
    return rectified_region_map("active_contour", labels, num_classes)


LOSSES: dict[str, Callable[[], Any]] = {
    "rrw": RRWLoss,
    "boundary": lambda: RegionWiseLoss("boundary"),
    "boundary_rectified": lambda: RegionWiseLoss("boundary", rectify=True),
    "active_contour": lambda: RegionWiseLoss("active_contour"),
    "normalised": lambda: ComposedMapLoss(["boundary", {"normalise": "per_item"}, {"clip": 0.5}]),
    "mixed": lambda: ComposedMapLoss(["rrw", {"mix": {"map": [{"edge_emphasis": 3}], "weight": 0.25}}]),
    "edges": lambda: ComposedMapLoss([{"edge_emphasis": 3}, {"power": 2}]),
}
BASES = {"rrw": rectified_rrw_map, "mixed": rectified_rrw_map, "active_contour": rectified_contour_map}


@pytest.fixture
def scene() -> tuple[Tensor, Tensor]:
    """Logits in float64, and labels of which the first item lacks a class."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(B, K, *SHAPE, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, K, (B, *SHAPE), generator=generator)
    labels[0][labels[0] == 2] = 0
    return logits, labels


def weights_of(kind: str) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    shape = (B,) if kind == "item" else (B, *SHAPE)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def by_hand(logits: Tensor, z: Tensor, weights: Tensor) -> float:
    """The mean over items, pixels and classes of softmax times map times weight, in a loop."""
    total, p, map_, w = 0.0, *(part.numpy() for part in (logits.softmax(1), z.double(), weights))
    for b, k, i, j in np.ndindex(*p.shape):
        total += p[b, k, i, j] * map_[b, k, i, j] * (w[b] if w.ndim == 1 else w[b, i, j])
    return total / p.size


@pytest.mark.parametrize("kind", ["item", "pixel"])
def test_the_scaled_map_is_the_scaled_loss_of_each_pixel(scene: tuple[Tensor, Tensor], kind: str) -> None:
    logits, labels = scene
    weights = weights_of(kind)
    dense, compact = rrw_map(labels, K), rectified_rrw_map(labels, K)
    expected = by_hand(logits, dense, weights)
    for given in (dense, compact):
        value = RRWLoss()(logits, labels, scaled_map(given, weights))
        assert float(value) == pytest.approx(expected, rel=1e-6)
    boundary = boundary_map(labels, K)
    value = RegionWiseLoss("boundary")(logits, labels, scaled_map(boundary, weights))
    assert float(value) == pytest.approx(by_hand(logits, boundary, weights), rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_batch_equals_items_and_a_map_that_is_made_here_equals_one_that_is_given(
    scene: tuple[Tensor, Tensor], name: str
) -> None:
    loss, (logits, labels), weights = LOSSES[name](), scene, weights_of("pixel")
    whole = loss(logits, labels, weighted_map(loss, labels, K, None, weights))
    items = [
        loss(logits[b : b + 1], labels[b : b + 1], weighted_map(loss, labels[b : b + 1], K, None, w[None]))
        for b, w in enumerate(weights)
    ]
    assert float(whole) == pytest.approx(float(torch.stack(items).mean()), rel=1e-6)
    if name != "edges":
        base = BASES.get(name, boundary_map)(labels, K)
        assert torch.equal(loss(logits, labels, weighted_map(loss, labels, K, base, weights)), whole)


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize("name", LOSSES)
def test_weights_of_one_change_no_bit_over_heads(name: str, served: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, K, (B, 16, 8), generator=generator)
    loss = LOSSES[name]()
    given = BASES.get(name, boundary_map)(labels, K) if served and name != "edges" else None
    for weights in (torch.ones(B), torch.ones(B, 16, 8)):
        gradients = []
        for own in (None, weights):
            outputs = [
                torch.randn(B, K, 16 // s, 8 // s, generator=torch.Generator().manual_seed(s))
                for s in (1, 2, 4)
            ]
            leaves = [output.requires_grad_() for output in outputs]
            value = supervised_loss(
                loss, leaves, labels, given, weights=head_weights(3, True), map_weights=own
            )
            gradients.append([value, *torch.autograd.grad(value, leaves)])
        assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def test_each_head_has_the_weight_of_its_own_pixel() -> None:
    """By hand: the pixel that stands for a window is the one behind its middle, as for labels."""
    generator = torch.Generator().manual_seed(2)
    labels, weights = torch.randint(0, K, (B, 8, 8), generator=generator), torch.rand(B, 8, 8)
    fine, coarse = (torch.randn(B, K, s, s, generator=generator, dtype=torch.float64) for s in (8, 4))
    loss = RRWLoss()
    value = supervised_loss(loss, [fine, coarse], labels, weights=(0.75, 0.25), map_weights=weights)
    maps = rrw_map(labels, K), rrw_map(labels[:, 1::2, 1::2], K)
    expected = 0.75 * by_hand(fine, maps[0], weights.double())
    expected += 0.25 * by_hand(coarse, maps[1], weights[:, 1::2, 1::2].double())
    assert float(value) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ["item", "pixel"])
def test_a_weight_of_zero_has_no_gradient_and_no_neighbour_notices(
    scene: tuple[Tensor, Tensor], kind: str
) -> None:
    logits, labels = scene
    weights = torch.ones(B, *SHAPE) if kind == "pixel" else torch.ones(B)
    weights[1] = 0
    leaf, whole = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    heads = {"weights": head_weights(1)}
    supervised_loss(RRWLoss(), [leaf], labels, map_weights=weights, **heads).backward()
    supervised_loss(RRWLoss(), [whole], labels, **heads).backward()
    assert leaf.grad is not None
    assert whole.grad is not None
    assert (leaf.grad[1] == 0).all()
    assert torch.equal(leaf.grad[[0, 2]], whole.grad[[0, 2]])


def test_the_partner_has_no_weights(scene: tuple[Tensor, Tensor]) -> None:
    logits, labels = scene
    combined = CombinedLoss(RRWLoss(), DiceLoss(), mode="equal")
    value = supervised_loss(
        combined, [logits], labels, weights=head_weights(1), map_weights=torch.full((B,), 0.5)
    )
    expected = DiceLoss()(logits, labels) + 0.5 * RRWLoss()(logits, labels)
    torch.testing.assert_close(value, expected)


def test_pixels_without_a_label_stay_without_a_gradient() -> None:
    logits, labels = torch.randn(2, K, 6, 6).requires_grad_(), torch.randint(0, K, (2, 6, 6))
    labels[:, :2] = 255
    heads = {"weights": head_weights(1), "ignore": 255}
    (plain,) = torch.autograd.grad(supervised_loss(RRWLoss(), [logits], labels, **heads), logits)
    value = supervised_loss(RRWLoss(), [logits], labels, map_weights=torch.tensor([1.0, 2.0]), **heads)
    (weighted,) = torch.autograd.grad(value, logits)
    assert (weighted[:, :, :2] == 0).all()
    torch.testing.assert_close(weighted, plain * torch.tensor([1.0, 2.0]).view(2, 1, 1, 1))


class OwnLoss(nn.Module):
    """A user's: the square of the map, or one of another map than it says."""

    map_name = "rrw"
    rectified = False

    def __init__(self, power: int = 1, shift: float = 0.0) -> None:
        super().__init__()
        self.power, self.shift = power, shift

    def forward(self, logits: Tensor, labels: Tensor, region_map: Tensor) -> Tensor:
        return (logits.softmax(1) * region_map**self.power).mean() + self.shift


@pytest.mark.parametrize(
    "loss",
    [
        RRWLoss(),
        RRWLoss(spacing=(1.0, 3.0)),
        RegionWiseLoss("boundary", spacing=(1.0, 3.0)),
        ComposedMapLoss(["boundary", "rectify"], spacing=(1.0, 3.0)),
        ComposedMapLoss([{"edge_emphasis": 3}], spacing=(1.0, 3.0)),
        *(make() for make in LOSSES.values()),
        RRWCrossEntropyLoss(),
        OneSidedHausdorffLoss(),
        OwnLoss(),
    ],
)
def test_losses_that_are_proportional_to_their_map_can_be_weighed(loss: nn.Module) -> None:
    for classes in (2, 4):
        check_weighable(CombinedLoss(loss), "x", classes)
    check_weighable(CombinedLoss(loss, DiceLoss(), "gradual"), "x", 3)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (DiceLoss(), "takes no region-wise map"),
        (ConstantMapLoss(), "takes no region-wise map"),
        (DistancePenalizedCrossEntropyLoss(), "proportional"),
        (OwnLoss(power=2), "proportional"),
        (OwnLoss(shift=1.0), "proportional"),
        (OneSidedHausdorffLoss(alpha=1.0), "another map"),
    ],
)
def test_other_losses_are_refused(loss: nn.Module, said: str) -> None:
    with pytest.raises(ValueError, match=f"loss=x.*{said}"):
        check_weighable(CombinedLoss(loss), "loss=x", 3)


@pytest.mark.parametrize("kind", ["item", "pixel"])
@pytest.mark.parametrize("served", [True, False])
def test_a_composition_is_weighed_after_all_that_modifies_it(
    scene: tuple[Tensor, Tensor], kind: str, served: bool
) -> None:
    """Clipped at 2, distances are weighed by 3 as a map of at most 6; weighed before, they would end at 2."""
    logits, labels = scene
    weights = 3 * weights_of(kind)
    loss = ComposedMapLoss(["boundary", {"clip": 2}, {"class_weights": [1, 2, 3, 4]}])
    base = boundary_map(labels, K)
    z, own = base.clamp(-2, 2), labels[:, None]
    z = (z * (labels + 1)[:, None]).scatter(1, own, z.gather(1, own))
    value = loss(logits, labels, weighted_map(loss, labels, K, base if served else None, weights))
    assert float(value) == pytest.approx(by_hand(logits, z, weights), rel=1e-6)


def test_a_map_that_is_final_is_not_modified(scene: tuple[Tensor, Tensor]) -> None:
    logits, labels = scene
    z = boundary_map(labels, K)
    for loss in (
        ComposedMapLoss(["boundary", "rectify", {"power": 2}]),
        RRWLoss(),
        RegionWiseLoss("boundary"),
    ):
        assert torch.equal(loss(logits, labels, FinalMap(z)), region_wise_loss(logits, z))


def test_compact_and_dense_maps_keep_their_form() -> None:
    labels = torch.randint(0, K, (2, 5, 7))
    compact = scaled_map(rectified_rrw_map(labels, K), torch.tensor([1.0, 0.5]))
    assert isinstance(compact, RectifiedMap)
    assert torch.equal(compact.outside[1], torch.full((5, 7), 0.5))
    volume = scaled_map(torch.ones(2, K, 3, 5, 7), torch.tensor([2.0, 3.0]))
    assert isinstance(volume, Tensor)
    assert volume.shape == (2, K, 3, 5, 7)
    assert (volume[1] == 3).all()
