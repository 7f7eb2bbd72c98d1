"""The maps by their names, and what each needs to know: the one registry of functions labels -> map."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rwseg.core.validation import check_labels, check_spacing
from rwseg.maps.emphasis import border_between_instances, edge_emphasis, skeleton
from rwseg.maps.region_wise import (
    RectifiedMap,
    RegionMap,
    boundary_kervadec_map,
    boundary_map,
    compact,
    expand,
    hausdorff_map,
    rectified_rrw_map,
)

Spacing = Sequence[float] | None


class Argument(NamedTuple):
    """What the value of an argument must be, in words; `needed` where there is no default."""

    fits: Callable[[Any], bool]
    expected: str
    needed: bool = True


LARGEST, SMALLEST = 1e6, 1e-6
"""Of numbers in a composition: their products with distances are numbers in 32 bits."""

HIGHEST = 8
"""Of exponents: 10,000 mm to this power is."""


def is_number(value: Any) -> bool:
    """Whether it is a number of at most `LARGEST`, on either side of 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST


def is_positive(value: Any) -> bool:
    """Whether it is a number from `SMALLEST` to `LARGEST`."""
    return is_number(value) and value >= SMALLEST


POSITIVE = Argument(is_positive, f"a number above 0, from {SMALLEST:g} to {LARGEST:g}")
EXPONENT = Argument(
    lambda value: is_positive(value) and value <= HIGHEST, f"a number above 0, at most {HIGHEST}"
)


class Base(NamedTuple):
    """A map: `make(labels, num_classes, spacing=..., **arguments)`, in compact form if it is rectified.

    The true class of a pixel weighs 0 or less in all of them, the others 0 or more.
    """

    make: Callable[..., RegionMap]
    is_rectified: bool
    arguments: Mapping[str, Argument] = {}


def _constant(
    labels: Tensor, num_classes: int, alpha: float = 0.0, beta: float = -1.0, spacing: Spacing = None
) -> RectifiedMap:
    check_labels(labels, num_classes)
    check_spacing(spacing, labels.ndim - 1)  # no distances here, but a wrong spacing is an error all the same
    weights = (torch.full(labels.shape, float(weight), device=labels.device) for weight in (alpha, -beta))
    return RectifiedMap(*weights)


OPTIONAL = POSITIVE._replace(needed=False)
NEGATIVE = Argument(
    lambda value: is_number(value) and value < 0,
    f"a number below 0, so that errors cost, not below -{LARGEST:g}",
)
NOT_POSITIVE = Argument(
    lambda value: is_number(value) and value <= 0, f"a number of 0 or less, not below -{LARGEST:g}"
)

BASES: Mapping[str, Base] = {
    "active_contour": Base(_constant, True),
    "border_between_instances": Base(border_between_instances, True, {"w0": OPTIONAL, "sigma": OPTIONAL}),
    "boundary": Base(boundary_map, False),
    "boundary_kervadec": Base(boundary_kervadec_map, False),
    "constant": Base(_constant, True, {"alpha": NOT_POSITIVE, "beta": NEGATIVE}),
    "edge_emphasis": Base(edge_emphasis, True, {"width": POSITIVE}),
    "hausdorff": Base(hausdorff_map, False, {"alpha": EXPONENT._replace(needed=False)}),
    "rrw": Base(rectified_rrw_map, True),
    "skeleton": Base(skeleton, True),
}

MAP_NAMES = tuple(
    name for name, base in BASES.items() if not any(one.needed for one in base.arguments.values())
)
"""Those that need no argument."""

RECTIFIED_MAP_NAMES = tuple(name for name in MAP_NAMES if BASES[name].is_rectified)


def check_map_name(name: str, names: tuple[str, ...] = MAP_NAMES) -> None:
    """Raise `ValueError` unless `name` is one of `names`."""
    if name not in names:
        raise ValueError(f"region map: expected one of {', '.join(names)}, got {name!r}")


def region_map(name: str, labels: Tensor, num_classes: int, spacing: Spacing = None) -> Tensor:
    """Return the dense map called `name`, one of `MAP_NAMES`; `ValueError` for another name."""
    check_map_name(name)
    made = BASES[name].make(labels, num_classes, spacing=spacing)
    return expand(made, labels, num_classes) if isinstance(made, RectifiedMap) else made


def rectified_region_map(
    name: str, labels: Tensor, num_classes: int, spacing: Spacing = None
) -> RectifiedMap:
    """Return the map called `name`, one of `MAP_NAMES`, in compact form, rectified where it is not.

    The K channels of the maps in `RECTIFIED_MAP_NAMES` are never built.
    """
    check_map_name(name)
    made = BASES[name].make(labels, num_classes, spacing=spacing)
    return made if isinstance(made, RectifiedMap) else compact(made, labels)
