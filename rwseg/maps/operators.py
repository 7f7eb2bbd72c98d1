"""The maps as operators of PyTorch, which `torch.compile` leaves whole: it cannot look into their C++."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rwseg.maps.region_wise import RectifiedMap, rectified_region_map, region_map

ARGUMENTS = "(Tensor labels, str name, int num_classes, float[]? spacing)"

torch.library.define("rwseg::region_map", f"{ARGUMENTS} -> Tensor")
torch.library.define("rwseg::rectified_region_map", f"{ARGUMENTS} -> (Tensor, Tensor)")


def traced_map(
    name: str, labels: Tensor, num_classes: int, spacing: Sequence[float] | None, rectified: bool
) -> Tensor | RectifiedMap:
    """Return `rwseg.maps.region_map`, or `rectified_region_map`, for code that `torch.compile` traces."""
    arguments = (labels, name, num_classes, spacing)
    if rectified:
        return RectifiedMap(*torch.ops.rwseg.rectified_region_map(*arguments))
    dense: Tensor = torch.ops.rwseg.region_map(*arguments)
    return dense


@torch.library.impl("rwseg::region_map", "CompositeExplicitAutograd")
def _dense(labels: Tensor, name: str, num_classes: int, spacing: Sequence[float] | None) -> Tensor:
    return region_map(name, labels, num_classes, spacing)


@torch.library.impl("rwseg::rectified_region_map", "CompositeExplicitAutograd")
def _rectified(labels: Tensor, name: str, num_classes: int, spacing: Sequence[float] | None) -> RectifiedMap:
    return rectified_region_map(name, labels, num_classes, spacing)


def _dense_shape(labels: Tensor, name: str, num_classes: int, spacing: Sequence[float] | None) -> Tensor:
    shape = (labels.shape[0], num_classes, *labels.shape[1:])
    return labels.new_empty(shape, dtype=torch.float32)


def _rectified_shape(
    labels: Tensor, name: str, num_classes: int, spacing: Sequence[float] | None
) -> tuple[Tensor, Tensor]:
    inside = labels.new_empty(labels.shape, dtype=torch.float32)
    return inside, torch.empty_like(inside)


torch.library.register_fake("rwseg::region_map", _dense_shape)
torch.library.register_fake("rwseg::rectified_region_map", _rectified_shape)
