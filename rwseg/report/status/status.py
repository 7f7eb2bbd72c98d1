"""`--status`: what sweeps are doing now, from their manifests and run directories."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from shlex import quote
from time import sleep

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rwseg.core.progress import duration
from rwseg.core.terminal import Shortened, console
from rwseg.experiments.sweeps.manifest import Manifest
from rwseg.report.comparison.comparison import DAMAGED, FAILED, FINISHED, INTERRUPTED, RUNNING, Run
from rwseg.report.status.sweep_state import (
    State,
    all_left,
    epochs_asked,
    epochs_done,
    is_preparing,
    look,
    seconds_left,
)

WAITING = "waiting"
"""Planned by a sweep, and not begun."""

ORDER = (RUNNING, FAILED, DAMAGED, INTERRUPTED)
REFRESH_SECONDS = 30.0


def overview(state: State) -> Group:
    """Counts by status and time left, the begun runs that have not finished, why, and how to go on.

    The commands to go on are as long as they are: print it with `crop=False`.
    """
    parts: list[RenderableType] = [Text(f"{datetime.now():%H:%M:%S}  {_counts(state)}{_time(state)}")]
    unfinished = sorted((run for run in state.runs if run.status != FINISHED), key=_rank)
    if unfinished or state.failed:
        parts.append(_table(unfinished, state))
        parts += _reasons(unfinished, state)
    manifests = [] if state.running else state.unfinished_manifests()
    if any(is_preparing(manifest) for manifest in manifests):
        parts.append(Text("a sweep is preparing its next run"))
    elif manifests:
        parts.append(Text("nothing is running; to go on, give again:"))
        parts += [
            Text(f"  {command}", no_wrap=True, overflow="ignore")
            for command in dict.fromkeys(map(_command, manifests))
        ]
    return Group(*parts)


def _command(manifest: Manifest) -> str:
    """What is pasted to go on, from here: paths of a command are seen from where it was given."""
    away = manifest.folder and Path(manifest.folder).resolve() != Path.cwd().resolve()
    return f"cd {quote(manifest.folder)} && {manifest.command}" if away else manifest.command


def show(folders: Iterable[Path], watch: bool) -> None:
    """Print the overview once, or keep it on the terminal until all runs have finished or Ctrl-C."""
    folders, screen = list(folders), console()
    state = look(folders)
    try:
        if watch and not state.is_done:
            with Live(overview(state), console=screen, auto_refresh=False, transient=True) as live:
                while not state.is_done:
                    sleep(REFRESH_SECONDS)
                    state = look(folders)
                    live.update(overview(state), refresh=True)
    finally:
        screen.print(overview(state), crop=False)  # which `Live` would do at the edge of the terminal


def _counts(state: State) -> str:
    counts = Counter(run.status for run in state.runs)
    counts.update({FAILED: len(state.failed), WAITING: len(state.waiting)})
    known = (FINISHED, *ORDER, WAITING)
    other = sorted(counts.keys() - set(known))
    line = ", ".join(f"{counts[status]} {status}" for status in (*known, *other) if counts[status])
    return f"{counts.total()} runs: {line}"


def _time(state: State) -> str:
    if state.waiting or state.to_resume:
        left = all_left(state)
        many = f"{len(state.running)} at a time, if those that wait take as long as the others"
        return f"; about {duration(left)} left, {many}" if left is not None else ""
    known = [seconds for run in state.running if (seconds := seconds_left(run)) is not None]
    return (
        f"; the running ones need {duration(max(known))} more" if known else ""
    )  # they run at the same time


def _table(unfinished: Iterable[Run], state: State) -> Table:
    table = Table()
    for heading in ("run", "status", "epoch", "left", "Dice"):
        table.add_column(heading, justify="right" if heading in ("epoch", "left", "Dice") else "left")
    for run in unfinished:
        left = seconds_left(run)
        table.add_row(
            Shortened(run.folder),
            run.status,
            f"{epochs_done(run)}/{epochs_asked(run) or '?'}",
            "" if left is None or run.status == DAMAGED else duration(left),
            _last_dice(run),
        )
    for folder in state.failed:
        table.add_row(Shortened(folder), FAILED, "", "", "")
    return table


def _reasons(unfinished: Iterable[Run], state: State) -> list[Text]:
    """Each reason once, with the first run that has it."""
    runs: dict[str, list[Path]] = {}
    known = {**{run.folder: run.reason for run in unfinished}, **state.failed}
    for folder, reason in known.items():
        if reason:
            runs.setdefault(reason, []).append(folder)
    others = {reason: f" and {len(own) - 1} more" if len(own) > 1 else "" for reason, own in runs.items()}
    return [Text(f"{own[0]}{others[reason]}: {reason}", overflow="fold") for reason, own in runs.items()]


def _rank(run: Run) -> tuple[int, str]:
    place = ORDER.index(run.status) if run.status in ORDER else len(ORDER)
    return place, str(run.folder)


def _last_dice(run: Run) -> str:
    if run.epochs is None or "val/dice" not in run.epochs:
        return ""
    held = run.epochs["val/dice"].dropna()
    return f"{held.iloc[-1]:.3f}" if len(held) else ""
