"""The door of the commands: overrides are checked before Hydra runs, and errors are said in plain words."""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import hydra
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from rwseg.config import CONF, SCHEMAS, Choices, check, keys_of, suggestion
from rwseg.errors import ConfigError, RwsegError

# Hydra 1.4 drops the argument that Hydra 1.3 wants for its present behaviour.
VERSION_BASE = {"version_base": "1.3"} if hydra.__version__ < "1.4" else {}


def main(task: Callable[[DictConfig, Choices], None], config_name: str) -> None:
    """Run `task(cfg, choices)` under Hydra; a `RwsegError` ends the command with status 2 and its message alone."""
    # Before torch is loaded. OpenMP threads that spin while they wait stall each other when anything else runs on
    # the machine: two trainings on two cores then take 280 ms and more for a step of 38 ms, with this 150 ms.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        preflight(config_name, sys.argv[1:])
    except RwsegError as error:
        _fail(error)

    def run(cfg: DictConfig) -> None:
        setup = HydraConfig.get()
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
        try:
            task(check(cfg, SCHEMAS[config_name]), _named(setup.runtime.choices))
        except RwsegError as error:
            if setup.mode == RunMode.MULTIRUN:
                raise  # the other jobs of the sweep go on; Hydra reports this one at the end
            _fail(error)

    hydra.main(config_path=str(CONF), config_name=config_name, **VERSION_BASE)(run)()


def compose(config_name: str, overrides: list[str]) -> tuple[DictConfig, Choices]:
    """Compose `conf/<config_name>.yaml` with `overrides` outside a running Hydra application."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), **VERSION_BASE):
        cfg = hydra_compose(config_name, overrides=overrides, return_hydra_config=True)
    choices = _named(cfg.hydra.runtime.choices)
    OmegaConf.set_struct(cfg, False)
    del cfg["hydra"]
    OmegaConf.set_struct(cfg, True)
    return cfg, choices


def preflight(config_name: str, arguments: list[str]) -> None:
    """Check the overrides of a command line: unknown groups, options and keys (also with `+`), types and rules.

    Hydra accepts `+los=rrw` silently and says of `los=rrw` only that it is not in the struct; here both get the
    nearest valid name. Of a sweep the first value is checked; the others are checked as their job starts.
    """
    parsed = get_args_parser().parse_args(arguments)
    if parsed.help or parsed.hydra_help or parsed.info or parsed.shell_completion:
        return
    try:
        overrides = OverridesParser.create().parse_overrides(parsed.overrides)
    except HydraException as error:
        raise ConfigError(str(error)) from error
    _, defaults = compose(config_name, [])
    groups = [override for override in overrides if override.key_or_group in defaults]
    for override in groups:
        _check_option(override)
    base, _ = compose(config_name, [_single(override) for override in groups])
    for override in overrides:
        if override not in groups:
            _check_key(override, keys_of(base), list(defaults))
    try:
        cfg, _ = compose(config_name, [_single(override) for override in overrides])
    except HydraException as error:
        raise ConfigError(str(error)) from error
    check(cfg, SCHEMAS[config_name])


def _check_key(override: Override, known: list[str], groups: list[str]) -> None:
    key = override.key_or_group.replace("/", ".")
    if not key.startswith("hydra.") and key not in known:
        raise ConfigError(
            f"unknown key '{key}' in '{override.input_line}'{suggestion(key, [*groups, *known])}"
        )


def _options(group: str) -> list[str]:
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


def _check_option(override: Override) -> None:
    group, options = override.key_or_group, _options(override.key_or_group)
    for option in (
        override.sweep_string_iterator() if override.is_sweep_override() else [str(override.value())]
    ):
        if option not in options and option not in ("None", "null"):
            raise ConfigError(
                f"{group}={option}: expected one of {', '.join(options)}{suggestion(option, options)}"
            )


def _single(override: Override) -> str:
    """The override itself, or the first value of a sweep."""
    if not override.is_sweep_override():
        return override.input_line or ""
    first = next(iter(override.sweep_string_iterator()))
    return f"{override.get_key_element()}={first}"


def _named(choices: DictConfig) -> Choices:
    return {
        str(group): str(option) for group, option in choices.items() if not str(group).startswith("hydra/")
    }


def _fail(error: RwsegError) -> NoReturn:
    print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
    raise SystemExit(2)
