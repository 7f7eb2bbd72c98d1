"""The arithmetic of a plan: time and disk of a method's runs, from what was measured of one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import ceil
from pathlib import Path
from typing import Any

from rwseg.core.errors import MALFORMED, RwsegError
from rwseg.core.files import write_json
from rwseg.experiments.config.schema import TrainConfig

EPOCH_BYTES = 400
"""A row of epochs.csv, which has some thirty columns."""

CASE_BYTES = 110
"""A row of cases.csv."""

FIGURE_BYTES = 500_000
"""The figures of a run, its configuration and run.json."""


@dataclass(frozen=True)
class RunTimes:
    """What a method (`name`) costs on a machine: seconds per step, measurement and volume, and bytes.

    `volumes` are those of a validation, `classes` the foreground ones; `checkpoint` are the bytes of one file
    and `prepared` those of the prepared data, whose folder is called `data`.
    """

    name: str
    device: str
    batch: str
    step: float
    meter: float
    volume: float
    volumes: int
    classes: int
    checkpoint: int
    data: str
    prepared: int


@dataclass(frozen=True)
class Method:
    """Runs that differ by their seed alone: `settings` of one of them, and how many are done."""

    name: str
    settings: TrainConfig
    runs: int
    finished: int

    @property
    def left(self) -> int:
        """Runs that are still to do."""
        return self.runs - self.finished


def seconds_of_run(settings: TrainConfig, measured: RunTimes) -> float:
    """Seconds of a whole run: its steps, the stability meter now and then, and its validations.

    The last epoch is always validated. Start-up and preparation (once) are not in it.
    """
    schedule = settings.schedule
    steps = schedule.epochs * schedule.batches_per_epoch
    training = steps * (measured.step + measured.meter / settings.stability.every)
    return float(training + volumes_predicted(settings, measured.volumes) * measured.volume)


def volumes_predicted(settings: TrainConfig, volumes: int) -> int:
    """How often a run predicts a volume, of so many in its validation split."""
    few = min(settings.evaluation.cases or volumes, volumes)
    validations = ceil(settings.schedule.epochs / settings.evaluation.every)
    return validations * few + (volumes if few < volumes else 0)


def bytes_of_run(settings: TrainConfig, measured: RunTimes) -> int:
    """Bytes of a run directory: last and best checkpoint, tables, figures."""
    cases = measured.volumes * measured.classes * CASE_BYTES
    return int(2 * measured.checkpoint + settings.schedule.epochs * EPOCH_BYTES + cases + FIGURE_BYTES)


def plan_rows(methods: Sequence[Method], measured: Mapping[str, RunTimes]) -> list[dict[str, Any]]:
    """A row per method, and one called `all` for their sum; hours and GB are of the runs that are left."""
    rows: list[dict[str, Any]] = []
    for method in methods:
        facts = measured[method.name]
        seconds, size = seconds_of_run(method.settings, facts), bytes_of_run(method.settings, facts)
        rows.append(
            {
                "name": method.name,
                "runs": method.runs,
                "finished": method.finished,
                "step_ms": 1e3 * facts.step,
                "hours_per_run": seconds / 3600,
                "hours_left": method.left * seconds / 3600,
                "gb_left": method.left * size / 1e9,
            }
        )
    total = {key: sum(row[key] for row in rows) for key in ("runs", "finished", "hours_left", "gb_left")}
    return [*rows, {"name": "all", **total}]


def prepared_bytes(measured: Mapping[str, RunTimes]) -> int:
    """Bytes of the prepared data; methods on the same data share its folder."""
    folders: dict[str, int] = {}
    for facts in measured.values():
        folders[facts.data] = max(folders.get(facts.data, 0), facts.prepared)
    return sum(folders.values())


def save_plan(
    path: Path,
    machine: Mapping[str, Any],
    measured: Mapping[str, RunTimes],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Write the plan as JSON: its rows, and what was measured, for `load_measured` elsewhere."""
    tables = {"plan": list(rows), "measured": [asdict(facts) for facts in measured.values()]}
    write_json(path, {"machine": dict(machine), "tables": tables})


def load_measured(path: Path) -> dict[str, RunTimes]:
    """What another plan measured, by method; `RwsegError` where `path` is no plan's JSON."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["tables"]["measured"]
        found = [_measured(row) for row in rows]
    except MALFORMED as error:
        raise RwsegError(
            f"{path}: expected what rwseg plan ... --json wrote, got: {type(error).__name__}: {error}"
        ) from error
    return {facts.name: facts for facts in found}


def _measured(row: Mapping[str, Any]) -> RunTimes:
    facts = RunTimes(**row)
    for item in fields(RunTimes):
        kind: Any = (int, float) if item.type is float else item.type
        if not isinstance(getattr(facts, item.name), kind):
            raise TypeError(f"{item.name}: expected {item.type}, got {getattr(facts, item.name)!r}")
    return facts
