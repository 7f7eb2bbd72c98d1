"""Losses and strategies of a composed configuration against the formulas of the paper's published code.

Valverde and Tohka's code computes the maps per item and class by SciPy in pixels, counts the background as a
class, and takes `a = max((100 - epoch) / 100, 0.01)` for the gradual strategies, epochs from 0.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from references import Array, Example, example
from scipy.ndimage import distance_transform_edt

from rwseg.experiments.composition import compose
from rwseg.losses import build_loss

EPOCHS = (0, 30, 150)
SHAPES = {"slices": (3, 24, 37), "volume": (2, 6, 11, 9)}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def scene(shape: tuple[int, ...]) -> Example:
    """Random predictions of four classes, all of them in every item: a box in a box, and a corner."""
    e = example(shape, classes=4, present=4)
    labels = torch.zeros_like(e.labels)
    labels[(slice(None), *(slice(n // 4, n - n // 5) for n in shape[1:]))] = 1
    labels[(slice(None), *(slice(n // 3, n // 2 + 1) for n in shape[1:]))] = 2
    labels[(slice(None), *(slice(0, 2) for _ in shape[1:]))] = 3
    labels[0, ..., -1] = 2
    y = np.stack([labels.numpy() == k for k in range(4)], axis=1).astype(float)
    assert y.reshape(len(labels), 4, -1).any(-1).all()
    return Example(e.logits, labels, e.p, y)


def per_item_and_class(y: Array, weigh: Callable[[Array], Array]) -> Array:
    maps = [weigh(mask) for mask in y.reshape(-1, *y.shape[2:])]
    return np.stack(maps).reshape(y.shape)


def boundary_weights(mask: Array) -> Array:
    weights: Array = distance_transform_edt(1 - mask) - distance_transform_edt(mask)
    return weights


def rrw_weights(mask: Array) -> Array:
    z = -distance_transform_edt(mask)
    z = z / np.max(np.abs(z) + 1e-15)
    z[z == 0] = 1
    weights: Array = z
    return weights


def dice(e: Example) -> float:
    pixels = tuple(range(2, e.p.ndim))
    return float(1 - np.mean(2 * np.sum(e.p * e.y, pixels) / (np.sum(e.p + e.y, pixels) + 1e-6)))


def ce(e: Example) -> float:
    return float(-np.mean(np.sum(e.y * np.log(e.p + 1e-15), axis=1)))


def focal(e: Example) -> float:
    return float(np.mean(np.sum(-1 * (1 - e.p + 1e-15) ** 2 * e.y * np.log(e.p + 1e-15), axis=1)))


def rw_boundary(e: Example) -> float:
    return float(np.mean(e.p * per_item_and_class(e.y, boundary_weights)))


def rrw(e: Example) -> float:
    return float(np.mean(e.p * per_item_and_class(e.y, rrw_weights)))


SINGLE = {"rrw": rrw, "rw_boundary": rw_boundary, "dice": dice, "ce": ce, "focal": focal}


def value(e: Example, loss: str, strategy: str, epoch: int) -> float:
    cfg, _ = compose("train", [f"loss={loss}", f"strategy={strategy}"])
    combined = build_loss(cfg)
    combined.set_epoch(epoch)
    return float(combined(e.logits, e.labels))


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize("loss", SINGLE)
@every_shape
def test_a_loss_alone_is_the_published_one(shape: tuple[int, ...], loss: str, epoch: int) -> None:
    e = scene(shape)
    assert value(e, loss, "alone", epoch) == pytest.approx(SINGLE[loss](e), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize("partner", ["dice", "ce"])
@pytest.mark.parametrize("mode", ["equal", "gradual"])
@pytest.mark.parametrize("loss", ["rrw", "rw_boundary"])
@every_shape
def test_a_combination_is_the_published_one(
    shape: tuple[int, ...], loss: str, mode: str, partner: str, epoch: int
) -> None:
    e = scene(shape)
    a = max((100 - epoch) / 100, 0.01)
    first, second = (1, 1) if mode == "equal" else (a, 1 - a)
    expected = first * SINGLE[partner](e) + second * SINGLE[loss](e)
    assert value(e, loss, f"{mode}_{partner}", epoch) == pytest.approx(expected, rel=1e-5, abs=1e-5)
