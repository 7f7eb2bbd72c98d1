"""From the composed configuration to the loss that is trained."""

from typing import Any

from rwseg.core.errors import ConfigError
from rwseg.losses.base import SegmentationLoss
from rwseg.losses.combined import CombinedLoss
from rwseg.losses.foreign import as_segmentation_loss


def build_loss(cfg: Any) -> CombinedLoss:
    """Return the loss that `cfg.loss` and `cfg.strategy` describe.

    `cfg` is a checked configuration or one of Hydra's: `cfg.loss` holds a `_target_`, any callable
    `(logits, labels) -> scalar`; `cfg.strategy` the keys mode, partner, alpha_step and alpha_floor. Raises
    `ConfigError` where a `_target_` gives nothing that can be called, or that wants a map which there is not,
    and `ValueError` for a strategy that does not fit together.
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

    loss = hydra.utils.instantiate(cfg, _convert_="all")
    try:
        return as_segmentation_loss(loss)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}; check {name}._target_") from error
