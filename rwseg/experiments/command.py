"""What Hydra calls for each job of a command, and how the command ends."""

import logging
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from signal import SIGINT, SIGPIPE, SIGTERM
from typing import TYPE_CHECKING, Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig

from rwseg.core.errors import ConfigError, RwsegError
from rwseg.core.own_code import import_from_current_folder
from rwseg.core.program import program
from rwseg.core.signals import Terminated, terminable
from rwseg.core.unread import until_unread
from rwseg.experiments.composition import VERSION_BASE, Checked, named, preflight
from rwseg.experiments.config.command_line import (
    flags,
    overrides_last,
    search_path,
    search_path_in,
    with_search_path,
)
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.schema import SCHEMAS, Choices
from rwseg.experiments.config.validation import check

if TYPE_CHECKING:
    from rwseg.experiments.sweeps.manifest import Sweep

INTERRUPTED = 128 + SIGINT
"""Exit status after Ctrl-C, as shells have it."""

TERMINATED = 128 + SIGTERM
"""Exit status after SIGTERM, which schedulers send."""

Task = Callable[[Any, Choices], object]
"""It gets a `TrainConfig` or `EvaluateConfig`, and the options that is made of."""

Planner = Callable[[Sequence[Checked], Sequence[str]], "Sweep"]


@dataclass(frozen=True)
class Jobs:
    """What Hydra calls for each job: `task`, its configuration checked; `failed` has a line per failure."""

    task: Task
    schema: Any
    sweep: "Sweep | None"
    failed: list[str]

    def __call__(self, cfg: DictConfig) -> str | None:
        """Run one job, whose number and overrides Hydra knows; why it failed, if it did in a sweep."""
        import_from_current_folder()  # in a process that a launcher started, too
        setup = HydraConfig.get()
        search_path.set(search_path_in(setup.overrides.hydra))
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
        overrides, choices = " ".join(setup.overrides.task), named(setup.runtime.choices)
        if self.sweep is not None:
            logging.info("%s: %s", self.sweep.begin(setup.job.num), overrides)
        job = partial(self._perform, cfg, choices)
        reason = _attempt(job, many=setup.mode == RunMode.MULTIRUN)
        if reason is not None:
            self.fail(setup.job.num, overrides, reason)
        return reason

    def _perform(self, cfg: DictConfig, choices: Choices) -> None:
        try:
            self.task(check(cfg, self.schema), choices)
        except InstantiationException as error:  # a `_target_` that is not there or not takes its arguments
            raise ConfigError(str(error)) from error

    def fail(self, number: int, overrides: str, reason: str) -> None:
        """Take note that a job of a sweep failed."""
        self.failed.append(f"{overrides}: {reason}")
        if self.sweep is not None:
            self.sweep.fail(number, reason)


@until_unread()
def run_command(task: Task, config_name: str, plan: Planner | None = None) -> None:
    """Run `task(cfg, choices)` under Hydra; a `RwsegError` ends it with status 2 and its message alone.

    In a sweep the other jobs go on, whatever ends one; the failed ones are listed at the end, with status 2.
    Before its first job `plan` is called with all jobs and the command line. Ctrl-C ends all of it in a line,
    with status 130, and so does SIGTERM, with 143.
    """
    failed: list[str] = []
    sweep = None
    try:
        with terminable():
            import_from_current_folder()
            given = sys.argv[1:]
            sys.argv[1:] = overrides_last(with_search_path(given))  # where Hydra looks for them
            if flags(sys.argv[1:]).cfg:
                signal.signal(SIGPIPE, signal.SIG_DFL)  # after `| head` Hydra would print a traceback
            jobs = preflight(config_name, given)
            sweep = plan(jobs, given) if plan is not None and jobs else None
            runner = Jobs(task, SCHEMAS[config_name], sweep, failed)
            hydra.main(config_path=str(CONF), config_name=config_name, **VERSION_BASE)(runner)()
        if sweep is not None and (comparison := sweep.comparison()):
            print(f"to compare them: {comparison}", flush=True)
    except RwsegError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail(f"interrupted; {_to_go_on(sweep)}", INTERRUPTED)
    except Terminated:
        fail(f"terminated; {_to_go_on(sweep)}", TERMINATED)
    if failed:
        fail("\n".join([f"{len(failed)} of the sweep's jobs failed:", *failed]))


def _to_go_on(sweep: "Sweep | None") -> str:
    left = "" if sweep is None else f"{sweep.left()} of the sweep's runs are left; "
    return f"{left}give the same command again to go on"


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


def fail(message: str, status: int = 2) -> NoReturn:
    """End the command with a message under its name."""
    print(f"{program()}: {message}", file=sys.stderr)
    raise SystemExit(status)
