"""A tracker for the time of a run."""

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.utils import instantiate
from omegaconf import DictConfig

from rwseg.tracking.identity import Identity
from rwseg.tracking.mirror import Tracker


@contextmanager
def tracked(cfg: DictConfig, identity: Identity) -> Iterator[Tracker | None]:
    """Yield the tracker that `cfg.logger` names (None for csv); end it with the run, also a failing one."""
    if not cfg.logger:
        yield None
        return
    tracker: Tracker = instantiate(cfg.logger, _partial_=True)(cfg=cfg, identity=identity)
    success = False
    try:
        yield tracker
        success = True
    finally:
        tracker.close(success)
