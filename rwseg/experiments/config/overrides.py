"""Overrides of a command line: what is wrong with them, what was probably meant, and applying them."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from os.path import expanduser
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rwseg.core.errors import ConfigError
from rwseg.core.paths import is_at_home
from rwseg.experiments.config.names import suggestion
from rwseg.experiments.config.schema import CONF, Choices

UNTYPED = ("loss.", "logger.", "callbacks.", "strategy.partner.")
"""Settings that the schema leaves to the chosen file: their types are those of the file's values."""

OPEN = ("logger.", "callbacks.")
"""What is below these may be added and removed: arguments and classes of Lightning that we do not list."""

SET_ELSEWHERE = {
    "trainer.max_epochs": "schedule.epochs",
    "trainer.gradient_clip_val": "schedule.clip_norm",
    "trainer.check_val_every_n_epoch": "evaluation.every",
    "trainer.callbacks": "+callbacks.NAME._target_",
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


def settings_of(parser: OverridesParser, line: str, sweep: bool) -> list[Setting]:
    """An override as it is, or one for each of the values that it sweeps over.

    Raises `ConfigError` where Hydra cannot read it, with what to write instead, and where there is no value,
    or more than one without `sweep`.
    """
    try:
        (override,) = parser.parse_overrides([line])
    except HydraException as error:
        quoted = in_quotes(line, sweep)
        why = f"Hydra's grammar takes this value only in quotes; write {quoted}"
        other = "expected KEY=VALUE in Hydra's grammar, https://hydra.cc/docs/advanced/override_grammar/basic"
        raise ConfigError(f"'{line}': {why if quoted else other}") from error
    if not override.is_sweep_override():
        return [Setting(override, line)]
    if not sweep:
        quoted = in_quotes(line, sweep) if "/" in line else None
        single = f", or write {quoted} for one value with a comma in it" if quoted else ""
        raise ConfigError(f"'{line}': expected one value, got several; add -m to run each of them{single}")
    try:
        values = list(override.sweep_string_iterator())
    except HydraException as error:
        raise ConfigError(str(error)) from error
    if not values:
        raise ConfigError(f"'{line}': expected at least one value, got none")
    key = override.get_key_element()
    return [Setting(override, f"{key}={value}") for value in values]


def with_home(argument: str) -> str:
    """`key=~/path` in quotes, in which Hydra takes it; `--option=~/path` expanded; all else as it is."""
    key, _, value = argument.partition("=")
    if not is_at_home(value) or "," in value:
        return argument
    return f"{key}={expanduser(value) if key.startswith('-') else _quote(value)}"


def in_quotes(text: str, sweep: bool) -> str | None:
    """An override that Hydra's grammar does not take, with its value, or each of several, in quotes.

    It is meant to be given to a shell. None where quotes do not mend it.
    """
    key, equals, value = text.partition("=")
    if not equals or value.startswith("{"):
        return None
    several = value.startswith("[") and value.endswith("]")
    parts = value[1:-1].split(",") if several else value.split(",") if sweep else [value]
    quoted = ",".join(part if re.fullmatch(r"""(["']).*\1""", part) else _quote(part) for part in parts)
    mended = f"{key}=[{quoted}]" if several else f"{key}={quoted}"
    try:
        _override(mended)
    except HydraException:
        return None
    return shlex.quote(mended)


def _quote(value: str) -> str:
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', value)
    return f'"{escaped}"'


def hydra_faults(setup: DictConfig) -> Iterator[str]:
    """Settings of Hydra's own by which files would lie elsewhere than they are looked for."""
    if setup.job.chdir:
        yield (
            "hydra.job.chdir=true: expected false, got true; a run goes to its folder below output_root, and "
            "relative paths start where the command does: leave this setting out"
        )
    for key in ("run", "sweep"):
        folder = OmegaConf.to_container(setup[key])["dir"]  # type: ignore[index, call-overload]
        if is_at_home(folder):
            yield f"hydra.{key}.dir={folder}: expected a path without ~, got one; give the whole path"


def form_faults(setting: Setting, defaults: Choices) -> Iterator[str]:
    """Removals, and groups that are added instead of chosen."""
    override, key = setting.override, setting.key
    if override.is_delete() and not setting.is_open:
        other = f"remove its entries, ~{key}.NAME" if f"{key}." in OPEN else f"give {key} another value"
        yield f"'{setting.text}': nothing can be removed, every setting is needed; {other}"
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
    if key in SET_ELSEWHERE and "output_root" in known:  # train.py: an evaluation has none of these
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


def text_faults(setting: Setting, cfg: DictConfig) -> Iterator[str]:
    """A text that Hydra reads as a number or truth value, and writes otherwise: 2024_11_27 as 20241127."""
    given, read = setting.text.partition("=")[2].strip(), _override(setting.text).value()
    is_text = isinstance(OmegaConf.select(cfg, setting.key), str)
    if is_text and isinstance(read, int | float) and str(read) != given:
        advice = f"write {in_quotes(setting.text, sweep=False)}"
        yield f"'{setting.text}': expected a text, got what Hydra reads as {read}; {advice}"


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
