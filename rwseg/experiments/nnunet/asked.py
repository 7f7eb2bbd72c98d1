"""What a trainer of nnU-Net is asked for: its loss in words, and a schedule other than nnU-Net's."""

import os
import shlex
from collections.abc import Sequence
from typing import TypedDict

from rwseg.core.errors import ConfigError
from rwseg.core.own_code import import_from_current_folder
from rwseg.experiments.config.validation import plain
from rwseg.experiments.named_loss import named_loss
from rwseg.experiments.sources import Sources, changes, own_sources

LOSS, SCHEDULE = "RWSEG_LOSS", "RWSEG_SCHEDULE"
"""The environment variables that are read."""

EXAMPLE = "RWSEG_LOSS='rw_boundary rectify=true strategy=equal_dice'"

SETTINGS = {
    "num_epochs": int,
    "num_iterations_per_epoch": int,
    "num_val_iterations_per_epoch": int,
    "save_every": int,
    "initial_lr": float,
    "weight_decay": float,
    "oversample_foreground_percent": float,
}
"""The attributes of nnU-Net's trainer that `RWSEG_SCHEDULE` may set, with their types."""


class Asked(TypedDict):
    """A loss as a checkpoint keeps it: as it was given, as it is built, and the hashes of its own code."""

    words: str
    loss: dict[str, object]
    strategy: dict[str, object]
    sources: Sources


def asked_loss(words: Sequence[str]) -> Asked:
    """The loss that `words` name, as `rwseg check-loss` takes them, with a strategy beside it.

    Raises `ConfigError` where they name none, or several.
    """
    import_from_current_folder()
    strategy = [word for word in words if word.startswith(("strategy=", "strategy."))]
    named = named_loss([word for word in words if word not in strategy], beside=strategy)
    content = plain(named.cfg)
    return _asked(shlex.join(words), content["loss"], content["strategy"])


def _asked(words: str, loss: dict[str, object], strategy: dict[str, object]) -> Asked:
    sources = own_sources({"loss": loss, "strategy": strategy})
    return Asked(words=words, loss=loss, strategy=strategy, sources=sources)


def words_in_environment() -> tuple[str, ...]:
    """The words of `RWSEG_LOSS`, none where it is not set."""
    return tuple(shlex.split(os.environ.get(LOSS, "")))


def to_go_on_with(saved: Asked | None, words: Sequence[str], where: str) -> Asked:
    """The loss that `words` name or, where there are none, the one that `saved` has; raises as `check_same`.

    `where` is what `saved` was found in. Raises `ConfigError` where neither names a loss.
    """
    if words:
        asked = asked_loss(words)
    elif saved is not None:
        import_from_current_folder()
        asked = _asked(saved["words"], saved["loss"], saved["strategy"])
    else:
        raise ConfigError(f"{LOSS}: expected a loss, such as {EXAMPLE}, found none, and none in {where}")
    check_same(saved or asked, asked, where)
    return asked


def check_same(saved: Asked, asked: Asked, where: str) -> None:
    """Raise `ConfigError` unless `asked` is the loss that `where` has, by the same code where that is own."""
    if (asked["loss"], asked["strategy"]) != (saved["loss"], saved["strategy"]):
        raise ConfigError(
            f"{where}: expected its own loss, {saved['words']}, got {asked['words']}; leave {LOSS} unset to "
            "go on with its own, or train the other one below another folder (nnUNet_results)"
        )
    lines = list(changes(saved["sources"], asked["sources"]))
    if lines:
        raise ConfigError(
            "\n".join([f"{where}: expected its loss in the code that it was trained with:", *lines])
        )


def schedule_in_environment() -> dict[str, int | float]:
    """The settings of `RWSEG_SCHEDULE` (`num_epochs=250 initial_lr=1e-3`), none where it is not set.

    Raises `ConfigError` for another name than those in `SETTINGS`, and for no positive number.
    """
    return dict(_setting(word) for word in shlex.split(os.environ.get(SCHEDULE, "")))


def _setting(word: str) -> tuple[str, int | float]:
    name, _, text = word.partition("=")
    try:
        value = SETTINGS[name](text)
        if value > 0:
            return name, value
    except (KeyError, ValueError):
        pass
    raise ConfigError(
        f"{SCHEDULE}: expected NAME=NUMBER, a positive number of {', '.join(SETTINGS)}, got '{word}'"
    )
