"""What sweeps have done and have still to do: run directories, and planned runs that have none yet."""

import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from rwseg.core.errors import RunError
from rwseg.core.lease import process_exists
from rwseg.experiments.sweeps.manifest import Manifest, find_manifests
from rwseg.report.comparison.comparison import FINISHED, INTERRUPTED, RUNNING, Run
from rwseg.report.comparison.runs import find_runs

RECENT_EPOCHS = 5


@dataclass(frozen=True)
class State:
    """`runs` have a directory; `waiting` and `failed` are planned and have none: not begun, failed before."""

    runs: tuple[Run, ...]
    manifests: tuple[Manifest, ...]
    waiting: tuple[Path, ...]
    failed: Mapping[Path, str]

    @property
    def running(self) -> list[Run]:
        """Those that a living process writes."""
        return [run for run in self.runs if run.status == RUNNING]

    @property
    def to_resume(self) -> list[Run]:
        """Interrupted ones of a manifest."""
        planned = {path.resolve() for manifest in self.manifests for path in manifest.runs}
        return [run for run in self.runs if run.status == INTERRUPTED and run.folder.resolve() in planned]

    @property
    def is_done(self) -> bool:
        """Whether every run has finished."""
        return not self.waiting and not self.failed and all(run.status == FINISHED for run in self.runs)

    def unfinished_manifests(self) -> list[Manifest]:
        """The manifests with a run that has not finished."""
        finished = {run.folder.resolve() for run in self.runs if run.status == FINISHED}
        return [
            manifest
            for manifest in self.manifests
            if any(path.resolve() not in finished for path in manifest.runs)
        ]


def is_preparing(manifest: Manifest) -> bool:
    """Whether the process of a sweep of this host is there: with no run under way, it prepares one."""
    return manifest.host == socket.gethostname() and process_exists(manifest.pid)


def look(folders: Iterable[Path]) -> State:
    """The runs and manifests at or below `folders`; `RunError` where there is neither, or a damaged one."""
    runs: dict[Path, Run] = {}
    planned: dict[Path, Path] = {}
    reasons: dict[Path, str] = {}
    manifests: list[Manifest] = []
    for folder in folders:
        found = find_manifests(folder)
        runs.update({run.folder.resolve(): run for run in _runs(folder, bool(found))})
        for manifest in found:
            planned.update({path.resolve(): path for path in manifest.runs})
            reasons.update({path.resolve(): reason for path, reason in manifest.failed.items()})
        manifests += found
    absent = {resolved: path for resolved, path in planned.items() if resolved not in runs}
    failed = {path: reasons[resolved] for resolved, path in absent.items() if resolved in reasons}
    waiting = tuple(path for path in absent.values() if path not in failed)
    return State(tuple(runs.values()), tuple(manifests), waiting, failed)


def epochs_done(run: Run) -> int:
    """Epochs in the run's `epochs.csv`."""
    return 0 if run.epochs is None else len(run.epochs)


def epochs_asked(run: Run) -> int | None:
    """Epochs of its configuration; None where that is damaged."""
    value = run.settings.get("schedule.epochs", "")
    return int(value) if value.isdecimal() else None


def seconds_left(run: Run) -> float | None:
    """Time for the missing epochs at the pace of the last `RECENT_EPOCHS`; None before the first one."""
    total = epochs_asked(run)
    if run.epochs is None or run.epochs.empty or total is None:
        return None
    pace = float(run.epochs["seconds"].tail(RECENT_EPOCHS).mean())
    return max(0.0, pace * (total - epochs_done(run)))


def all_left(state: State) -> float | None:
    """Seconds until all running, interrupted and waiting runs are done, with as many processes as run now.

    One that has no epoch yet is taken to need what the finished runs of its manifest needed on average, or,
    where none has finished, what the begun ones are going to need. None where nothing runs, or where not
    even that is known.
    """
    usual = dict(_usual_seconds(state))

    def rest(run: Run) -> float | None:
        left = seconds_left(run)
        return usual.get(run.folder.resolve()) if left is None else left

    running = [rest(run) for run in state.running]
    others = [rest(run) for run in state.to_resume] + [usual.get(path.resolve()) for path in state.waiting]
    known = [seconds for seconds in [*running, *others] if seconds is not None]
    if not running or len(known) < len(running) + len(others):
        return None
    return max(*known[: len(running)], sum(known) / len(running))


def _usual_seconds(state: State) -> Iterator[tuple[Path, float]]:
    """What a whole run of a manifest takes, for every run of a manifest that shows it."""
    runs = {run.folder.resolve(): run for run in state.runs}
    for manifest in state.manifests:
        planned = [path.resolve() for path in manifest.runs]
        begun = [runs[path] for path in planned if path in runs]
        finished = [run.seconds for run in begun if run.status == FINISHED]
        whole = [float(run.epochs["seconds"].sum()) + left for run in begun
                 if run.epochs is not None and (left := seconds_left(run)) is not None]  # fmt: skip
        if finished or whole:
            yield from ((path, mean(finished or whole)) for path in planned)


def _runs(folder: Path, planned: bool) -> list[Run]:
    """The runs below `folder`: of a sweep that begins there may be none yet."""
    try:
        return find_runs([folder], with_nnunet=False)
    except RunError:
        if not planned:
            raise
        return []
