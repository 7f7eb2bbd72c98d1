"""A loss as a command line names it: an own class or function, an option of `loss`, and its arguments."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rwseg.core.errors import ConfigError
from rwseg.experiments.composition import preflight
from rwseg.experiments.config.targets import CUSTOM, displayed

if TYPE_CHECKING:
    from rwseg.experiments.config.schema import TrainConfig
    from rwseg.losses import SegmentationLoss

AS_GIVEN = ("loss", "+loss", "~loss", "hydra.")
"""Words that are passed on as they are; others are arguments of the loss."""


class NamedLoss(NamedTuple):
    """The name that tables give a loss, and the configuration that has it."""

    name: str
    cfg: "TrainConfig"

    def build(self) -> "SegmentationLoss":
        """The loss without a partner; `ConfigError` where it cannot be made. This imports PyTorch."""
        from hydra.errors import InstantiationException

        from rwseg.losses import build_loss

        try:
            return build_loss(self.cfg).main
        except InstantiationException as error:
            raise ConfigError(str(error)) from error


def named_loss(words: Sequence[str], config_dir: Path | None = None, beside: Sequence[str] = ()) -> NamedLoss:
    """The one loss that `words` name; `ConfigError` where they name none, or several.

    `beside` are overrides of other groups, as `rwseg train` takes them.
    """
    folder = [] if config_dir is None else ["--config-dir", str(config_dir)]
    jobs = preflight("train", ["-m", *folder, *overrides_of(words), *beside])
    if len(jobs) != 1:
        raise ConfigError(f"expected one loss, got {len(jobs)}; give one value of each")
    cfg, choices = jobs[0]
    return NamedLoss(displayed(cfg, choices)["loss"], cfg)


def overrides_of(words: Sequence[str]) -> list[str]:
    """Overrides as `rwseg train` takes them; `ConfigError` where no loss is named, or two."""
    names = [word for word in words if "=" not in word and not word.startswith("~")]
    rest = [word for word in words if word not in names]
    given = [word for word in rest if word.startswith("loss=")]
    if len(names) + len(given) != 1:
        got = " ".join(names + given) or "none"
        raise ConfigError(f"expected one loss, such as mine.MyLoss, rrw or loss=mine, got {got}")
    is_path = any("." in name for name in names)
    chosen = [f"loss={name}" for name in names]
    if is_path:
        chosen = [f"loss={CUSTOM}", f"loss._target_={names[0]}"]
    prefix = "+loss." if is_path else "loss."
    return [*chosen, *(word if word.startswith(AS_GIVEN) else f"{prefix}{word}" for word in rest)]
