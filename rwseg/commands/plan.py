"""Say what a run or a sweep will cost before it is started: runs, hours and disk.

    rwseg plan experiment=convergence loss=rrw,rw_boundary 'seed=range(50)'    all that rwseg train takes
    rwseg plan experiment=convergence --commands    all that conf/experiment/convergence.yaml proposes
    rwseg plan ... --json FILE                      keep the table and the times, for --from FILE elsewhere

Some steps of each method are timed here, with the experiment's own data, network and device; the data is
prepared for that. Runs that have finished in output_root are subtracted.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rwseg.core.errors import ConfigError, RwsegError
from rwseg.core.paths import user_path
from rwseg.experiments.cost.estimate import (
    Method,
    RunTimes,
    load_measured,
    plan_rows,
    prepared_bytes,
    save_plan,
)
from rwseg.experiments.cost.sweeps import commands_of, methods_of

STEPS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status, 2 with a message for what the user can mend."""
    parser = _parser()
    asked, words = parser.parse_known_args(arguments)
    if asked.json and asked.source:
        parser.error("--json FILE: expected without --from, which measures nothing")
    if words and re.fullmatch(r"\w[\w-]*", words[0]):  # rwseg plan convergence ...
        words[0] = f"experiment={words[0]}"
    try:
        methods = methods_of(_proposed(words) if asked.commands else [words])
        known = load_measured(asked.source) if asked.source else _measure(methods, asked.seconds)
        _refuse_unknown(methods, known, asked.source)
        measured = {method.name: known[method.name] for method in methods}
        rows = plan_rows(methods, measured)
        _print(rows, measured)
        if asked.json:
            from rwseg.experiments.cost.measure import machine

            save_plan(asked.json, machine(), measured, rows)
    except RwsegError as error:
        print(f"rwseg plan: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _proposed(words: Sequence[str]) -> list[list[str]]:
    """The commands in the file of the experiment that `words` name, each with the other words."""
    named = [word for word in words if word.startswith("experiment=")]
    if len(named) != 1:
        raise ConfigError("--commands: expected experiment=NAME, the file with the commands, got none")
    others = [word for word in words if word not in named]
    return [[*overrides, *others] for overrides in commands_of(named[0].partition("=")[2])]


def _measure(methods: Sequence[Method], seconds: float) -> dict[str, RunTimes]:
    """Time all methods; only here, because what it needs takes seconds to import."""
    from rwseg.core.progress import track
    from rwseg.experiments.cost.measure import measure

    return {method.name: measure(method, STEPS, seconds) for method in track(methods, "timing the methods")}


def _refuse_unknown(methods: Sequence[Method], known: Mapping[str, RunTimes], source: Path | None) -> None:
    missing = [method.name for method in methods if method.name not in known]
    if missing:
        raise RwsegError(
            f"{source}: expected times of {', '.join(missing)}, got those of {', '.join(known)}; give "
            "the same arguments with --json on the machine that they are for"
        )


def _print(rows: Sequence[Mapping[str, Any]], measured: Mapping[str, RunTimes]) -> None:
    from rich.table import Table

    from rwseg.core.terminal import Shortened, console

    table = Table(title="one run after another")
    table.add_column("method")
    for heading in ("runs", "finished", "ms a step", "hours a run", "hours left", "GB left"):
        table.add_column(heading, justify="right")
    for row in rows:
        if row["name"] == "all":
            table.add_section()
        numbers = (row.get(key) for key in ("step_ms", "hours_per_run", "hours_left", "gb_left"))
        cells = ("" if number is None else f"{number:.3g}" for number in numbers)
        table.add_row(Shortened(row["name"]), str(row["runs"]), str(row["finished"]), *cells)
    screen = console()
    screen.print(table)
    devices = ", ".join(sorted({f"{facts.device}, batches of {facts.batch}" for facts in measured.values()}))
    screen.print(f"on {devices}; prepared data {prepared_bytes(measured) / 1e9:.3g} GB", highlight=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rwseg plan",
        usage="%(prog)s [group=option] [setting=value] ... [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--commands",
        action="store_true",
        help="plan the commands in the experiment's file, with the overrides",
    )
    add("--seconds", type=float, default=10.0, help="time to measure each method (default 10)")
    add("--json", type=user_path, metavar="FILE", help="write the plan and the measured times")
    add(
        "--from",
        dest="source",
        type=user_path,
        metavar="FILE",
        help="take the times from such a file; measure nothing",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
