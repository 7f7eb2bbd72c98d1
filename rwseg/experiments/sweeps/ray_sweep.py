"""The jobs of a sweep as Ray tasks: what each may use, what is said, what is kept."""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rwseg.core.errors import ConfigError, RwsegError
from rwseg.core.program import module
from rwseg.core.progress import duration
from rwseg.experiments.command import Jobs
from rwseg.experiments.sweeps.attended import GRACE_SECONDS
from rwseg.experiments.sweeps.manifest import Sweep
from rwseg.experiments.sweeps.ray_job import End, Job, News, Start, run_job

POLL_SECONDS = 0.2
OBJECT_STORE_BYTES = 100 * 2**20
"""Of a local Ray, which else keeps a third of the memory for objects; ours are some lines of text."""

OWN = ("hydra/launcher", "hydra.launcher", "hydra.mode", "hydra.sweep")
"""Settings of Hydra that are the sweep's and not its jobs'."""

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_memory_monitor_refresh_ms": "0"}
"""For a local Ray: it tells nobody about its use, and kills no run because others filled the memory."""


def launch(
    task: Jobs,
    job_overrides: Sequence[Sequence[str]],
    first: int,
    hydra_overrides: Sequence[str],
    settings: Mapping[str, Any],
) -> None:
    """Run every job that has not finished as a Ray task, and note in `task` which ones failed and why.

    `first` is the number of the first job. Raises `RwsegError` where a setting or the cluster does not fit.
    """
    if task.sweep is None:
        raise ConfigError("hydra/launcher=ray: expected a sweep of trainings; leave it out here")
    check_settings(settings)
    kept = [text for text in hydra_overrides if not text.startswith(OWN)]
    names, commands = {}, {}
    for number, overrides in enumerate(job_overrides, first):
        names[number] = " ".join(overrides)
        if task.sweep.is_finished(number):
            _say(f"run {number + 1} of {first + len(job_overrides)} is finished: {names[number]}")
        else:
            commands[number] = [*overrides, *kept]
    if not commands:
        return
    with _cluster(settings) as ray:
        jobs = _jobs(ray, task.sweep, commands, settings)
        at_once = _at_once(jobs, ray.cluster_resources())
        messages = _Messages(task, task.sweep, names, at_once, several=len(_machines(ray)) > 1)
        try:
            _run(ray, jobs, settings["max_retries"], messages)
        except ray.exceptions.RayError as error:
            raise RwsegError(f"hydra/launcher=ray: Ray broke off: {error}") from error


def command_of(overrides: Sequence[str], devices: int) -> tuple[str, ...]:
    """The command of a job: that of the sweep, by torchrun where it asks for several devices."""
    starter = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={devices}"]
    return (sys.executable, *(starter if devices > 1 else []), *module(), *overrides)


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise a `ConfigError` with a line for each of the launcher's settings that does not fit."""
    values = {**settings, **{f"local.{key}": value for key, value in settings["local"].items()}}
    expected: Mapping[str, tuple[Callable[[Any], bool], str]] = {
        "address": (lambda value: value is None or isinstance(value, str), "null, auto or host:port"),
        "num_cpus": (lambda value: _is_number(value) and value > 0, "a number above 0"),
        "num_gpus": (
            lambda value: value is None or (_is_number(value) and (0 <= value < 1 or _is_count(value, 1))),
            "null, a part of one GPU such as 0.5, or a whole number",
        ),
        "max_retries": (lambda value: _is_count(value, 0), "a whole number of 0 or more"),
        "local.num_cpus": (
            lambda value: value is None or _is_count(value, 1),
            "null, or a whole number above 0",
        ),
        "local.num_gpus": (lambda value: value is None or _is_count(value, 0), "null, or a whole number"),
    }
    faults = [
        f"hydra.launcher.{key}: expected {words}, got {values[key]}"
        for key, (fits, words) in expected.items()
        if not fits(values[key])
    ]
    if faults:
        raise ConfigError("\n".join(faults))


@contextmanager
def _cluster(settings: Mapping[str, Any]) -> Iterator[Any]:
    """Ray, connected with the cluster at the address, or with one that is started here and ended again."""
    try:
        os.environ.update({key: os.environ.get(key, value) for key, value in QUIET.items()})
        import ray
    except ImportError as error:
        raise RwsegError(
            "hydra/launcher=ray: expected the package of the extra 'ray', found none; "
            "pip install 'rwseg[ray]'"
        ) from error
    address = settings["address"]
    local: dict[str, Any] = {
        **settings["local"],
        "object_store_memory": OBJECT_STORE_BYTES,
        "include_dashboard": False,
    }
    code = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}}
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        try:
            _knock(address)
            ray.init(address=address or "local", runtime_env=code, **quiet, **({} if address else local))
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = f"a Ray cluster at hydra.launcher.address={address}" if address else "to start Ray here"
            advice = "; start one with ray start (docs/cluster.md)" if address else ""
            raise RwsegError(f"hydra/launcher=ray: expected {where}, got: {error}{advice}") from error
        signal.signal(signal.SIGTERM, terminate)  # Ray has set its own, which would just leave
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str | None) -> None:
    """Raise `OSError` where nobody listens at `host:port`; Ray would try for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=20).close()


def _jobs(
    ray: Any, sweep: Sweep, commands: Mapping[int, list[str]], settings: Mapping[str, Any]
) -> list[Job]:
    gpus = settings["num_gpus"]
    if gpus is None:
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
    jobs = []
    for number, overrides in commands.items():
        devices = sweep.devices(number)
        if devices > 1 and gpus != int(gpus):
            raise ConfigError(
                f"hydra.launcher.num_gpus={gpus}: expected a whole number with trainer.devices={devices}, "
                "as each of a run's processes needs a GPU of its own"
            )
        unforced = [text for text in overrides if not text.lstrip("+").startswith("force=")]
        job = Job(
            number,
            command_of(overrides, devices),
            command_of(unforced, devices),  # it has started over already
            sweep.log(number).absolute(),
            Path.cwd(),
            settings["num_cpus"] * devices,
            gpus * devices,
        )
        _check_fits(job, _machines(ray))
        jobs.append(job)
    return jobs


def _machines(ray: Any) -> list[Mapping[str, float]]:
    """What each machine of the cluster has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _check_fits(job: Job, machines: Sequence[Mapping[str, float]]) -> None:
    """Ray would wait for ever for a machine that is large enough."""
    if not any(has.get("CPU", 0) >= job.cpus and has.get("GPU", 0) >= job.gpus for has in machines):
        found = ", ".join(f"{has.get('CPU', 0):g} and {has.get('GPU', 0):g}" for has in machines)
        raise ConfigError(
            f"hydra/launcher=ray: expected a machine with {job.cpus:g} CPUs and {job.gpus:g} GPUs for a run, "
            f"got machines with {found}; lower hydra.launcher.num_cpus or num_gpus"
        )


def _at_once(jobs: Sequence[Job], cluster: Mapping[str, float]) -> int:
    """How many of the jobs run at a time, about."""
    cpus, gpus = max(job.cpus for job in jobs), max(job.gpus for job in jobs)
    by_gpus = cluster.get("GPU", 0) / gpus if gpus else len(jobs)
    return max(1, min(len(jobs), int(cluster.get("CPU", 0) / cpus), int(by_gpus)))


@dataclass(frozen=True)
class _Messages:
    """Says a line for every job that begins or ends, and notes what failed."""

    task: Jobs
    sweep: Sweep
    names: Mapping[int, str]
    at_once: int
    several: bool

    def started(self, start: Start) -> None:
        where = f"GPU {start.gpus}" if start.gpus else "CPU"
        where += f" of {start.host}" if self.several else ""
        if start.attempt:
            intro = "started again, as its worker was lost"
        else:
            intro = self.sweep.begin(start.number, self.at_once)
        _say(f"{intro}, on {where}: {self.names[start.number]}")

    def ended(self, number: int, end: End) -> None:
        name = self.names[number]
        if end.reason is None:
            _say(f"done in {duration(end.seconds)}: {name}")
            return
        told = self.sweep.log(number)
        _say(f"failed after {duration(end.seconds)}: {name}: {end.reason} (all it said: {told})")
        self.task.fail(number, name, end.reason)


def _run(ray: Any, jobs: Sequence[Job], max_retries: int, messages: _Messages) -> None:
    """Give all `jobs` to Ray and hear of them; whatever exception ends this asks them to stop, and waits."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    news = ray.remote(News).options(num_cpus=0, scheduling_strategy=here).remote()
    remote, environment = ray.remote(run_job), ray.put(dict(os.environ))
    waiting: dict[Any, int] = {}
    try:
        for job in jobs:
            job.log.unlink(missing_ok=True)
            limits = {"num_cpus": job.cpus, "num_gpus": job.gpus, "max_retries": max_retries}
            waiting[remote.options(**limits).remote(job, environment, news)] = job.number
        while waiting:
            time.sleep(POLL_SECONDS)  # not in Ray, which is no good place for a signal to come
            done, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
            for start in ray.get(news.taken.remote()):
                messages.started(start)
            for reference in done:
                messages.ended(waiting.pop(reference), _end(ray, reference))
    except BaseException as error:
        for reference in waiting:
            ray.cancel(reference)
        ray.wait(list(waiting), num_returns=len(waiting), timeout=GRACE_SECONDS + 10)
        if isinstance(error, SystemError) and error.__cause__ is not None:
            raise error.__cause__ from None  # what Ray makes of `Terminated`
        raise


def _end(ray: Any, reference: Any) -> End:
    try:
        end: End = ray.get(reference)
    except ray.exceptions.RayError as error:  # lost too often, or its log cannot be written
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return End(0.0, f"{type(error).__name__}: {lines[-1] if lines else error}")
    return end


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any, least: int) -> bool:
    return _is_number(value) and value == int(value) and value >= least


def _say(text: str) -> None:
    print(text, flush=True)
