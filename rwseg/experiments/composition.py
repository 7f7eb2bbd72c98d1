"""Configurations composed by Hydra, and the check of a whole command line before Hydra starts a job."""

import itertools
import os
import re
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import hydra
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from rwseg.core.errors import ConfigError
from rwseg.experiments.config import overrides as words
from rwseg.experiments.config.command_line import flags, search_path, search_path_in, with_search_path
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.names import keys_of, suggestion
from rwseg.experiments.config.overrides import Setting
from rwseg.experiments.config.schema import FOR_TRAINING, SCHEMAS, Choices, TrainConfig
from rwseg.experiments.config.targets import own_prefixes, target_faults, targets_of
from rwseg.experiments.config.validation import in_words, inspect, resolved, with_types

# Hydra 1.4 drops the argument that Hydra 1.3 wants for its present behaviour.
VERSION_BASE = {"version_base": "1.3"} if hydra.__version__ < "1.4" else {}

Overrides = tuple[Setting, ...]
"""The overrides of one run; a sweep is several of them."""

Checked = tuple[Any, Choices]
"""The configuration of a job (`TrainConfig` or `EvaluateConfig`) and the options it is made of."""


class _Finding(NamedTuple):
    """A job if nothing is wrong with it; else what is wrong with single settings, and with all together."""

    checked: Checked | None
    alone: Sequence[str]
    together: Sequence[str] = ()


class _Composed(NamedTuple):
    """What the chosen options give: their keys, and the classes that they name by the keys of these."""

    cfg: DictConfig
    choices: Choices
    keys: list[str]
    classes: dict[str, str]


def compose(config_name: str, overrides: Sequence[str]) -> tuple[DictConfig, Choices]:
    """Compose `conf/<config_name>.yaml` with `overrides`, also inside a running Hydra application.

    Raises `ConfigError` with Hydra's words where an override or a file does not fit, and for settings of
    Hydra's own that would scatter a run's files.
    """
    with _hydra():
        cfg = _compose(config_name, overrides)
    faults = list(words.hydra_faults(cfg.hydra))
    if faults:
        raise ConfigError("\n".join(faults))
    choices = named(cfg.hydra.runtime.choices)
    with open_dict(cfg):
        del cfg["hydra"]
    try:
        return with_types(cfg), choices
    except OmegaConfBaseException as error:
        raise ConfigError(in_words(error, SCHEMAS.get(config_name, TrainConfig))) from error


def named(choices: Mapping[Any, Any]) -> Choices:
    """The options of our groups, without Hydra's own."""
    return {str(name): str(option) for name, option in choices.items() if not str(name).startswith("hydra/")}


def preflight(config_name: str, arguments: Sequence[str]) -> list[Checked]:
    """Check a command line: groups, options and keys (also with `+`), types, ranges and rules, of every job.

    Hydra accepts `+los=rrw` silently, and tells one fault at a time. Here every job of a sweep is checked
    before the first one starts. Raises `ConfigError` with a line per fault, which names the nearest valid
    thing. Returns the jobs of a sweep in their order, none where there is no sweep.
    """
    asked = flags(with_search_path(arguments))
    if asked.is_help:
        return []
    if asked.multirun and "TORCHELASTIC_RUN_ID" in os.environ:
        advice = "give hydra/launcher=ray trainer.devices=N without torchrun: it starts one per run"
        raise ConfigError(f"-m: expected one run under torchrun, got a sweep; {advice}")
    search_path.set(search_path_in(asked.overrides))
    name, schema = asked.config_name or config_name, SCHEMAS[config_name]
    lists, options, faults = _parse(name, asked)
    jobs = list(itertools.product(*lists))
    found = [_check(name, None if asked.cfg else schema, job, options) for job in jobs]
    unread = tuple(f"{fault[1:].partition('=')[0]}:" for fault in faults)  # their values are not there
    together: dict[str, list[Overrides]] = {}
    for job, one in zip(jobs, found, strict=True):
        faults += one.alone
        for fault in one.together:
            if not fault.startswith(unread):
                together.setdefault(fault, []).append(job)
    faults += [_in_jobs(fault, own, len(jobs)) for fault, own in together.items()]
    if faults:
        raise ConfigError("\n".join(dict.fromkeys(faults)))
    return [one.checked for one in found if one.checked is not None] if asked.multirun else []


def _check(config_name: str, schema: Any, job: Overrides, options: Mapping[str, list[str]]) -> _Finding:
    """Check a job as far as what was found before allows; `schema` None: as it is shown by --cfg."""
    given = {setting.key: setting.override.value() for setting in job}
    faulty = {setting: list(words.form_faults(setting, options)) for setting in job}
    alone = [fault for faults in faulty.values() for fault in faults]
    fine = [setting for setting in job if not faulty[setting]]
    composed = [one for one in fine if one.key in options or one.override.is_hydra_override()]
    unknown = tuple(f"{one.key}." for one in job if one not in fine and one.key in options)
    try:
        base, choices, known, classes = _composed(
            config_name, search_path.get(), *(one.text for one in composed)
        )
    except ConfigError as error:
        return _Finding(None, [*alone, *str(error).splitlines()])
    cfg, own = base.copy(), own_prefixes(classes, given)
    for one in fine:
        if one not in composed and not one.key.startswith(unknown):
            alone += list(words.key_faults(one, known, choices, own)) or words.set_value(one, cfg, base)
    if schema is None:
        return _Finding(None, alone)
    try:
        content = resolved(cfg, schema)
        checked, together = inspect(content, schema, with_rules=not unknown)
    except ConfigError as error:
        return _Finding(None, alone, str(error).splitlines())
    if not unknown:
        alone += target_faults(content, given, choices)
    return _Finding((checked, choices), alone, together)


@cache
def _composed(config_name: str, _: tuple[str, ...], *overrides: str) -> _Composed:
    """`compose` and what it names, once for all jobs of a sweep and each search path; to be read only."""
    cfg, choices = compose(config_name, overrides)
    is_training = OmegaConf.get_type(cfg) is SCHEMAS["train"]
    keys = [key for key in keys_of(cfg) if is_training or key not in FOR_TRAINING]
    classes = {target.key: target.path for target in targets_of(OmegaConf.to_container(cfg))}
    return _Composed(cfg, choices, keys, classes)


def _parse(config_name: str, asked: Namespace) -> tuple[list[list[Setting]], dict[str, list[str]], list[str]]:
    """The values of each override, the options of each group, and what cannot be read."""
    lists: list[list[Setting]] = []
    faults: list[str] = []
    with _hydra() as loader:
        groups = named(_compose(config_name, []).hydra.runtime.choices)
        own = list(search_path.get())
        options = {
            one: loader.get_group_options(one, config_name=config_name, overrides=own) for one in groups
        }
        parser = OverridesParser.create(loader)
        known = options if asked.config_dir else {}  # Hydra's glob() does not look into hydra.searchpath
        for text in asked.overrides:
            try:
                lists.append(words.settings_of(parser, words.with_home(text), asked.multirun, known))
            except ConfigError as error:
                faults.append(str(error))
    if asked.multirun:  # of a key that is given twice, Hydra takes the last values then
        lists = list({settings[0].override.get_key_element(): settings for settings in lists}.values())
    return [own for own in lists if not search_path_in([own[0].text])], options, faults


def _in_jobs(fault: str, own: Sequence[Overrides], jobs: int) -> str:
    """A fault with the jobs that have it, unless all have."""
    first = " ".join(setting.text for setting in own[0] if setting.is_swept)
    others = f" and {len(own) - 1} more" if len(own) > 1 else ""
    return fault if len(own) == jobs else f"{first}{others}: {fault}"


@contextmanager
def _hydra() -> Iterator[ConfigLoader]:
    """Hydra over `CONF`; an application that is running has its own back afterwards."""
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), **VERSION_BASE):
            yield GlobalHydra.instance().config_loader()
    finally:
        GlobalHydra.instance().hydra = outer


def _compose(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """Compose in a Hydra that is there; `ConfigError` names the file where one is at fault."""
    try:
        given = [*search_path.get(), *map(words.with_home, overrides)]
        return hydra_compose(config_name, overrides=given, return_hydra_config=True)
    except MissingConfigException as error:
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        near = suggestion(option, list(error.options or ()))
        lines = f"{group}={option}: expected one of {', '.join(error.options or ())}{near}"
        raise ConfigError(lines if error.options else str(error)) from error
    except YAMLError as error:
        raise ConfigError(f"expected YAML, got: {error}") from error
    except HydraException as error:
        cause = error.__cause__ or error.__context__
        if not isinstance(cause, OmegaConfBaseException):
            raise ConfigError(str(error)) from error
        file = re.match(r"In '[^']*': ", str(error))
        raise ConfigError(
            f"{file[0] if file else ''}{in_words(cause, SCHEMAS.get(config_name, TrainConfig))}"
        ) from error
