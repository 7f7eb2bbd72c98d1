"""Overrides of a command line: what is wrong with them, what was probably meant, and applying them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rwseg.config import CONF, Choices
from rwseg.keys import suggestion

UNTYPED = ("loss.", "logger.", "callbacks.", "strategy.partner.")
"""Settings that the schema leaves to the chosen file: their types are those of the file's values."""

OPEN = ("logger.", "callbacks.")
"""What is below these may be added and removed: arguments and classes of Lightning that we do not list."""

SET_ELSEWHERE = {
    "trainer.max_epochs": "schedule.epochs",
    "trainer.gradient_clip_val": "schedule.clip_norm",
    "trainer.check_val_every_n_epoch": "evaluation.every",
    "trainer.callbacks": "callbacks",
    "trainer.logger": "logger",
    "trainer.default_root_dir": "output_root",
}
"""Arguments of Lightning's Trainer that have a setting of their own."""


@dataclass(frozen=True)
class Setting:
    """An override with one value: itself, or one of those that it sweeps over."""

    override: Override
    text: str

    @property
    def key(self) -> str:
        """`loss` or `schedule.epochs`."""
        return self.override.key_or_group

    @property
    def options(self) -> list[str]:
        """The value as text; several where a group takes a list."""
        if self.override.is_sweep_override():
            return [self.text.partition("=")[2]]
        value = self.override.value()
        return [str(item) for item in value] if isinstance(value, list) else [str(value)]

    @property
    def is_open(self) -> bool:
        """Whether it adds or removes something where that is allowed."""
        changes = self.override.is_add() or self.override.is_force_add() or self.override.is_delete()
        return changes and self.key.startswith(OPEN)


def form_faults(setting: Setting, defaults: Choices) -> Iterator[str]:
    """Removals, and groups that are added instead of chosen."""
    override, key = setting.override, setting.key
    if override.is_delete() and not setting.is_open:
        yield f"'{setting.text}': nothing can be removed, every setting is needed; give {key} another value"
    elif key in defaults and (override.is_add() or override.is_force_add() or override.package):
        yield f"'{setting.text}': a group is chosen as {key}=OPTION, without + and @"


def option_faults(setting: Setting) -> Iterator[str]:
    """An option that its group does not have."""
    options = sorted(file.stem for file in (CONF / setting.key).glob("*.yaml"))
    for option in setting.options:
        if option not in options:
            near = suggestion(option, options)
            yield f"'{setting.text}': expected one of {', '.join(options)}{near}"


def key_faults(setting: Setting, known: list[str], choices: Choices) -> Iterator[str]:
    """A key that the chosen options do not have, or that is no setting but a group of them."""
    key = setting.key.replace("/", ".")
    if setting.is_open:
        return
    if key in SET_ELSEWHERE:
        yield f"'{setting.text}': Lightning's {key.partition('.')[2]} is set by {SET_ELSEWHERE[key]}=... here"
        return
    parent = key.rpartition(".")[0]
    children = [name for name in known if name.rpartition(".")[0] == key]
    if key not in known:
        siblings = [name for name in known if name.rpartition(".")[0] == parent]
        settings = ", ".join(name for name in siblings if not name.endswith("._target_")) or "no settings"
        owner = f"{parent}={choices[parent]}" if parent in choices else parent
        hint = f"; {owner} takes {settings}" if parent in known else ""
        yield f"unknown key '{key}' in '{setting.text}'{suggestion(key, [*choices, *known]) or hint}"
    elif children:
        yield f"'{setting.text}': expected a value for one of {', '.join(children)}"


def kind_faults(setting: Setting, base: DictConfig, cfg: DictConfig) -> Iterator[str]:
    """A value of another type than the chosen file gives it in `base`, where no schema says the type."""
    given, own = OmegaConf.select(cfg, setting.key), OmegaConf.select(base, setting.key)
    if not setting.key.startswith(UNTYPED) or (given is None and setting.key.startswith(OPEN)):
        return
    if own is not None and _kind(given) != _kind(own):
        yield f"{setting.key}: expected {_kind(own)} such as {own}, got {given!r}"


def _kind(value: Any) -> str:
    kinds: Mapping[type, str] = {bool: "true or false", int: "a number", float: "a number", str: "a text"}
    return kinds.get(type(value), type(value).__name__)


def with_settings(base: DictConfig, settings: Sequence[Setting]) -> DictConfig | None:
    """`base` with `key=value`s set as Hydra sets them, without composing all files again for every job.

    None where only Hydra can do it, or say what is wrong: `+key=value`, or a value that does not fit.
    """
    cfg = base.copy()
    for setting in settings:
        override = _override(setting.text)
        if override.type != OverrideType.CHANGE or override.package or "/" in override.key_or_group:
            return None
        try:
            OmegaConf.update(cfg, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException:
            return None
    return cfg


@cache
def _override(text: str) -> Override:
    (override,) = OverridesParser.create().parse_overrides([text])
    return override
