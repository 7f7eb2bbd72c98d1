"""The studies that come with rwseg: packed runs to compare new ones with."""

from pathlib import Path

from rwseg.core.errors import ConfigError
from rwseg.experiments.config.names import suggestion
from rwseg.report.comparison.packed_runs import CASES

_PACKAGE = Path(__file__).resolve().parents[1]
_WHEEL, _CHECKOUT = _PACKAGE / "baselines", _PACKAGE.parent / "docs" / "results"
BASELINES = _WHEEL if _WHEEL.is_dir() else _CHECKOUT
"""Packed studies: `docs/results/` of a checkout, which a wheel holds as `rwseg/baselines` (setup.py)."""

ALLOWED = ("commit", "device")
"""What new runs can hardly have in common with stored ones; the report says how they differ in it."""


def baseline_folder(name: str) -> Path:
    """The folder of a study by its name; `ConfigError` for one that does not come with rwseg."""
    known = sorted(path.parent.name for path in BASELINES.glob(f"*/{CASES}"))
    if name not in known:
        raise ConfigError(
            f"--baseline {name}: expected one of the studies {', '.join(known)}, got another name"
            f"{suggestion(name, known)}; packed runs of your own are given like run directories"
        )
    return BASELINES / name
