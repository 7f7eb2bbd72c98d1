"""The door of the commands: overrides are checked before Hydra runs, and errors are said in plain words."""

import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Any, NoReturn, Protocol

import hydra
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from rwseg.core.errors import ConfigError, RwsegError
from rwseg.core.signals import Terminated, terminable
from rwseg.experiments.config.names import keys_of
from rwseg.experiments.config.overrides import (
    Setting,
    form_faults,
    hydra_faults,
    key_faults,
    kind_faults,
    option_faults,
    settings_of,
    text_faults,
    with_home,
    with_settings,
)
from rwseg.experiments.config.schema import CONF, FOR_TRAINING, SCHEMAS, Choices, check

# Hydra 1.4 drops the argument that Hydra 1.3 wants for its present behaviour.
VERSION_BASE = {"version_base": "1.3"} if hydra.__version__ < "1.4" else {}

INTERRUPTED = 128 + SIGINT
"""Exit status after Ctrl-C, as shells have it."""

TERMINATED = 128 + SIGTERM
"""Exit status after SIGTERM, which schedulers send."""

Job = tuple[Setting, ...]
"""The overrides of one run; a sweep is several of them."""

Checked = tuple[DictConfig, Choices]
"""The configuration of a job, checked, and the options it is made of."""


class Sweep(Protocol):
    """What hears of a sweep's jobs, numbered from 0."""

    def begin(self, number: int, at_once: int = 1) -> str:
        """Words that introduce a job of a sweep with so many at a time."""

    def fail(self, number: int, reason: str) -> None:
        """Take note that a job failed."""

    def is_finished(self, number: int) -> bool:
        """Whether nothing is left to do for a job."""

    def log(self, number: int) -> Path:
        """Where a job writes what it prints, if it runs in a process of its own."""

    def devices(self, number: int) -> int:
        """How many devices a job asks for."""

    def left(self) -> int:
        """How many jobs have not finished."""


@dataclass(frozen=True)
class Jobs:
    """What Hydra calls for each job: `task`, its configuration checked; `failed` has a line per failure."""

    task: Callable[[DictConfig, Choices], object]
    schema: type
    sweep: Sweep | None
    failed: list[str]

    def __call__(self, cfg: DictConfig) -> str | None:
        """Run one job, whose number and overrides Hydra knows; why it failed, if it did in a sweep."""
        setup = HydraConfig.get()
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
        overrides, choices = " ".join(setup.overrides.task), _named(setup.runtime.choices)
        if self.sweep is not None:
            logging.info("%s: %s", self.sweep.begin(setup.job.num), overrides)
        job = partial(_perform, self.task, cfg, self.schema, choices)
        reason = _attempt(job, many=setup.mode == RunMode.MULTIRUN)
        if reason is not None:
            self.fail(setup.job.num, overrides, reason)
        return reason

    def fail(self, number: int, overrides: str, reason: str) -> None:
        """Take note that a job of a sweep failed."""
        self.failed.append(f"{overrides}: {reason}")
        if self.sweep is not None:
            self.sweep.fail(number, reason)


def run_command(
    task: Callable[[DictConfig, Choices], object],
    config_name: str,
    plan: Callable[[Sequence[Checked], Sequence[str]], Sweep] | None = None,
) -> None:
    """Run `task(cfg, choices)` under Hydra; a `RwsegError` ends it with status 2 and its message alone.

    In a sweep the other jobs go on, whatever ends one; the failed ones are listed at the end, with status 2.
    Before its first job `plan` is called with all jobs and the command line. Ctrl-C ends all of it in a line,
    with status 130, and so does SIGTERM, with 143.
    """
    failed: list[str] = []
    sweep: Sweep | None = None
    sys.argv[1:] = map(with_home, sys.argv[1:])  # where Hydra looks for them
    try:
        with terminable():
            jobs = preflight(config_name, sys.argv[1:])
            sweep = plan(jobs, sys.argv) if plan is not None and jobs else None
            runner = Jobs(task, SCHEMAS[config_name], sweep, failed)
            hydra.main(config_path=str(CONF), config_name=config_name, **VERSION_BASE)(runner)()
    except RwsegError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail(f"interrupted; {_to_go_on(sweep)}", INTERRUPTED)
    except Terminated:
        fail(f"terminated; {_to_go_on(sweep)}", TERMINATED)
    if failed:
        fail("\n".join([f"{len(failed)} of the sweep's jobs failed:", *failed]))


def _to_go_on(sweep: Sweep | None) -> str:
    left = "" if sweep is None else f"{sweep.left()} of the sweep's runs are left; "
    return f"{left}give the same command again to go on"


def compose(config_name: str, overrides: list[str]) -> tuple[DictConfig, Choices]:
    """Compose `conf/<config_name>.yaml` with `overrides`, also inside a running Hydra application.

    Raises `ConfigError` with Hydra's words where an override does not fit, and for settings of Hydra's own
    that would scatter a run's files.
    """
    with _hydra():
        try:
            given = list(map(with_home, overrides))
            cfg = hydra_compose(config_name, overrides=given, return_hydra_config=True)
        except HydraException as error:
            raise ConfigError(str(error)) from error
    _refuse(hydra_faults(cfg.hydra))
    choices = _named(cfg.hydra.runtime.choices)
    OmegaConf.set_struct(cfg, False)
    del cfg["hydra"]
    OmegaConf.set_struct(cfg, True)
    return cfg, choices


def preflight(config_name: str, arguments: list[str]) -> list[Checked]:
    """Check a command line: unknown groups, options and keys (also with `+`), types and rules, of every job.

    Hydra accepts `+los=rrw` silently and says of `los=rrw` only that it is not in the struct; here both get
    the nearest valid name. Every job of a sweep is checked before the first one starts. Raises `ConfigError`.
    Returns the jobs that a sweep will run, in their order; none where there is no sweep.
    """
    parsed = get_args_parser().parse_args(arguments)
    if parsed.help or parsed.hydra_help or parsed.info or parsed.shell_completion:
        return []
    if parsed.multirun and "TORCHELASTIC_RUN_ID" in os.environ:
        advice = "give hydra/launcher=ray trainer.devices=N without torchrun: it starts one per run"
        raise ConfigError(f"-m: expected one run under torchrun, got a sweep; {advice}")
    jobs = _parse(parsed.overrides, sweep=parsed.multirun)
    schema = None if parsed.cfg else SCHEMAS[config_name]  # --cfg shows a configuration as it is
    faults, checked = [], []
    for job in jobs:
        try:
            checked.append(_check_job(config_name, job, schema))
        except _OverrideError as error:
            faults.append(str(error))
        except ConfigError as error:
            faults.append(f"{_line(job)}: {error}" if len(jobs) > 1 else str(error))
    if faults:
        raise ConfigError("\n".join(dict.fromkeys(faults)))
    return checked if parsed.multirun and not parsed.cfg else []


class _OverrideError(ConfigError):
    """Faults of single overrides, which they name themselves."""


def _check_job(config_name: str, job: Job, schema: type | None) -> Checked:
    own = [setting for setting in job if not setting.override.is_hydra_override()]
    _, defaults = _composed(config_name)
    groups = [setting for setting in own if setting.key in defaults]
    keys = [setting for setting in own if setting.key not in defaults]
    _refuse(fault for setting in own for fault in form_faults(setting, defaults))
    _refuse(fault for setting in groups for fault in option_faults(setting))
    chosen = [setting.text for setting in job if setting not in keys]  # options, and Hydra's own settings
    base, choices = _composed(config_name, *chosen)
    known = [key for key in keys_of(base) if config_name == "train" or key not in FOR_TRAINING]
    _refuse(fault for setting in keys for fault in key_faults(setting, known, choices))
    cfg = with_settings(base, keys)
    if cfg is None:
        cfg, choices = compose(config_name, [setting.text for setting in job])
    if schema is None:
        return cfg, choices
    typed = check(cfg, schema)
    _refuse(
        fault
        for setting in keys
        for fault in (*kind_faults(setting, base, typed), *text_faults(setting, typed))
    )
    return typed, choices


@cache
def _composed(config_name: str, *overrides: str) -> tuple[DictConfig, Choices]:
    """`compose`, once for all jobs of a sweep; to be read only."""
    return compose(config_name, list(overrides))


def _refuse(faults: Iterable[str]) -> None:
    found = list(faults)
    if found:
        raise _OverrideError("\n".join(found))


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


def _attempt(job: Callable[[], object], many: bool) -> str | None:
    """Run `job`; in a sweep (`many`) its failure is logged and returned, else it ends the command."""
    try:
        job()
    except RwsegError as error:
        if not many:
            fail(str(error))
        logging.error("%s", error)
        return str(error)
    except Exception as error:
        if not many:
            raise
        logging.exception("this job failed; the sweep goes on")
        return f"{type(error).__name__}: {error}"
    return None


def _perform(
    task: Callable[[DictConfig, Choices], object], cfg: DictConfig, schema: type, choices: Choices
) -> None:
    try:
        task(check(cfg, schema), choices)
    except InstantiationException as error:  # a `_target_` that does not exist or does not take its arguments
        raise ConfigError(str(error)) from error


def _parse(texts: list[str], sweep: bool) -> list[Job]:
    with _hydra() as loader:
        parser = OverridesParser.create(loader)
        lists = [settings_of(parser, with_home(text), sweep) for text in texts]
    if sweep:  # of a key that is given twice, Hydra takes the last values then
        lists = list({settings[0].override.get_key_element(): settings for settings in lists}.values())
    return list(itertools.product(*lists))


def _line(job: Job) -> str:
    return " ".join(setting.text for setting in job)


def _named(choices: Mapping[Any, Any]) -> Choices:
    return {
        str(group): str(option) for group, option in choices.items() if not str(group).startswith("hydra/")
    }


def fail(message: str, status: int = 2) -> NoReturn:
    """End the command with a message under its name."""
    print(f"{Path(sys.argv[0]).name}: {message}", file=sys.stderr)
    raise SystemExit(status)
