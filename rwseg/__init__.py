"""rwseg: region-wise losses for 2D biomedical image segmentation (Valverde and Tohka, 2023).

Here stands what a notebook starts from, imported when it is first asked for; everything else is imported from
its package.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = ["RRWLoss", "RegionWiseLoss", "__version__", "load_run", "rrw_map", "supervised_loss"]

if TYPE_CHECKING:
    from rwseg.experiments.load_run import load_run
    from rwseg.losses import RegionWiseLoss, RRWLoss, supervised_loss
    from rwseg.maps import rrw_map
else:
    _PACKAGES = {
        "RRWLoss": "rwseg.losses",
        "RegionWiseLoss": "rwseg.losses",
        "load_run": "rwseg.experiments.load_run",
        "rrw_map": "rwseg.maps",
        "supervised_loss": "rwseg.losses",
    }

    def __getattr__(name: str) -> object:
        if name not in _PACKAGES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_PACKAGES[name]), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
