"""Random compositions of maps and random labels, for properties that hold for all of them."""

from typing import Any

import torch
from hypothesis import strategies as st
from label_maps import blobs
from torch import Tensor

from rwseg.maps import MAP_NAMES

K = 4

SCENES: dict[str, tuple[tuple[int, ...], tuple[float, ...] | None]] = {
    "2d": ((3, 10, 15), None),
    "2d anisotropic": ((2, 12, 9), (1.5, 0.7)),
    "3d anisotropic": ((2, 4, 6, 9), (9.0, 1.4, 1.25)),
}

numbers = st.sampled_from([0.3, 1, 2.5])
bases = st.one_of(
    st.sampled_from(MAP_NAMES),
    st.builds(lambda width: {"edge_emphasis": width}, numbers),
    st.builds(lambda alpha: {"hausdorff": {"alpha": alpha}}, numbers),
    st.builds(lambda alpha, beta: {"constant": {"alpha": -alpha, "beta": -beta}}, numbers, numbers),
)
plain_modifiers = st.one_of(
    st.just("rectify"),
    st.builds(lambda per: {"normalise": per}, st.sampled_from(["per_class", "per_item", "none"])),
    st.builds(lambda weights: {"class_weights": weights}, st.lists(numbers, min_size=K, max_size=K)),
    st.builds(lambda exponent: {"power": exponent}, numbers),
    st.just({"clip": 2.2}),
)


@st.composite
def compositions(draw: st.DrawFn, depth: int = 1) -> list[Any]:
    """A list that `Composition.of` takes."""
    parts = [draw(bases)]
    if parts[0] in ("boundary", "boundary_kervadec") and draw(st.booleans()):
        parts += [*draw(st.sampled_from([[], ["rectify"]])), {"anneal": draw(st.sampled_from([0, 0.4, 1]))}]
    modifiers = plain_modifiers
    if depth:
        mix = st.builds(
            lambda inner, weight: {"mix": {"map": inner, "weight": weight}},
            compositions(depth - 1),
            st.sampled_from([0.25, 0.5]),
        )
        modifiers = st.one_of(plain_modifiers, mix)
    return [*parts, *_with_one_power(draw(st.lists(modifiers, max_size=3)))]


def _with_one_power(parts: list[Any]) -> list[Any]:
    """The parts without a second power: of several, float32 leaves nothing or infinity."""
    powers = [number for number, part in enumerate(parts) if "power" in part]
    return [part for number, part in enumerate(parts) if number not in powers[1:]]


def scene(name: str, seed: int = 0) -> Tensor:
    """Class 3 is absent of the first item, and the last is of one class."""
    labels = blobs(SCENES[name][0], K, seed=seed, size=3)
    labels[0].clamp_(max=2)
    labels[-1] = 1
    return labels


def dense_of(made: Any, labels: Tensor) -> Tensor:
    """The dense map, by `torch.where` instead of a scatter."""
    if isinstance(made, Tensor):
        return made
    own = labels[:, None] == torch.arange(K).view(1, -1, *[1] * (labels.ndim - 1))
    return torch.where(own, made.inside[:, None], made.outside[:, None])
