"""Compositions of maps: properties of random ones, and lists that are refused."""

from typing import Any

import pytest
import torch
from compositions import SCENES, K, compositions, dense_of, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rwseg.losses import ComposedMapLoss, RegionWiseLoss, RRWLoss
from rwseg.maps import (
    Composition,
    RectifiedMap,
    boundary_map,
    composed_map,
    expand,
    is_rectified,
    modified_map,
    rectified_rrw_map,
    region_map,
    rrw_map,
)

random_scenes = st.builds(lambda name, seed: (name, seed), st.sampled_from(list(SCENES)), st.integers(0, 20))


def wrong_entries_differ(z: Tensor, labels: Tensor) -> bool:
    own = labels[:, None]
    return bool((z.scatter(1, own, -torch.inf).amax(1) > z.scatter(1, own, torch.inf).amin(1) + 1e-6).any())


@settings(max_examples=150, deadline=None, derandomize=True)
@given(compositions(), random_scenes)
def test_a_composition_is_rectified_exactly_where_it_says_so(
    parts: list[Any], place: tuple[str, int]
) -> None:
    composition, labels = Composition.of(parts), scene(*place)
    made = composed_map(composition, labels, K, SCENES[place[0]][1])
    assert isinstance(made, RectifiedMap) == composition.is_rectified
    z = dense_of(made, labels)
    assert z.isfinite().all()
    true, own = z.gather(1, labels[:, None]), labels[:, None]
    assert (true <= 0).all()
    assert (z.scatter(1, own, 0.0) >= 0).all()
    assert is_rectified(z, labels) or not composition.is_rectified
    assert wrong_entries_differ(z, labels) != composition.is_rectified


@settings(max_examples=60, deadline=None, derandomize=True)
@given(compositions(), random_scenes)
def test_value_and_gradient_are_those_of_the_dense_formula(parts: list[Any], place: tuple[str, int]) -> None:
    labels, spacing = scene(*place), SCENES[place[0]][1]
    logits = torch.randn(labels.shape[0], K, *labels.shape[1:], dtype=torch.float64, requires_grad=True)
    z = dense_of(composed_map(Composition.of(parts), labels, K, spacing), labels).double()
    p = torch.exp(logits) / torch.exp(logits).sum(1, keepdim=True)
    expected = (p * z).sum() / z.numel()
    value = ComposedMapLoss(parts, spacing)(logits, labels)
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)
    ours, theirs = (torch.autograd.grad(loss, logits)[0] for loss in (value, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(compositions(), random_scenes)
def test_batch_equals_items_and_the_list_its_text(parts: list[Any], place: tuple[str, int]) -> None:
    labels, spacing = scene(*place), SCENES[place[0]][1]
    composition = Composition.of(parts)
    assert Composition.of_text(composition.text).text == composition.text
    whole = dense_of(composed_map(composition, labels, K, spacing), labels)
    for item, expected in zip(labels, whole, strict=True):
        alone = dense_of(composed_map(composition, item[None], K, spacing), item[None])[0]
        torch.testing.assert_close(alone, expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(compositions(), random_scenes)
def test_modifiers_of_a_given_base_make_the_same_map(parts: list[Any], place: tuple[str, int]) -> None:
    """As the data module serves it: the base alone, compact where that is all that is needed."""
    labels, spacing = scene(*place), SCENES[place[0]][1]
    composition = Composition.of(parts)
    base = composed_map(Composition.of(composition.plain[:1]), labels, K, spacing)
    whole = dense_of(composed_map(composition, labels, K, spacing), labels)
    for given_map in (base, dense_of(base, labels)):
        made = modified_map(composition, given_map, labels, K, spacing)
        torch.testing.assert_close(dense_of(made, labels), whole, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("place", SCENES)
@pytest.mark.parametrize("seed", range(4))
def test_anneal_ends_at_the_boundary_and_at_the_rrw_map_exactly(place: str, seed: int) -> None:
    labels, spacing = scene(place, seed), SCENES[place][1]
    start, end = (
        composed_map(Composition.of(["boundary", {"anneal": t}]), labels, K, spacing) for t in (0, 1)
    )
    assert isinstance(start, Tensor)
    assert isinstance(end, RectifiedMap)
    assert torch.equal(start, boundary_map(labels, K, spacing))
    assert torch.equal(expand(end, labels, K), rrw_map(labels, K, spacing))
    for ours, theirs in zip(end, rectified_rrw_map(labels, K, spacing), strict=True):
        assert torch.equal(ours, theirs)
    logits = torch.randn(labels.shape[0], K, *labels.shape[1:])
    for t, named in ((0, RegionWiseLoss("boundary", spacing=spacing)), (1, RRWLoss(spacing))):
        loss = ComposedMapLoss(["boundary", {"anneal": t}], spacing)
        assert torch.equal(loss(logits, labels), named(logits, labels))


@pytest.mark.parametrize(
    "name", ["boundary", "boundary_kervadec", "rrw", "active_contour", "hausdorff", "skeleton"]
)
def test_a_base_alone_is_the_map_of_its_name(name: str) -> None:
    labels = scene("2d")
    made = dense_of(composed_map(Composition.of([name]), labels, K), labels)
    assert torch.equal(made, region_map(name, labels, K))


def test_what_may_be_computed_once() -> None:
    for parts, name, compact in [
        (["boundary"], "boundary", False),
        (["boundary", "rectify", {"clip": 2}], "boundary", True),
        (["boundary", {"clip": 2}, "rectify"], "boundary", False),
        (["boundary", {"anneal": 1}], "boundary", False),
        (["rrw", {"power": 2}], "rrw", True),
        ([{"hausdorff": 1}], None, False),
        ([{"edge_emphasis": {"width": 2}}], None, True),
    ]:
        loss = ComposedMapLoss(parts)
        assert (loss.map_name, loss.rectified) == (name, compact), parts


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], r"expected a list such as \[boundary, rectify\], got \[\]"),
        ("boundary", "expected a list"),
        (["bondary"], r"a base map first, one of active_contour, .*, skeleton, got 'bondary'"),
        (["rectify", "boundary"], "a base map first, .* got 'rectify'"),
        (["boundary", "rrw"], r"modifiers after the base map, one of rectify, .*; two maps are one by \{mix"),
        (["boundary", {"clip": 1, "power": 2}], "expected modifiers after the base map"),
        (["boundary", {"clip": -1}], "clip, largest: expected a number above 0, .* got -1"),
        (["boundary", {"clip": 10**20}], "clip, largest: .* from 1e-06 to 1e.06, got 1000"),
        (["boundary", {"clip": 10**400}], "clip, largest: .* got 1000"),
        (["boundary", {"clip": float("nan")}], "clip, largest: .* got nan"),
        ([{"border_between_instances": {"sigma": 1e200}}], "sigma: .* got 1e.200"),
        ([{"hausdorff": 40}], "hausdorff, alpha: expected a number above 0, at most 8, got 40"),
        ([{"constant": {"alpha": 0, "beta": -1e39}}], "constant, beta: .* got -1e.39"),
        (["boundary", {"clip": True}], "clip, largest: expected a number above 0, .* got True"),
        (
            ["boundary", "power"],
            r"power: expected \{power: ...\} with exponent: a number above 0, at most 8, got none",
        ),
        (["boundary", {"rectify": 1}], "rectify: expected .* no argument, got 1"),
        (["boundary", {"normalise": "class"}], "one of per_class, per_item, none, got 'class'"),
        (["boundary", {"class_weights": 2}], "class_weights, weights: expected a list of numbers above 0"),
        (["rrw", {"anneal": 0.5}], "anneal: expected after boundary or boundary_kervadec, .* after rrw"),
        (["boundary", {"clip": 1}, {"anneal": 0.5}], "got it after boundary, clip"),
        (["boundary", {"anneal": 1.5}], r"anneal, t: expected a number from 0 \(the boundary map\) to 1"),
        (["boundary", {"mix": {"map": ["rrw"]}}], r"mix: expected \{mix: ...\} with map: a list"),
        (["boundary", {"mix": {"map": ["rrw"], "weight": 1}}], "a number between 0 and 1, its share, got 1"),
        (["boundary", {"mix": {"map": ["rwr"], "weight": 0.5}}], "a base map first, .* got 'rwr'"),
        ([{"edge_emphasis": {"with": 2}}], "edge_emphasis: expected .* with width: a number above 0"),
        (
            [{"constant": {"alpha": 1, "beta": -1}}],
            "constant, alpha: expected a number of 0 or less, .* got 1",
        ),
    ],
)
def test_lists_that_do_not_fit_are_refused(parts: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Composition.of(parts)


def test_a_wrong_number_of_class_weights_is_refused_with_labels() -> None:
    composition = Composition.of(["rrw", {"class_weights": [1, 2]}])
    with pytest.raises(ValueError, match=r"class_weights: expected 4 weights, one per class .* got 2"):
        composed_map(composition, scene("2d"), K)


def test_weights_of_another_number_of_classes_are_told_before_any_labels() -> None:
    inner = ["rrw", {"class_weights": [1, 2]}]
    for parts in (inner, ["boundary", {"mix": {"map": inner, "weight": 0.5}}]):
        Composition.of(parts).check_classes(2)
        with pytest.raises(ValueError, match=r"class_weights: expected 4 weights, .* got 2"):
            Composition.of(parts).check_classes(4)


@pytest.mark.parametrize(
    "parts",
    [
        ["boundary", {"anneal": 1}],
        ["boundary", {"anneal": 0.5}, {"normalise": "per_item"}],
        ["rrw", {"mix": {"map": [{"edge_emphasis": 3}], "weight": 0.5}}, {"power": 0.5}],
        ["boundary", {"mix": {"map": ["boundary"], "weight": 0.5}}, "rectify"],
    ],
)
def test_where_the_map_of_a_volume_is_0_nothing_is_known_and_nothing_weighed(parts: list[Any]) -> None:
    labels = torch.randint(0, 3, (2, 9, 14), generator=torch.Generator().manual_seed(0))
    composition = Composition.of(parts)
    base = composed_map(Composition.of(parts[:1]), labels, 3)
    beyond = torch.zeros(labels.shape, dtype=torch.bool)
    beyond[:, :, 10:] = True
    cut = (
        RectifiedMap(*(part.masked_fill(beyond, 0) for part in base))
        if isinstance(base, RectifiedMap)
        else base.masked_fill(beyond[:, None], 0)
    )
    made = modified_map(composition, cut, labels, 3)
    dense = expand(made, labels, 3) if isinstance(made, RectifiedMap) else made
    assert (dense.movedim(1, -1)[beyond] == 0).all()
    assert (dense.movedim(1, -1)[~beyond] != 0).any(-1).all()
