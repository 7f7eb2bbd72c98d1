"""Region-wise maps: the weight `z_ik` of pixel i and class k, and the exact distances in it.

Functions of labels, for any number of classes, in 2D and 3D; what a loss makes of a map is
`rwseg.losses`.
"""

from rwseg.maps.region_wise import (
    MAP_NAMES,
    RECTIFIED_MAP_NAMES,
    RectifiedMap,
    active_contour_map,
    boundary_kervadec_map,
    boundary_map,
    check_map_name,
    compact,
    constant_map,
    expand,
    hausdorff_map,
    is_rectified,
    rectified_region_map,
    rectified_rrw_map,
    rectify,
    region_map,
    rrw_map,
    rrw_weights,
)

__all__ = [
    "MAP_NAMES",
    "RECTIFIED_MAP_NAMES",
    "RectifiedMap",
    "active_contour_map",
    "boundary_kervadec_map",
    "boundary_map",
    "check_map_name",
    "compact",
    "constant_map",
    "expand",
    "hausdorff_map",
    "is_rectified",
    "rectified_region_map",
    "rectified_rrw_map",
    "rectify",
    "region_map",
    "rrw_map",
    "rrw_weights",
]
