"""What we want to hold: times of the rows of a table that a benchmark leaves behind, mostly ratios of two."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """The time of row `numerator` over that of row `denominator`, in `table` of `benchmark`.

    Without a denominator, the time itself in seconds. Exactly one of `least` and `most` bounds the median of
    all rounds. `needs` says what a machine that leaves the numerator or denominator out lacks.
    """

    what: str
    benchmark: str
    table: str
    numerator: str
    denominator: str | None
    least: float | None = None
    most: float | None = None
    needs: str | None = None

    def __post_init__(self) -> None:
        if (self.least is None) == (self.most is None):
            raise ValueError(
                f"{self.what}: expected one of least and most, got least={self.least}, most={self.most}"
            )

    @property
    def bound(self) -> str:
        """The target as a reader sees it."""
        unit = "" if self.denominator else " s"
        return (f"at least {self.least:g}" if self.most is None else f"at most {self.most:g}") + unit

    def holds(self, median: float) -> bool:
        """Whether a measured median is within the bound."""
        return median >= self.least if self.least is not None else median <= (self.most or 0)


FIRST = ""
"""The first table of a part, whatever its data are called."""

BF16 = "a processor with bfloat16"
STEP = "acdc, training step on cpu, 38x256x224"

TARGETS = (
    Target(
        "RRW with a precomputed map, forward and backward, over cross entropy",
        "losses",
        "forward and backward, 16 x 4 x 224 x 208",
        "RRW, compact map",
        "cross entropy",
        most=1.3,
    ),
    Target(
        "published RRW loss (maps by SciPy in every step) over ours with a precomputed map",
        "losses_published",
        "RRW loss of a training step, 40 x 4 x 224 x 224",
        "published code",
        "map precomputed",
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
        "SciPy per class over ours: the same map in the compact form that training precomputes",
        "maps",
        "RRW map",
        "SciPy per class",
        "rectified_rrw_map",
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
    Target(
        "nnU-Net's training step over ours, the paper's ACDC network and batch, 32 bit",
        "training_step_nnunet",
        STEP,
        "nnU-Net v2",
        "rwseg, fp32",
        least=1,
    ),
    Target(
        "the same, ours with bfloat16",
        "training_step_nnunet",
        STEP,
        "nnU-Net v2",
        "rwseg, bf16",
        least=1.5,
        needs=BF16,
    ),
    Target(
        "our training step in 32 bit over bfloat16, laptop size, processor time",
        "precision",
        "laptop, training step, 10x64x64",
        "rwseg, fp32",
        "rwseg, bf16",
        least=1,
        needs=BF16,
    ),
    Target(
        "the same, the paper's ACDC network and batch",
        "precision",
        "paper, training step, 38x256x224",
        "rwseg, fp32",
        "rwseg, bf16",
        least=2,
        needs=f"{BF16} and some minutes",
    ),
    Target("train.py --help", "startup", "train.py --help", "rwseg", None, most=1.5),
    Target("train.py with a mistyped key", "startup", "train.py, a mistyped key", "rwseg", None, most=1.5),
)

FASTER = "a GPU with bfloat16"
PEER = "a GPU with bfloat16, and nnunetv2"

GPU_TARGETS = (
    Target(
        "nnU-Net's training step over ours, the paper's ACDC network and batch",
        "training_step_nnunet",
        FIRST,
        "nnU-Net v2",
        "rwseg, bf16",
        least=2,
        needs=PEER,
    ),
    Target(
        "share of the network in our step",
        "training_step_nnunet",
        FIRST,
        "rwseg, bf16, network",
        "rwseg, bf16",
        least=0.85,
        needs=FASTER,
    ),
    Target(
        "MONAI's transforms over ours: a batch with nnU-Net's augmentation and map",
        "augmentation",
        FIRST,
        "MONAI, splines",
        "rwseg",
        least=4,
    ),
    Target(
        "runs one after another over six at a time",
        "packed",
        FIRST,
        "one after another",
        "6 at a time",
        least=3,
    ),
)
"""Of a part of benchmarks/gpu_check.py."""
