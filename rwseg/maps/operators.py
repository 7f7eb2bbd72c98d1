"""Compositions of maps computed; `torch.compile` leaves them whole, for it cannot look into their C++."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rwseg.maps.bases import BASES
from rwseg.maps.composition import MODIFIERS, Composition
from rwseg.maps.modifiers import known_pixels, mixed
from rwseg.maps.region_wise import RectifiedMap, RegionMap

ARGUMENTS = "(Tensor labels, str composition, int num_classes, float[]? spacing)"

torch.library.define("rwseg::region_map", f"{ARGUMENTS} -> Tensor")
torch.library.define("rwseg::rectified_region_map", f"{ARGUMENTS} -> (Tensor, Tensor)")


def composed_map(
    composition: Composition, labels: Tensor, num_classes: int, spacing: Sequence[float] | None = None
) -> RegionMap:
    """Return the map of integer labels `(B, *S)` that a composition describes.

    It is compact where the composition is rectified, else float32 `(B, K, *S)`. Raises `ValueError` for
    labels outside `[0, num_classes)`, a spacing that does not fit and another number of class weights.
    """
    if torch.compiler.is_compiling():
        arguments = (labels, composition.text, num_classes, spacing)
        if composition.is_rectified:
            return RectifiedMap(*torch.ops.rwseg.rectified_region_map(*arguments))
        dense: Tensor = torch.ops.rwseg.region_map(*arguments)
        return dense
    base = composition.base
    made = BASES[base.name].make(labels, num_classes, spacing=spacing, **base.arguments)
    return _modified(composition, made, labels, num_classes, spacing)


def modified_map(
    composition: Composition,
    base_map: RegionMap,
    labels: Tensor,
    num_classes: int,
    spacing: Sequence[float] | None = None,
) -> RegionMap:
    """Return what the modifiers of a composition make of its base map, which is given.

    The maps that it mixes in are computed of `labels`. Where that of a volume is 0, nothing is known, and
    the result is 0 too. Arguments and errors as in `composed_map`.
    """
    made = _modified(composition, base_map, labels, num_classes, spacing)
    return _kept(made, known_pixels(base_map)) if composition.lifts_zero else made


def _modified(
    composition: Composition,
    base_map: RegionMap,
    labels: Tensor,
    num_classes: int,
    spacing: Sequence[float] | None,
) -> RegionMap:
    for name, arguments in composition.modifiers:
        if name == "mix":
            other = composed_map(arguments["map"], labels, num_classes, spacing)
            base_map = mixed(base_map, other, labels, num_classes, arguments["weight"])
        else:
            base_map = MODIFIERS[name].change(base_map, labels, num_classes, **arguments)
    return base_map


def _kept(region_map: RegionMap, known: Tensor) -> RegionMap:
    """The map with 0 elsewhere."""
    if isinstance(region_map, RectifiedMap):
        return RectifiedMap(*(part * known for part in region_map))
    return region_map * known[:, None]


def _made(labels: Tensor, composition: str, num_classes: int, spacing: Sequence[float] | None) -> RegionMap:
    return composed_map(Composition.of_text(composition), labels, num_classes, spacing)


def _dense_shape(
    labels: Tensor, composition: str, num_classes: int, spacing: Sequence[float] | None
) -> Tensor:
    shape = (labels.shape[0], num_classes, *labels.shape[1:])
    return labels.new_empty(shape, dtype=torch.float32)


def _rectified_shape(
    labels: Tensor, composition: str, num_classes: int, spacing: Sequence[float] | None
) -> tuple[Tensor, Tensor]:
    inside = labels.new_empty(labels.shape, dtype=torch.float32)
    return inside, torch.empty_like(inside)


for _operator in ("rwseg::region_map", "rwseg::rectified_region_map"):
    torch.library.impl(_operator, "CompositeExplicitAutograd", _made)
torch.library.register_fake("rwseg::region_map", _dense_shape)
torch.library.register_fake("rwseg::rectified_region_map", _rectified_shape)
