"""Propositions 1 to 5 of the paper's supplement: published losses are region-wise losses of certain maps.

Each published loss is written here in NumPy, from the formula of its own paper. The paper's sums run over the
pixels of one image, the region-wise loss is a mean over pixels and classes, so `N K` times the latter is
compared.
"""

from itertools import product

import numpy as np
import pytest
import torch
from references import Array, Example, example
from scipy.spatial.distance import cdist

from rwseg.losses import region_wise_loss
from rwseg.maps import active_contour_map, boundary_map, constant_map, hausdorff_map

SHAPES = {"2d": (1, 7, 12), "3d": (1, 4, 6, 5)}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
every_count = pytest.mark.parametrize("classes", [2, 4], ids=["binary", "multi-class"])


def total(e: Example, z: torch.Tensor, squared: bool = False) -> float:
    """`sum_i sum_k p_ik z_ik`, by the loss, or with the squared softmax of Prop. 3."""
    if not squared:
        return float(region_wise_loss(e.logits, z)) * z.numel()
    return float((torch.softmax(e.logits, 1) ** 2 * z).mean()) * z.numel()


def nearest(pixels: Array, targets: Array) -> Array:
    """Distance of each pixel to the nearest target, by all pairs."""
    distances: Array = cdist(pixels, targets).min(1)
    return distances


def level_set(y: Array) -> Array:
    """Signed distance of every pixel to the region of one class: minus inside the region."""
    inside, outside = np.argwhere(y == 1), np.argwhere(y == 0)
    phi = np.zeros_like(y)
    phi[y == 1] = -nearest(inside, outside)
    phi[y == 0] = nearest(outside, inside)
    return phi


def one_vs_rest(e: Example) -> list[tuple[Array, Array]]:
    """Prediction and label of each class as a binary problem; for two classes, of both channels."""
    return [(e.p[0, k], e.y[0, k]) for k in range(e.p.shape[1])]


@every_shape
def test_proposition_1_active_contour_region_term(shape: tuple[int, ...]) -> None:
    """Eq. 18 of Chen et al. with c1 = 1, c2 = 0: `sum u (c1 - v)^2 + sum (1 - u) (c2 - v)^2`."""
    e = example(shape, classes=2, present=2)
    u, v = e.p[0, 1], e.y[0, 1]
    region = np.sum(u * (1 - v) ** 2) + np.sum((1 - u) * (0 - v) ** 2)
    assert total(e, active_contour_map(e.labels, 2)) == pytest.approx(region, rel=1e-5)


@every_shape
def test_proposition_1_for_more_classes_is_half_of_one_versus_rest(
    shape: tuple[int, ...],
) -> None:
    e = example(shape)
    terms = [np.sum(u * (1 - v) ** 2) + np.sum((1 - u) * v**2) for u, v in one_vs_rest(e)]
    assert total(e, active_contour_map(e.labels, 4)) == pytest.approx(sum(terms) / 2, rel=1e-5)


@every_shape
@every_count
def test_proposition_2_boundary_loss(shape: tuple[int, ...], classes: int) -> None:
    """Kervadec et al.: `sum_i phi_k(i) p_ik`, summed over the classes, phi the signed distance."""
    e = example(shape, classes, present=classes)
    boundary = sum(np.sum(level_set(v) * u) for u, v in one_vs_rest(e))
    assert total(e, boundary_map(e.labels, classes)) == pytest.approx(boundary, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("alpha", [1.0, 2.0, 2.5])
@every_shape
@every_count
def test_proposition_3_one_sided_hausdorff_loss(shape: tuple[int, ...], classes: int, alpha: float) -> None:
    """Eq. 26 of Karimi and Salcudean: `sum_i (v - u)^2 d^alpha`, d = 0 on the class as in Eq. 25."""
    e = example(shape, classes, present=classes)
    hausdorff = sum(np.sum((v - u) ** 2 * np.maximum(level_set(v), 0) ** alpha) for u, v in one_vs_rest(e))
    z = hausdorff_map(e.labels, classes, alpha)
    assert total(e, z, squared=True) == pytest.approx(hausdorff, rel=1e-4)
    assert total(e, z) != pytest.approx(hausdorff, rel=1e-2)  # the square is part of the proposition


@pytest.mark.parametrize(("alpha", "beta"), list(product([0.0, 1.0, -2.0], [-1.0, 3.0])))
@every_shape
@every_count
def test_proposition_4_constants(shape: tuple[int, ...], classes: int, alpha: float, beta: float) -> None:
    """Eq. 30 of Cao et al.: `sum_i Phi(i) p_i`, Phi = alpha on the class and -beta off it."""
    e = example(shape, classes, present=classes)
    constants = sum(np.sum(np.where(v == 1, alpha, -beta) * u) for u, v in one_vs_rest(e))
    value = total(e, constant_map(e.labels, classes, alpha, beta))
    assert value == pytest.approx(constants, rel=1e-4, abs=1e-3)


def test_proposition_4_as_printed_is_lowest_where_every_pixel_is_wrong() -> None:
    e = example(SHAPES["2d"], classes=2, present=2)
    z = constant_map(e.labels, 2, alpha=1.0, beta=1.0).numpy()
    assert np.sum((1 - e.y) * z) < np.sum(e.p * z) < np.sum(e.y * z)


@every_shape
def test_proposition_5_region_loss(shape: tuple[int, ...]) -> None:
    """Eq. 32 of Huang et al.: `sum y (y - p) + (1 - y) p` of the foreground."""
    e = example(shape, classes=2, present=2)
    u, v = e.p[0, 1], e.y[0, 1]
    region = np.sum(v * (v - u) + (1 - v) * u)
    assert total(e, active_contour_map(e.labels, 2)) == pytest.approx(region, rel=1e-5)


@every_shape
def test_proposition_5_for_more_classes_is_half_of_one_versus_rest(
    shape: tuple[int, ...],
) -> None:
    e = example(shape)
    terms = [np.sum(v * (v - u) + (1 - v) * u) for u, v in one_vs_rest(e)]
    assert total(e, active_contour_map(e.labels, 4)) == pytest.approx(sum(terms) / 2, rel=1e-5)
