"""`--status`: what a sweep is doing now, from its run directories."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from time import sleep

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rwseg.progress import duration
from rwseg.report.comparison import Run
from rwseg.report.runs import DAMAGED, FAILED, FINISHED, INTERRUPTED, RUNNING, find_runs

ORDER = (RUNNING, FAILED, DAMAGED, INTERRUPTED)
RECENT_EPOCHS = 5
REFRESH_SECONDS = 30.0


def overview(runs: Sequence[Run]) -> Group:
    """Counts by status and time left, and a row for every run that has not finished."""
    counts = Counter(run.status for run in runs)
    known = [status for status in (FINISHED, *ORDER) if counts[status]]
    other = sorted(counts.keys() - {FINISHED, *ORDER})
    line = ", ".join(f"{counts[status]} {status}" for status in (*known, *other))
    text = f"{datetime.now():%H:%M:%S}  {len(runs)} runs: {line}{_all_left(runs)}"
    unfinished = [run for run in runs if run.status != FINISHED]
    if not unfinished:
        return Group(Text(text))
    table = Table()
    for heading in ("run", "status", "epoch", "left", "Dice", "reason"):
        table.add_column(heading, justify="right" if heading in ("epoch", "left", "Dice") else "left")
    for run in sorted(unfinished, key=_rank):
        left = seconds_left(run)
        table.add_row(
            Text(str(run.folder), overflow="fold"),
            run.status,
            f"{epochs_done(run)}/{_epochs(run) or '?'}",
            "" if left is None or run.status == DAMAGED else duration(left),
            _last_dice(run),
            Text(run.reason, overflow="fold"),
        )
    return Group(Text(text), table)


def epochs_done(run: Run) -> int:
    """Epochs in the run's `epochs.csv`."""
    return 0 if run.epochs is None else len(run.epochs)


def seconds_left(run: Run) -> float | None:
    """Time for the missing epochs at the pace of the last `RECENT_EPOCHS`; None before the first one."""
    total = _epochs(run)
    if run.epochs is None or run.epochs.empty or total is None:
        return None
    pace = float(run.epochs["seconds"].tail(RECENT_EPOCHS).mean())
    return max(0.0, pace * (total - epochs_done(run)))


def show(folders: Iterable[Path], watch: bool) -> None:
    """Print the overview once, or keep it on the terminal until all runs have finished or Ctrl-C."""
    folders, console = list(folders), Console()
    runs = find_runs(folders)
    if not watch:
        console.print(overview(runs))
        return
    with Live(overview(runs), console=console, auto_refresh=False) as live:
        while any(run.status != FINISHED for run in runs):
            sleep(REFRESH_SECONDS)
            runs = find_runs(folders)
            live.update(overview(runs), refresh=True)


def _epochs(run: Run) -> int | None:
    value = run.settings.get("schedule.epochs", "")
    return int(value) if value.isdecimal() else None


def _rank(run: Run) -> tuple[int, str]:
    place = ORDER.index(run.status) if run.status in ORDER else len(ORDER)
    return place, str(run.folder)


def _all_left(runs: Sequence[Run]) -> str:
    """The longest of the running ones: they run at the same time."""
    left = [seconds_left(run) for run in runs if run.status == RUNNING]
    known = [seconds for seconds in left if seconds is not None]
    return f"; the running ones need {duration(max(known))} more" if known else ""


def _last_dice(run: Run) -> str:
    if run.epochs is None or "val/dice" not in run.epochs:
        return ""
    held = run.epochs["val/dice"].dropna()
    return f"{held.iloc[-1]:.3f}" if len(held) else ""
