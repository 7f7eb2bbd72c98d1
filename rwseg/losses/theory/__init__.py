"""Why a region-wise loss is stable or not: its gradient in closed form, the signs of it, and figures.

Functions of maps, logits and labels; the pictures that `rwseg theory OUT` draws of them are
`rwseg.report.figures`, and `docs/theory.md` explains them. The meter of a training is `training.diagnostics`.
"""

from rwseg.losses.theory.gradients import (
    cross_entropy_gradient,
    region_wise_gradient,
    squared_region_wise_gradient,
    two_class_gradient,
)
from rwseg.losses.theory.shares import AnnealedShares, ClassShares, annealed_shares, class_shares
from rwseg.losses.theory.signs import (
    TOLERANCE,
    map_wrong_sign_pixels,
    negative_components,
    right_for_every_softmax,
    wrong_sign_pixels,
    wrong_sign_share,
)

__all__ = [
    "TOLERANCE",
    "AnnealedShares",
    "ClassShares",
    "annealed_shares",
    "class_shares",
    "cross_entropy_gradient",
    "map_wrong_sign_pixels",
    "negative_components",
    "region_wise_gradient",
    "right_for_every_softmax",
    "squared_region_wise_gradient",
    "two_class_gradient",
    "wrong_sign_pixels",
    "wrong_sign_share",
]
