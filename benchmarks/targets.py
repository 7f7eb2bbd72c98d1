"""What we want to hold: ratios of two rows of a table that a benchmark leaves behind."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """The time of row `numerator` over that of row `denominator`, in `table` of `benchmark`.

    Exactly one of `least` and `most` bounds the median of the ratios of all rounds.
    """

    what: str
    benchmark: str
    table: str
    numerator: str
    denominator: str
    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        if (self.least is None) == (self.most is None):
            raise ValueError(
                f"{self.what}: expected one of least and most, got least={self.least}, most={self.most}"
            )

    @property
    def bound(self) -> str:
        """The target as a reader sees it."""
        return f"at least {self.least:g}" if self.most is None else f"at most {self.most:g}"

    def holds(self, median: float) -> bool:
        """Whether a measured median is within the bound."""
        return median >= self.least if self.least is not None else median <= (self.most or 0)


TARGETS = (
    Target(
        "RRW with a served map, forward and backward, over cross entropy",
        "losses",
        "forward and backward, 16 x 4 x 224 x 208",
        "RRW, compact map",
        "cross entropy",
        most=1.3,
    ),
    Target(
        "published RRW loss (maps by SciPy in every step) over ours with a served map",
        "losses_published",
        "RRW loss of a training step, 40 x 4 x 224 x 224",
        "published code",
        "map served",
        least=10,
    ),
    Target(
        "SciPy per class over ours: RRW map of a volume, one core",
        "maps",
        "RRW map",
        "SciPy per class",
        "rrw_map",
        least=10,
    ),
    Target(
        "SciPy per class over ours: boundary map of a volume, one core",
        "maps",
        "boundary map",
        "SciPy per class",
        "boundary_map",
        least=5,
    ),
    Target(
        "MONAI's HausdorffDTLoss over ours, forward and backward",
        "losses_hausdorff",
        "HausdorffDTLoss, 16 x 4 x 224 x 208",
        "MONAI",
        "rwseg",
        least=10,
    ),
    Target(
        "MONAI over ours: Dice, Hausdorff and 95th percentile of a volume, good prediction",
        "metrics",
        "volume, good prediction",
        "MONAI",
        "rwseg",
        least=4,
    ),
    Target(
        "MONAI over ours: the same with far false positives",
        "metrics",
        "volume, far false positives",
        "MONAI",
        "rwseg",
        least=4,
    ),
    Target(
        "MONAI's transforms over ours: a batch with nnU-Net's augmentation and map",
        "augmentation",
        "training batch",
        "MONAI, splines",
        "rwseg",
        least=4,
    ),
)
