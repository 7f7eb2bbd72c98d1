"""Overrides of a command line: reading them, what is wrong with each and what was meant, setting them."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from os.path import expanduser
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, ValidationError, open_dict
from omegaconf.errors import OmegaConfBaseException

from rwseg.core.errors import ConfigError
from rwseg.core.paths import is_at_home
from rwseg.experiments.config.names import suggestion
from rwseg.experiments.config.schema import Choices

UNTYPED = ("loss.", "logger.", "callbacks.", "strategy.partner.", "optimizer.", "schedule.lr.")
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

NEEDED = "nothing can be removed, every setting is needed"

SHORT = {"lr": "schedule.learning_rate", "wd": "schedule.weight_decay", "bs": "dataset.batch_size"}
"""What other programs call our settings."""


@dataclass(frozen=True)
class Setting:
    """An override with one value: as it was given, or one of those that it sweeps over."""

    text: str
    is_swept: bool = False

    @property
    def override(self) -> Override:
        """The text as Hydra reads it."""
        return override_of(self.text)

    @property
    def key(self) -> str:
        """`loss` or `schedule.epochs`."""
        return self.override.key_or_group

    @property
    def is_added(self) -> bool:
        """Whether it begins with `+` or `++`."""
        return self.override.is_add() or self.override.is_force_add()

    def is_open(self, own: tuple[str, ...] = ()) -> bool:
        """Whether it adds or removes something where that is allowed: below `OPEN`, and below `own`."""
        return (self.is_added or self.override.is_delete()) and self.key.startswith((*OPEN, *own))


def settings_of(
    parser: OverridesParser, line: str, sweep: bool, options: Mapping[str, list[str]]
) -> list[Setting]:
    """An override as it is, or one for each of the values that it sweeps over.

    `glob()` chooses from `options` where these have the group. Raises `ConfigError` where Hydra cannot read
    it, with what to write instead, and where there is no value, or more than one without `sweep`.
    """
    try:
        (override,) = parser.parse_overrides([line])
    except HydraException as error:
        if has_open_brackets(line):
            raise ConfigError(f"'{line}': expected every bracket to be closed, [...] and {{...}}") from error
        quoted = in_quotes(line, sweep)
        why = f"Hydra's grammar takes this value only in quotes; write {quoted}"
        other = "expected KEY=VALUE in Hydra's grammar, https://hydra.cc/docs/advanced/override_grammar/basic"
        raise ConfigError(f"'{line}': {why if quoted else other}") from error
    if not override.is_sweep_override():
        return [Setting(line)]
    if not sweep:
        quoted = in_quotes(line, sweep) if "/" in line else None
        single = f", or write {quoted} for one value with a comma in it" if quoted else ""
        raise ConfigError(f"'{line}': expected one value, got several; add -m to run each of them{single}")
    try:
        pattern, own = override.value(), options.get(override.key_or_group)
        if own is not None and isinstance(pattern, Glob):
            values = pattern.filter(own)
        else:
            values = list(override.sweep_string_iterator())
    except HydraException as error:
        raise ConfigError(str(error)) from error
    if not values:
        raise ConfigError(f"'{line}': expected at least one value, got none")
    key = override.get_key_element()
    return [Setting(f"{key}={value}", is_swept=len(values) > 1) for value in values]


def with_home(argument: str) -> str:
    """`key=~/path` in quotes, in which Hydra takes it; `--option=~/path` expanded; all else as it is."""
    key, _, value = argument.partition("=")
    if not is_at_home(value) or "," in value:
        return argument
    return f"{key}={expanduser(value) if key.startswith('-') else quote(value)}"


def has_open_brackets(text: str) -> bool:
    """Whether the value of an override begins as a list or a table, and does not end as one."""
    value = text.partition("=")[2].strip()
    return value[:1] in ("[", "{") and any(
        value.count(first) != value.count(last) for first, last in ("[]", "{}")
    )


def in_quotes(text: str, sweep: bool) -> str | None:
    """An override that Hydra's grammar does not take, with its value, or each of several, in quotes.

    It is meant to be given to a shell. None where quotes do not mend it.
    """
    key, equals, value = text.partition("=")
    if not equals or value.startswith("{"):
        return None
    several = value.startswith("[") and value.endswith("]")
    parts = value[1:-1].split(",") if several else value.split(",") if sweep else [value]
    quoted = ",".join(part if re.fullmatch(r"""(["']).*\1""", part) else quote(part) for part in parts)
    mended = f"{key}=[{quoted}]" if several else f"{key}={quoted}"
    try:
        override_of(mended)
    except HydraException:
        return None
    return shlex.quote(mended)


def quote(value: str) -> str:
    """A value in the quotes of Hydra's grammar."""
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


def form_faults(setting: Setting, options: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Removals, groups that are added instead of chosen, and options that a group does not have."""
    override, key, text = setting.override, setting.key, setting.text
    if override.is_delete() and (key in options or override.is_hydra_override()):
        other = f"remove its entries, ~{key}.NAME" if f"{key}." in OPEN else f"give {key} another value"
        yield f"'{text}': {NEEDED}; {other}"
    elif key in options and (setting.is_added or override.package):
        yield f"'{text}': a group is chosen as {key}=OPTION, without + and @"
    elif key in options:
        value = override.value()
        for option in map(str, value if isinstance(value, list) else [value]):
            if option not in options[key]:
                near = suggestion(option, list(options[key]))
                yield f"'{text}': expected one of {', '.join(options[key])}{near}"


def key_faults(
    setting: Setting, known: Sequence[str], choices: Choices, own: tuple[str, ...] = ()
) -> Iterator[str]:
    """A key that the chosen options do not have, or that is no setting but a group of them.

    Below the keys in `own` stand arguments of classes that are not rwseg's: any may be added.
    """
    key = setting.key.replace("/", ".")
    if setting.is_open(own):
        return
    if setting.override.is_delete():
        yield f"'{setting.text}': {NEEDED}; give {key} another value"
        return
    group = key.partition(".")[0]
    if key == f"{group}._target_" and key not in known and group in choices:
        yield f"'{setting.text}': a class of your own is chosen as {group}=custom {setting.text}"
        return
    if key in SET_ELSEWHERE and "output_root" in known:  # train.py: an evaluation has none of these
        yield f"'{setting.text}': Lightning's {key.partition('.')[2]} is set by {SET_ELSEWHERE[key]}=... here"
        return
    parent, _, last = key.rpartition(".")
    if key.replace(".", "/") in choices and "." in key:
        yield f"'{setting.text}': a group is chosen as {key.replace('.', '/')}=OPTION"
        return
    children = [name for name in known if name.rpartition(".")[0] == key]
    if key not in known or key != setting.key or setting.override.package:
        siblings = [name for name in known if name.rpartition(".")[0] == parent]
        settings = ", ".join(name for name in siblings if not name.endswith("._target_")) or "no settings"
        place = parent.replace(".", "/")
        owner = f"{place}={choices[place]}" if place in choices else parent
        hint = f"; {owner} takes {settings}" if parent in known else "; --cfg job shows all settings"
        near = suggestion(SHORT.get(last, key), [*choices, *known])
        if key.startswith(own) and not setting.override.package:
            near += f"{' A' if near else '; a'} further argument is added by +{setting.text}"
        yield f"unknown key '{setting.key}' in '{setting.text}'{near or hint}"
    elif children:
        yield f"'{setting.text}': expected a value for one of {', '.join(children)}"


def set_value(setting: Setting, cfg: DictConfig, base: DictConfig) -> Iterator[str]:
    """Set it in `cfg` as Hydra does, or say why it does not fit; `base` is what the chosen files give."""
    override, key = setting.override, setting.key
    own = OmegaConf.select(base, key)
    parent, _, last = key.rpartition(".")
    try:
        value = override.value()
        if override.is_delete():
            node = OmegaConf.select(cfg, parent)
            if last not in (node or {}):
                yield f"'{setting.text}': expected one of {parent}: {', '.join(node or {}) or 'it has none'}"
                return
            with open_dict(node):
                del node[last]
            return
        if override.is_add() and own is not None and not isinstance(value, dict | list):
            yield f"'{setting.text}': expected a key that is not there yet; give {setting.text[1:]}"
            return
        OmegaConf.update(cfg, key, value, merge=True, force_add=setting.is_added)
        given = OmegaConf.select(cfg, key)
    except ValidationError:
        yield f"{key}: expected {_kind(own, typed=True)}, got {'null' if value is None else repr(value)}"
    except OmegaConfBaseException as error:
        yield f"'{setting.text}': {str(error).splitlines()[0]}"
    else:
        yield from _kind_faults(setting, given, own)


def _kind_faults(setting: Setting, given: Any, own: Any) -> Iterator[str]:
    """Another type than the chosen file's, where no schema says it; a text that Hydra writes otherwise."""
    key = setting.key
    is_untyped = key.startswith(UNTYPED) and not (given is None and key.startswith(OPEN))
    if is_untyped and own is not None and _kind(given) != _kind(own):
        yield f"{key}: expected {_kind(own)} such as {own}, got {given!r}"
    text, read = setting.text.partition("=")[2].strip(), setting.override.value()
    if isinstance(given, str) and isinstance(read, int | float) and str(read) != text:
        advice = f"write {in_quotes(setting.text, sweep=False)}"
        yield f"'{setting.text}': expected a text, got what Hydra reads as {read}; {advice}"


def _kind(value: Any, typed: bool = False) -> str:
    """What a value is, in words; `typed` where a schema tells whole numbers from others."""
    kinds: Mapping[type, str] = {
        bool: "true or false",
        int: "a whole number" if typed else "a number",
        float: "a number",
        str: "a text",
    }
    kind = kinds.get(type(value), "another type" if value is None else "a list or group of settings")
    return f"{kind} such as {value}" if typed and value is not None else kind


@cache
def override_of(text: str) -> Override:
    """An override as Hydra reads it; raises `HydraException`."""
    (override,) = OverridesParser.create().parse_overrides([text])
    return override
