"""`--status`: what sweeps are doing now, from their manifests and run directories."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from time import sleep

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rwseg.core.progress import duration
from rwseg.report.comparison.comparison import Run
from rwseg.report.comparison.runs import DAMAGED, FAILED, FINISHED, INTERRUPTED, RUNNING
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
    """Counts by status and time left, a row for every begun run that has not finished, and how to go on."""
    parts: list[RenderableType] = [Text(f"{datetime.now():%H:%M:%S}  {_counts(state)}{_time(state)}")]
    unfinished = sorted((run for run in state.runs if run.status != FINISHED), key=_rank)
    if unfinished or state.failed:
        parts.append(_table(unfinished, state))
    manifests = [] if state.running else state.unfinished_manifests()
    if any(is_preparing(manifest) for manifest in manifests):
        parts.append(Text("a sweep is preparing its next run"))
    elif manifests:
        parts.append(Text("nothing is running; to go on, give again:"))
        parts += [
            Text(f"  {command}") for command in dict.fromkeys(manifest.command for manifest in manifests)
        ]
    return Group(*parts)


def show(folders: Iterable[Path], watch: bool) -> None:
    """Print the overview once, or keep it on the terminal until all runs have finished or Ctrl-C."""
    folders, console = list(folders), Console()
    state = look(folders)
    if not watch:
        console.print(overview(state))
        return
    with Live(overview(state), console=console, auto_refresh=False) as live:
        while not state.is_done:
            sleep(REFRESH_SECONDS)
            state = look(folders)
            live.update(overview(state), refresh=True)


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
    for heading in ("run", "status", "epoch", "left", "Dice", "reason"):
        table.add_column(heading, justify="right" if heading in ("epoch", "left", "Dice") else "left")
    for run in unfinished:
        left = seconds_left(run)
        table.add_row(
            Text(str(run.folder), overflow="fold"),
            run.status,
            f"{epochs_done(run)}/{epochs_asked(run) or '?'}",
            "" if left is None or run.status == DAMAGED else duration(left),
            _last_dice(run),
            Text(run.reason, overflow="fold"),
        )
    for folder, reason in state.failed.items():
        table.add_row(Text(str(folder), overflow="fold"), FAILED, "", "", "", Text(reason, overflow="fold"))
    return table


def _rank(run: Run) -> tuple[int, str]:
    place = ORDER.index(run.status) if run.status in ORDER else len(ORDER)
    return place, str(run.folder)


def _last_dice(run: Run) -> str:
    if run.epochs is None or "val/dice" not in run.epochs:
        return ""
    held = run.epochs["val/dice"].dropna()
    return f"{held.iloc[-1]:.3f}" if len(held) else ""
