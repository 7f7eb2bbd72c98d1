"""Strategies: a region-wise loss alone, or together with a partner such as Dice or cross entropy.

The equal and the gradual strategy are those of Kervadec et al., "Boundary loss for highly unbalanced
segmentation", as Valverde and Tohka (2023) use them in section 4.4.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, final, get_args

from torch import Tensor, nn

from rwseg.losses.base import FinalMap, RegionMap
from rwseg.losses.foreign import as_segmentation_loss

Mode = Literal["alone", "equal", "gradual"]


@final
class CombinedLoss(nn.Module):
    """`main` alone, `partner + main` (equal) or `alpha * partner + (1 - alpha) * main` (gradual).

    Both are any callables `(logits, labels) -> scalar`, as `rwseg.losses.foreign` calls them.
    `alpha = max(1 - alpha_step * epoch, alpha_floor)` with the 0-based epoch of `set_epoch`. The map passed
    to a call is the main loss's; `map_name` and `rectified` are those of `main`. Raises `ValueError` for an
    unknown mode, a partner too many or too few, a negative step and a floor outside `[0, 1]`.
    """

    def __init__(
        self,
        main: Callable[..., Any],
        partner: Callable[..., Any] | None = None,
        mode: Mode = "alone",
        alpha_step: float = 0.01,
        alpha_floor: float = 0.01,
    ) -> None:
        super().__init__()
        if mode not in get_args(Mode):
            raise ValueError(f"mode: expected one of {', '.join(get_args(Mode))}, got {mode!r}")
        if (partner is None) != (mode == "alone"):
            got = "no partner" if partner is None else type(partner).__name__
            expected = "no partner" if mode == "alone" else "a partner loss such as DiceLoss()"
            raise ValueError(f"partner: mode {mode!r} expects {expected}, got {got}")
        if not 0 <= alpha_step < math.inf or not 0 <= alpha_floor <= 1:
            raise ValueError(
                f"expected a finite alpha_step >= 0 and alpha_floor in [0, 1], got alpha_step={alpha_step}, "
                f"alpha_floor={alpha_floor}"
            )
        self.main = as_segmentation_loss(main)
        self.partner = None if partner is None else as_segmentation_loss(partner)
        self.mode = mode
        self.alpha_step, self.alpha_floor = alpha_step, alpha_floor
        self.map_name, self.rectified = self.main.map_name, self.main.rectified
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the 0-based epoch that `alpha` follows; `ValueError` for a negative one."""
        if epoch < 0:
            raise ValueError(f"epoch: expected 0 or more, got {epoch}")
        self.epoch = epoch

    @property
    def alpha(self) -> float:
        """The partner's weight at the present epoch under the gradual strategy."""
        return max(1 - self.alpha_step * self.epoch, self.alpha_floor)

    def terms(
        self, logits: Tensor, labels: Tensor, region_map: RegionMap | FinalMap | None = None
    ) -> dict[str, Tensor]:
        """Return the unweighted terms: `main` and, unless the mode is alone, `partner`."""
        terms = {"main": self.main(logits, labels, region_map)}
        if self.partner is not None:
            terms["partner"] = self.partner(logits, labels)
        return terms

    def forward(
        self, logits: Tensor, labels: Tensor, region_map: RegionMap | FinalMap | None = None
    ) -> Tensor:
        """Return the weighted sum of the terms, a scalar; logits `(B, K, *S)`, labels `(B, *S)`."""
        terms = self.terms(logits, labels, region_map)
        if self.mode == "alone":
            return terms["main"]
        if self.mode == "equal":
            return terms["partner"] + terms["main"]
        return self.alpha * terms["partner"] + (1 - self.alpha) * terms["main"]
