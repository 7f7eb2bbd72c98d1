"""Cross entropy and its relatives against the formulas in NumPy, distances by SciPy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from references import SHAPES, Array, Example, example, signed_distances, true_class

from rwseg.losses import (
    CrossEntropyLoss,
    DistancePenalizedCrossEntropyLoss,
    FocalLoss,
    PixelWeightedCrossEntropyLoss,
    RRWCrossEntropyLoss,
    TopKLoss,
    WeightedCrossEntropyLoss,
)
from rwseg.losses.base import pixel_cross_entropy
from rwseg.maps import RectifiedMap, boundary_map, rrw_map

every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def cross_entropy(e: Example) -> Array:
    """`(B, *S)`."""
    minus_log: Array = -np.log(true_class(e.p, e.y))
    return minus_log


def depth(e: Example) -> tuple[Array, Array]:
    """Distance to the nearest other class, and that divided by its maximum over the class of the item."""
    inside = np.maximum(-signed_distances(e.y), 0)
    largest = inside.max(axis=tuple(range(2, inside.ndim)), keepdims=True)
    return true_class(inside, e.y), true_class(inside / np.maximum(largest, 1e-15), e.y)


@every_shape
def test_cross_entropy_and_focal_loss_equal_the_published_formulas(shape: tuple[int, ...]) -> None:
    e = example(shape)
    ce = -np.mean(np.sum(e.y * np.log(e.p + 1e-15), axis=1))
    focal = np.mean(np.sum(-1 * (1 - e.p + 1e-15) ** 2 * e.y * np.log(e.p + 1e-15), axis=1))
    assert float(CrossEntropyLoss()(e.logits, e.labels)) == pytest.approx(ce, rel=1e-5)
    assert float(FocalLoss()(e.logits, e.labels)) == pytest.approx(focal, rel=1e-5)


@every_shape
def test_weights_multiply_the_pixels_of_their_class(shape: tuple[int, ...]) -> None:
    e = example(shape)
    weights = [0.5, 3.0, 0.0, 2.0]
    w, p = np.array(weights)[e.labels.numpy()], true_class(e.p, e.y)
    ce, focal = WeightedCrossEntropyLoss(weights), FocalLoss(3.0, weights)
    assert float(ce(e.logits, e.labels)) == pytest.approx(np.mean(w * -np.log(p)), rel=1e-5)
    expected = np.mean(w * (1 - p) ** 3 * -np.log(p))
    assert float(focal(e.logits, e.labels)) == pytest.approx(expected, rel=1e-5)
    assert not ce.state_dict()
    assert not focal.state_dict()


@every_shape
def test_balanced_weights_give_every_class_of_the_item_the_same_share(shape: tuple[int, ...]) -> None:
    e = example(shape)
    ce, labels = cross_entropy(e), e.labels.numpy()
    items = [
        np.mean([values[item == k].mean() for k in np.unique(item)])
        for values, item in zip(ce, labels, strict=True)
    ]
    assert len(np.unique(labels)) == 3  # the fourth class has no say
    assert float(WeightedCrossEntropyLoss()(e.logits, e.labels)) == pytest.approx(np.mean(items), rel=1e-5)


@every_shape
def test_weights_of_maps_equal_their_formulas(shape: tuple[int, ...]) -> None:
    e = example(shape, present=2)
    ce = cross_entropy(e)
    distance, relative = depth(e)
    border = 1 + 4 * np.exp(-(distance**2) / (2 * 1.5**2))
    for loss, weights in (
        (RRWCrossEntropyLoss(), relative),
        (DistancePenalizedCrossEntropyLoss(), 1 + 1 - relative),
        (PixelWeightedCrossEntropyLoss(border_weight=4, sigma=1.5), border),
    ):
        assert float(loss(e.logits, e.labels)) == pytest.approx(np.mean(weights * ce), rel=1e-5)


def test_a_class_that_fills_the_image_is_cross_entropy() -> None:
    logits, labels = example((2, 7, 12), present=1)[:2]
    for loss in (
        RRWCrossEntropyLoss(),
        DistancePenalizedCrossEntropyLoss(),
        PixelWeightedCrossEntropyLoss(),
        WeightedCrossEntropyLoss(),
    ):
        torch.testing.assert_close(loss(logits, labels), CrossEntropyLoss()(logits, labels))


def test_border_weights_of_an_image_without_border_are_those_of_its_map() -> None:
    logits, labels = example((2, 7, 12), present=1)[:2]
    loss, ce = PixelWeightedCrossEntropyLoss(), CrossEntropyLoss()(logits, labels)
    torch.testing.assert_close(loss(logits, labels, boundary_map(labels, 4)), ce)
    # A box cut from a larger image is of one class, too, but its map knows of the border outside.
    inside = -torch.arange(1.0, 13).expand(2, 7, 12)
    weights = 1 + 10 * torch.exp(-(inside**2) / 50)
    expected = (weights * -torch.log_softmax(logits, 1)[:, 0]).mean()
    torch.testing.assert_close(loss(logits, labels, RectifiedMap(inside, 0 * inside)), expected)


@every_shape
def test_border_weights_are_added_to_those_of_classes(shape: tuple[int, ...]) -> None:
    e = example(shape, present=2)
    weights = [0.5, 3.0, 0.0, 2.0]
    border = 4 * np.exp(-(depth(e)[0] ** 2) / (2 * 1.5**2))
    expected = np.mean((np.array(weights)[e.labels.numpy()] + border) * cross_entropy(e))
    loss = PixelWeightedCrossEntropyLoss(4, 1.5, weights)
    assert float(loss(e.logits, e.labels)) == pytest.approx(expected, rel=1e-5)
    assert not loss.state_dict()


def test_distance_penalty_doubles_no_pixel_and_leaves_thin_structures_at_one() -> None:
    labels = torch.zeros(1, 1, 9, dtype=torch.long)
    labels[0, 0, 2:7], labels[0, 0, 8] = 1, 2
    uniform = torch.zeros(1, 3, 1, 9, requires_grad=True)
    (gradient,) = torch.autograd.grad(DistancePenalizedCrossEntropyLoss()(uniform, labels), uniform)
    push = -gradient.gather(1, labels[:, None]).flatten()
    weights = torch.tensor([1, 1.5, 5 / 3, 4 / 3, 1, 4 / 3, 5 / 3, 1.5, 1])
    torch.testing.assert_close(push, weights * 2 / 3 / 9)


def test_the_index_that_torch_ignores_by_default_is_no_class() -> None:
    logits, labels = example((2, 7, 12))[:2]
    labels[0, 0, 0] = -100  # as on a GPU, where the values of labels are not looked at beforehand
    with pytest.raises(IndexError, match="Target -100 is out of bounds"):
        pixel_cross_entropy(logits, labels)


def test_weights_follow_a_map_in_mm() -> None:
    e = example((2, 9, 14), present=2)
    spacing = (3.0, 0.7)
    for loss, z in (
        (RRWCrossEntropyLoss(), rrw_map(e.labels, 4, spacing)),
        (PixelWeightedCrossEntropyLoss(), boundary_map(e.labels, 4, spacing)),
    ):
        true = true_class(z.numpy(), e.y)
        weights = np.abs(true) if loss.map_name == "rrw" else 1 + 10 * np.exp(-(true**2) / 50)
        value = float(loss(e.logits, e.labels, z))
        assert value == pytest.approx(np.mean(weights * cross_entropy(e)), rel=1e-5)
        assert value != pytest.approx(float(loss(e.logits, e.labels)), rel=1e-3)


def test_rrw_weights_as_printed_in_the_paper_would_reward_errors() -> None:
    e = example((1, 9, 14), present=2)
    z = rrw_map(e.labels, 4).numpy()
    right, wrong = 0.9 * e.y + 0.025, 0.9 * np.roll(e.y, 1, axis=1) + 0.025
    printed = [-np.sum(z * e.y * np.log(p)) for p in (right, wrong)]
    assert printed[1] < printed[0] < 0
    ours = [float(RRWCrossEntropyLoss()(torch.tensor(np.log(p)), e.labels)) for p in (right, wrong)]
    assert ours[1] > ours[0] > 0


@pytest.mark.parametrize(("percent", "kept"), [(10, 8), (1, 1), (0.1, 1), (50, 42), (100, 84)])
def test_topk_is_the_mean_of_the_largest_cross_entropies_of_an_item(percent: float, kept: int) -> None:
    e = example((3, 7, 12))
    largest = np.sort(cross_entropy(e).reshape(3, -1), axis=1)[:, -kept:]
    assert float(TopKLoss(percent)(e.logits, e.labels)) == pytest.approx(largest.mean(), rel=1e-5)


def test_focal_loss_without_focusing_is_cross_entropy() -> None:
    logits, labels = example((2, 5, 8))[:2]
    torch.testing.assert_close(FocalLoss(gamma=0.0)(logits, labels), CrossEntropyLoss()(logits, labels))


@pytest.mark.parametrize("loss", [CrossEntropyLoss(), FocalLoss()], ids=["ce", "focal"])
def test_a_hopeless_pixel_costs_at_most_minus_log_epsilon(loss: torch.nn.Module) -> None:
    logits = torch.tensor([500.0, 0.0]).view(1, 2, 1, 1).requires_grad_()
    value = loss(logits, torch.ones(1, 1, 1, dtype=torch.long))
    assert value.item() == pytest.approx(-np.log(1e-15), rel=1e-6)
    assert torch.autograd.grad(value, logits)[0].isfinite().all()


LOGITS, LABELS = example((2, 7, 12))[:2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FocalLoss(gamma=-1), r"gamma: expected a focusing exponent in \[0, inf\), got -1"),
        (lambda: FocalLoss(gamma=float("nan")), "got nan"),
        (lambda: FocalLoss(class_weights=[1, -1]), r"finite weights >= 0, .* got \[1.0, -1.0\]"),
        (lambda: WeightedCrossEntropyLoss([0, 0]), "not all of them 0"),
        (lambda: WeightedCrossEntropyLoss(None), "'balanced' or one weight per class, got None; .* loss=ce"),
        (lambda: WeightedCrossEntropyLoss("inverse"), "'balanced' or .*, got 'inverse'"),
        (lambda: WeightedCrossEntropyLoss([1, float("inf")]), "finite weights"),
        (
            lambda: WeightedCrossEntropyLoss([1, 2, 3])(LOGITS, LABELS),
            r"class_weights: expected 4 values \(one per class\), got 3",
        ),
        (lambda: FocalLoss(2, [1] * 5)(LOGITS, LABELS), "expected 4 values"),
        (lambda: PixelWeightedCrossEntropyLoss(border_weight=-1), "finite border_weight >= 0"),
        (lambda: PixelWeightedCrossEntropyLoss(float("inf")), "border_weight=inf"),
        (lambda: PixelWeightedCrossEntropyLoss(class_weights=[1] * 3)(LOGITS, LABELS), "expected 4 values"),
        (lambda: PixelWeightedCrossEntropyLoss(sigma=0), "sigma > 0, got border_weight=10.0, sigma=0"),
        (lambda: TopKLoss(0), r"percent: expected the share of pixels to keep, in \(0, 100\], got 0"),
        (lambda: TopKLoss(101), "got 101"),
        (lambda: RRWCrossEntropyLoss()(LOGITS, LABELS, LOGITS[:1]), r"region map: expected \(B, K, \*S\)"),
        (
            lambda: DistancePenalizedCrossEntropyLoss()(LOGITS, LABELS, RectifiedMap(LOGITS, LOGITS)),
            r"got weights of shape \(2, 4, 7, 12\)",
        ),
        (lambda: RRWCrossEntropyLoss()(LOGITS, LABELS + 4), r"values in \[0, 4\)"),
    ],
)
def test_wrong_input_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
