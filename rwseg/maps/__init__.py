"""Region-wise maps: the weight `z_ik` of pixel i and class k, and the exact distances in it.

Functions of labels, for any number of classes, in 2D and 3D; what a loss makes of a map is
`rwseg.losses`.
"""

from rwseg.maps.bases import (
    BASES,
    MAP_NAMES,
    RECTIFIED_MAP_NAMES,
    check_map_name,
    rectified_region_map,
    region_map,
)
from rwseg.maps.composition import MODIFIERS, Composition
from rwseg.maps.emphasis import border_between_instances, edge_emphasis, skeleton
from rwseg.maps.operators import composed_map, modified_map
from rwseg.maps.region_wise import (
    RectifiedMap,
    RegionMap,
    active_contour_map,
    boundary_kervadec_map,
    boundary_map,
    compact,
    constant_map,
    expand,
    hausdorff_map,
    is_rectified,
    rectified_rrw_map,
    rectify,
    rrw_map,
    rrw_weights,
)

__all__ = [
    "BASES",
    "MAP_NAMES",
    "MODIFIERS",
    "RECTIFIED_MAP_NAMES",
    "Composition",
    "RectifiedMap",
    "RegionMap",
    "active_contour_map",
    "border_between_instances",
    "boundary_kervadec_map",
    "boundary_map",
    "check_map_name",
    "compact",
    "composed_map",
    "constant_map",
    "edge_emphasis",
    "expand",
    "hausdorff_map",
    "is_rectified",
    "modified_map",
    "rectified_region_map",
    "rectified_rrw_map",
    "rectify",
    "region_map",
    "rrw_map",
    "rrw_weights",
    "skeleton",
]
