"""The manifest of a sweep: the run directories that it will visit, so that those to come can be counted."""

import hashlib
import json
import logging
import os
import shlex
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from rwseg.core.errors import MALFORMED, RunError
from rwseg.core.files import write_json
from rwseg.core.program import rwseg, typed
from rwseg.core.progress import duration
from rwseg.experiments.config.schema import Choices, TrainConfig
from rwseg.experiments.run_directory import run_path
from rwseg.experiments.run_status import is_finished, read_run

log = logging.getLogger(__name__)

FOLDER = ".sweeps"
"""Beside the runs, so that it goes where they go: `<output_root>/<experiment>/.sweeps/<hash>.json`."""


@dataclass(frozen=True)
class Manifest:
    """A sweep's command, its run directories in their order, and why jobs failed the last time it ran.

    `folder` is where it was given; `host` and `pid` are those of the process that ran it last.
    """

    command: str
    folder: str
    host: str
    pid: int
    runs: tuple[Path, ...]
    failed: Mapping[Path, str]


class Sweep:
    """A sweep that runs: keeps its manifest and says how far it is. Jobs are numbered from 0.

    The same command has the same manifest, and writes it anew; those of other sweeps stay.
    """

    def __init__(self, jobs: Sequence[tuple[TrainConfig, Choices]], command: str) -> None:
        self.command = command
        self.settings = [cfg for cfg, _ in jobs]
        self.runs = [run_path(cfg, choices) for cfg, choices in jobs]
        self.roots = [_experiment(cfg, run) for (cfg, _), run in zip(jobs, self.runs, strict=True)]
        self.forced = [bool(cfg.force) for cfg in self.settings]
        self.failed: dict[Path, str] = {}
        self.begun = -1
        for root in dict.fromkeys(self.roots):
            try:
                self._save(root)
            except OSError as error:
                raise RunError(
                    f"{root}: expected a folder that can be written, got: {error}; give another output_root"
                ) from error

    def begin(self, number: int, at_once: int = 1) -> str:
        """What to say before a job: `run 3 of 14, about 1:20:00 left`, from the mean of finished runs.

        `at_once` runs are under way at any time.
        """
        self.begun = number
        seconds = [_seconds_if_finished(run) for run in self.runs]
        left = sum(
            known is None or forced
            for known, forced in zip(seconds[number:], self.forced[number:], strict=True)
        )
        finished = [known for known in seconds if known is not None]
        time = f", about {duration(mean(finished) * left / at_once)} left" if finished and left else ""
        return f"run {number + 1} of {len(self.runs)}{time}"

    def fail(self, number: int, reason: str) -> None:
        """Note why a job failed: one that did so before it had a run directory says it nowhere else."""
        self.failed[self.runs[number]] = reason
        try:
            self._save(self.roots[number])
        except OSError as error:  # a full disk may be why the job failed, and the next one goes on
            log.warning("%s: the reason could not be noted: %s", self.roots[number] / FOLDER, error)

    def is_finished(self, number: int) -> bool:
        """Whether a job's run has finished, is of the same configuration, and is not to start over."""
        try:
            return is_finished(self.runs[number], self.settings[number])
        except RunError:
            return False  # its own job says so

    def log(self, number: int) -> Path:
        """The file for what a job prints in a process of its own: beside the manifest, named as its run."""
        root, run = self.roots[number], self.runs[number]
        return root / FOLDER / "logs" / run.relative_to(root).with_name(f"{run.name}.log")

    def devices(self, number: int) -> int:
        """How many devices a job asks for; 1 where it leaves that open."""
        asked = str(self.settings[number].trainer.devices)
        return int(asked) if asked.isdecimal() else 1

    def left(self) -> int:
        """How many jobs have still to be done; the one that was begun last counts until it has finished."""
        done = [_seconds_if_finished(run) is not None for run in self.runs]
        again = [forced and number > self.begun for number, forced in enumerate(self.forced)]
        return sum(not known or repeated for known, repeated in zip(done, again, strict=True))

    def comparison(self) -> str | None:
        """The command that compares its runs, when several have finished."""
        finished = sum(_seconds_if_finished(run) is not None for run in dict.fromkeys(self.runs))
        folders = map(str, dict.fromkeys(self.roots))
        return shlex.join([*rwseg("report"), *folders]) if finished > 1 else None

    def _save(self, root: Path) -> None:
        """Write the part of the manifest that lies in the experiment `root`."""
        own = [run for run, place in zip(self.runs, self.roots, strict=True) if place == root]
        names = [run.relative_to(root).as_posix() for run in dict.fromkeys(own)]
        digest = hashlib.blake2b("\n".join(sorted(names)).encode(), digest_size=6).hexdigest()
        failed = {run.relative_to(root).as_posix(): self.failed[run] for run in own if run in self.failed}
        process = {"host": socket.gethostname(), "pid": os.getpid()}
        started = {"command": self.command, "folder": os.getcwd(), **process}
        content = {**started, "runs": names, "failed": failed}
        write_json(root / FOLDER / f"{digest}.json", content)


def sweep_manifest(jobs: Sequence[tuple[TrainConfig, Choices]], arguments: Sequence[str]) -> Sweep:
    """The manifest of the sweep over `jobs` (checked); `arguments` are those of the command.

    Raises `RunError` where the manifest cannot be written.
    """
    kept = [argument for argument in arguments if not argument.lstrip("+").startswith("force=")]
    return Sweep(jobs, shlex.join([*typed(), *kept]))


def find_manifests(folder: Path) -> list[Manifest]:
    """The manifests of the runs at or below `folder`, whether there already or not, cut down to those runs.

    Raises `RunError` for a damaged manifest.
    """
    above = [parent / FOLDER for parent in folder.resolve().parents]
    places = [*above, *_below(folder)]
    found = [
        _read(path, folder) for place in places if place.is_dir() for path in sorted(place.glob("*.json"))
    ]
    return [manifest for manifest in found if manifest.runs]


def _experiment(cfg: TrainConfig, run: Path) -> Path:
    return Path(cfg.output_root, run.relative_to(cfg.output_root).parts[0])


def _seconds_if_finished(run: Path) -> float | None:
    try:
        record = read_run(run)
    except RunError:
        return None  # its own job says so
    return float(record.get("seconds") or 0.0) if record.get("status") == "finished" else None


def _below(folder: Path) -> Iterator[Path]:
    """Folders of manifests at or below `folder`; none lies in a run directory."""
    for place, below, files in os.walk(folder):
        if FOLDER in below:
            yield Path(place, FOLDER)
        inside = "run.json" in files or "config.yaml" in files
        below[:] = [] if inside else sorted(name for name in below if not name.startswith("."))


def _read(path: Path, folder: Path) -> Manifest:
    """The part of a manifest whose runs lie at or below `folder`, as seen from there."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names, failed = list(content["runs"]), dict(content["failed"])
        folder_of_command = str(content.get("folder", ""))  # older ones do not say
        begun = str(content["command"]), folder_of_command, str(content["host"]), int(content["pid"])
        root, top = path.resolve().parents[1], folder.resolve()
        if "\0" in "".join(names):
            raise ValueError("a run's name with a zero byte in it")
        inside = [name for name in names if (root / name).is_relative_to(top)]
        runs = {name: folder / (root / name).relative_to(top) for name in inside}
    except MALFORMED as error:
        raise RunError(
            f"{path}: expected a sweep's manifest in JSON, got: {type(error).__name__}: {error}; delete it"
        ) from error
    reasons = {folder: str(failed[name]) for name, folder in runs.items() if name in failed}
    return Manifest(*begun, tuple(runs.values()), reasons)
