"""Modifiers of maps against their formulas, pixel by pixel."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from compositions import SCENES, K, dense_of, scene
from torch import Tensor

from rwseg.maps import (
    Composition,
    RectifiedMap,
    boundary_map,
    composed_map,
    edge_emphasis,
    expand,
    modified_map,
)

Pixel = Callable[[np.ndarray, int, dict[int, np.ndarray]], np.ndarray]

places = pytest.mark.parametrize("place", SCENES)


def by_hand(dense: Tensor, labels: Tensor, pixel: Pixel) -> np.ndarray:
    """`pixel(z, y, rows)` of the weights z of each pixel, of class y; `rows[m]` are those of class m."""
    result = np.empty(dense.shape)
    for b, item in enumerate(labels.numpy()):
        z = np.moveaxis(dense[b].double().numpy(), 0, -1)
        rows = {int(m): z[item == m] for m in np.unique(item)}
        for place in np.ndindex(item.shape):
            result[(b, slice(None), *place)] = pixel(z[place], int(item[place]), rows)
    return result


def normalised(z: np.ndarray, y: int, rows: dict[int, np.ndarray]) -> np.ndarray:
    true = np.abs(rows[y][:, y]).max()
    wrong = np.abs(np.delete(rows[y], y, axis=1)).max()
    scaled = z / (wrong or 1)
    scaled[y] = z[y] / (true or 1)
    return scaled


def normalised_per_item(z: np.ndarray, y: int, rows: dict[int, np.ndarray]) -> np.ndarray:
    true = max(np.abs(row[:, m]).max() for m, row in rows.items())
    wrong = max(np.abs(np.delete(row, m, axis=1)).max() for m, row in rows.items())
    scaled = z / (wrong or 1)
    scaled[y] = z[y] / (true or 1)
    return scaled


def weighted(z: np.ndarray, y: int, rows: dict[int, np.ndarray]) -> np.ndarray:
    scaled = z * [1, 2, 0.5, 3][y]
    scaled[y] = z[y]
    return scaled


def rectified(z: np.ndarray, y: int, rows: dict[int, np.ndarray]) -> np.ndarray:
    mean = np.full(K, np.delete(z, y).mean())
    mean[y] = z[y]
    return mean


def annealed(z: np.ndarray, y: int, rows: dict[int, np.ndarray]) -> np.ndarray:
    changed = np.abs(z) ** 0.7
    changed[y] = z[y] / np.abs(rows[y][:, y]).max() ** 0.3
    return changed


FORMULAS: dict[str, tuple[Any, Pixel]] = {
    "rectify": ("rectify", rectified),
    "per class": ({"normalise": "per_class"}, normalised),
    "per item": ({"normalise": "per_item"}, normalised_per_item),
    "none": ({"normalise": "none"}, lambda z, y, rows: z),
    "class weights": ({"class_weights": [1, 2, 0.5, 3]}, weighted),
    "clip": ({"clip": 2.5}, lambda z, y, rows: np.minimum(np.maximum(z, -2.5), 2.5)),
    "power": ({"power": 1.5}, lambda z, y, rows: np.sign(z) * np.abs(z) ** 1.5),
    "anneal": ({"anneal": 0.3}, annealed),
}


@places
@pytest.mark.parametrize(("modifier", "pixel"), FORMULAS.values(), ids=FORMULAS)
def test_modifiers_equal_their_formulas(modifier: Any, pixel: Pixel, place: str) -> None:
    labels, spacing = scene(place), SCENES[place][1]
    boundary = boundary_map(labels, K, spacing)
    made = composed_map(Composition.of(["boundary", modifier]), labels, K, spacing)
    expected = by_hand(boundary, labels, pixel)
    np.testing.assert_allclose(dense_of(made, labels), expected, rtol=1e-5, atol=1e-6)


@places
def test_mix_is_the_weighted_mean_of_two_maps(place: str) -> None:
    labels, spacing = scene(place), SCENES[place][1]
    mix = {"mix": {"map": [{"edge_emphasis": 3}, {"power": 2}], "weight": 0.25}}
    made = composed_map(Composition.of(["boundary", mix]), labels, K, spacing)
    other = dense_of(edge_emphasis(labels, K, 3.0, spacing), labels)
    expected = 0.75 * boundary_map(labels, K, spacing) + 0.25 * other * other.abs()
    torch.testing.assert_close(made, expected)


def test_rrw_is_normalised_already() -> None:
    labels = scene("2d")
    plain, same = (
        composed_map(Composition.of(parts), labels, K)
        for parts in (["rrw"], ["rrw", {"normalise": "per_class"}])
    )
    torch.testing.assert_close(same, plain, rtol=0, atol=0)


def test_class_weights_emphasise_the_pixels_of_a_class_as_section_3_2_says() -> None:
    labels = torch.tensor([[[0, 0, 1, 1, 2]]])
    made = composed_map(Composition.of(["active_contour", {"class_weights": [1, 5, 1]}]), labels, 3)
    expected = [[0, 0, 5, 5, 1], [1, 1, 0, 0, 1], [1, 1, 5, 5, 0]]
    torch.testing.assert_close(expand(made, labels, 3)[0, :, 0], torch.tensor(expected).float())


def test_interpolated_distances_of_a_wrong_sign_make_nothing_infinite() -> None:
    labels = torch.tensor([[[0, 0, 1, 1]]])
    warped = torch.tensor([[[[-2.0, 0.2, -0.3, 2.0]], [[2.0, -0.2, 0.3, -2.0]]]])
    for t in (0.3, 0.9, 1):
        made = modified_map(Composition.of(["boundary", {"anneal": t}]), warped, labels, 2)
        dense = made if t < 1 else expand(made, labels, 2)
        assert dense.isfinite().all()


@pytest.mark.parametrize("t", [0.25, 0.5, 1.0])
def test_a_class_of_which_interpolation_leaves_slivers_alone_weighs_no_more_than_its_distances(
    t: float,
) -> None:
    """The only pixel of class 1 has a true entry above 0, so there is no distance to divide by."""
    labels = torch.tensor([[[0, 0, 1, 0]]])
    warped = torch.tensor([[[[-3.0, -1.0, 0.28, -2.0]], [[3.0, 1.0, 0.28, 2.0]]]])
    made = modified_map(Composition.of(["boundary", {"anneal": t}]), warped, labels, 2)
    dense = expand(made, labels, 2) if isinstance(made, RectifiedMap) else made
    assert dense[0, 1, 0, 2] == 0
    assert dense.abs().max() <= 3
