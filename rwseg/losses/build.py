"""From the composed configuration to the loss that is trained."""

from typing import Any

from rwseg.core.errors import ConfigError
from rwseg.losses.base import SegmentationLoss
from rwseg.losses.combined import CombinedLoss


def build_loss(cfg: Any) -> CombinedLoss:
    """Return the loss that `cfg.loss` and `cfg.strategy` describe.

    `cfg` is a checked configuration or one of Hydra's: `cfg.loss` holds a `_target_`, `cfg.strategy` the
    keys mode, partner, alpha_step and alpha_floor. Raises `ConfigError` where a `_target_` is no segmentation
    loss and `ValueError` for a strategy that does not fit together.
    """
    strategy = cfg.strategy
    return CombinedLoss(
        main=_instantiate("loss", cfg.loss),
        partner=None if strategy.partner is None else _instantiate("strategy.partner", strategy.partner),
        mode=strategy.mode,
        alpha_step=strategy.alpha_step,
        alpha_floor=strategy.alpha_floor,
    )


def _instantiate(name: str, cfg: Any) -> SegmentationLoss:
    import hydra.utils  # here, so that the losses can be used where Hydra is not installed

    loss = hydra.utils.instantiate(cfg)
    if not isinstance(loss, SegmentationLoss):
        raise ConfigError(
            f"{name}: expected a loss with map_name, rectified and forward(logits, labels, region_map=None), "
            f"as in rwseg.losses, got {type(loss).__name__}; check {name}._target_"
        )
    return loss
