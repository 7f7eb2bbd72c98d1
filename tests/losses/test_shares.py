"""Shares of wrong signs and of the gradient, against pixel by pixel counts."""

import pytest
import torch
from compositions import SCENES, K, scene

from rwseg.losses import RegionWiseLoss
from rwseg.losses.theory import annealed_shares, class_shares, map_wrong_sign_pixels
from rwseg.maps import boundary_map, rrw_map


@pytest.mark.parametrize("place", SCENES)
def test_shares_are_those_of_every_pixel(place: str) -> None:
    labels = scene(place)
    logits = torch.randn(labels.shape[0], K, *labels.shape[1:], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(RegionWiseLoss("boundary")(logits, labels), logits)
    shares = class_shares(gradient, labels)
    wrong = map_wrong_sign_pixels(torch.softmax(logits, 1), boundary_map(labels, K).double(), labels)
    size = gradient.abs().sum(1)
    for k in range(K):
        own = labels == k
        if not own.any():
            assert shares.wrong[k].isnan()
            continue
        assert float(shares.wrong[k]) == pytest.approx(float(wrong[own].double().mean()))
        assert float(shares.gradient[k]) == pytest.approx(float(size[own].sum() / size.sum()))
    assert float(shares.gradient.sum()) == pytest.approx(1)


def test_a_class_without_pixels_has_no_share_of_wrong_signs() -> None:
    labels = torch.tensor([[[0, 0, 1]]])
    shares = class_shares(torch.randn(1, 3, 1, 3), labels)
    assert shares.wrong[2].isnan()
    assert shares.gradient[2] == 0


@pytest.mark.parametrize("place", SCENES)
def test_annealing_ends_without_wrong_signs(place: str) -> None:
    labels, spacing = scene(place), SCENES[place][1]
    start, middle, end = annealed_shares(labels, K, (0, 0.5, 1), spacing)
    z = boundary_map(labels, K, spacing).double()
    wrong = (z < z.mean(1, keepdim=True) - 1e-9).sum(1) != 1  # at p = 1 / K: below the mean weight goes up
    assert start.wrong == pytest.approx(float(wrong.double().mean()), abs=0.01)
    assert start.wrong > 0
    assert end.wrong == end.wrong_foreground == 0
    size = (z - z.mean(1, keepdim=True)).abs().sum(1)
    assert start.foreground_gradient == pytest.approx(float(size[labels > 0].sum() / size.sum()))
    assert middle.t == 0.5
    assert start.foreground_gradient != pytest.approx(end.foreground_gradient)


@pytest.mark.parametrize("place", SCENES)
def test_of_an_rrw_map_the_gradient_is_that_of_depth_and_one(place: str) -> None:
    """At p = 1 / K: `|g_y| = (K - 1) (1 - z_y) / K^2`, and the others sum to as much."""
    labels, spacing = scene(place), SCENES[place][1]
    (end,) = annealed_shares(labels, K, (1,), spacing)
    felt = 1 - rrw_map(labels, K, spacing).gather(1, labels[:, None])[:, 0]
    assert end.foreground_gradient == pytest.approx(float(felt[labels > 0].sum() / felt.sum()))


def test_the_foreground_of_labels_without_any_has_no_share() -> None:
    (only,) = annealed_shares(torch.zeros(1, 5, 6, dtype=torch.long), 3, (0.5,))
    assert only.wrong_foreground != only.wrong_foreground  # NaN
    assert only.foreground_gradient == 0


def test_a_step_outside_zero_to_one_is_refused() -> None:
    with pytest.raises(ValueError, match="anneal, t: expected a number from 0"):
        list(annealed_shares(torch.zeros(1, 5, 6, dtype=torch.long), 3, (1.5,)))
