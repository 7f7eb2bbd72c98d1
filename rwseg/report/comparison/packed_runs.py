"""The packed runs of a study (`rwseg report --pack`), read back as if their run directories were there."""

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rwseg.core.errors import MALFORMED, RunError
from rwseg.report.comparison.comparison import FINISHED, UNKNOWN, Run
from rwseg.report.comparison.run_tables import EPOCH_COLUMNS, check_cases, check_epochs, read_table

CASES, EPOCHS, FACTS, SETTINGS = "runs.csv.gz", "epochs.csv.gz", "machines.csv", "settings.json"

IDENTITY = ("method", "loss", "strategy", "seed")
"""The columns that say in every table which run a row is of."""

CASE_COLUMNS = (
    "case", "subject", "phase", "class_name", "dice", "hausdorff", "hausdorff95", "unit", "missed",
    "spurious",
)  # fmt: skip
FACT_COLUMNS = ("seconds", "device", "processor", "commit")

PRECISION, ACCELERATOR = "trainer.precision", "trainer.accelerator"

Flat = dict[str, str]
Identity = tuple[str, int]
"""A method's name and a seed."""


def read_packed(folder: Path) -> list[Run]:
    """Read all runs that `rwseg.report.pack.pack` wrote into `folder`.

    The folder of each is a name below `folder` at which nothing lies. Raises `RunError` for a table that is
    not there or faulty, and for one that an earlier version of rwseg packed without the runs' settings.
    """
    facts = _table(folder / FACTS, FACT_COLUMNS)
    cases = _split(_table(folder / CASES, CASE_COLUMNS))
    epochs = _split(_table(folder / EPOCHS, EPOCH_COLUMNS))
    settings = _described(folder / SETTINGS)
    runs = []
    for row in facts.to_dict("records"):
        identity = (str(row["method"]), int(row["seed"]))
        if identity[0] not in settings["methods"]:
            raise RunError(
                f"{folder / SETTINGS}: expected the settings of the packed runs, found none of {identity[0]}"
            )
        own = settings_of(settings, identity)
        if identity not in cases:
            raise RunError(
                f"{folder / CASES}: expected the cases of {identity[0]}, seed {identity[1]}, found none"
            )
        check_cases(folder / CASES, cases[identity])
        if identity in epochs:
            check_epochs(folder / EPOCHS, epochs[identity])
        runs.append(_run(folder, identity, row, own, cases[identity], epochs.get(identity)))
    return runs


def described(runs: Mapping[Identity, Run]) -> dict[str, Any]:
    """What decides the numbers, each fact once: of all runs (`shared`), of `methods`, of single `runs`."""
    each = {identity: _facts(run) for identity, run in runs.items()}
    shared = _common(list(each.values()))
    methods = {}
    for name in dict.fromkeys(name for name, _ in each):
        alike = _common([flat for (method, _), flat in each.items() if method == name])
        methods[name] = {key: text for key, text in alike.items() if key not in shared}
    single: dict[str, dict[str, Flat]] = {}
    for (name, seed), flat in each.items():
        own = {key: text for key, text in flat.items() if key not in shared and key not in methods[name]}
        if own:
            single.setdefault(name, {})[str(seed)] = own
    return {"shared": shared, "methods": methods, "runs": single}


def settings_of(described: Mapping[str, Any], identity: Identity) -> Flat:
    """The facts of one run out of what `described` returned."""
    name, seed = identity
    single = described["runs"].get(name, {}).get(str(seed), {})
    return {**described["shared"], **described["methods"][name], **single}


def as_computed(settings: Flat, device: str, precision: str | None = None) -> Flat:
    """The settings with the `precision` that a run had in the place of `auto`, which is another elsewhere.

    Runs from before `run.json` had it were in 32 bit on every CPU. What accelerator was asked for is left
    out, for the device that a run had is compared.
    """
    had = precision or ("32-true" if device == "cpu" else "16-mixed")
    own = {key: text for key, text in settings.items() if key != ACCELERATOR}
    return {**own, PRECISION: json.dumps(had)} if own.get(PRECISION, '"auto"') == '"auto"' else own


def _facts(run: Run) -> Flat:
    return {
        **{f"settings.{key}": text for key, text in run.settings.items()},
        **{f"choices.{group}": option for group, option in run.choices.items()},
        "data": run.data_digest,
        "split": run.split_digest,
    }


def _common(each: Sequence[Flat]) -> Flat:
    first, *others = each
    return {key: text for key, text in first.items() if all(other.get(key) == text for other in others)}


def _described(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise RunError(
            f"{path}: expected the settings of the packed runs, found none: rwseg 0.1 packed without them; "
            "pack the run directories again"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: dict(content[name]) for name in ("shared", "methods", "runs")}
    except MALFORMED as error:
        raise RunError(f"{path}: expected the settings of the packed runs, got: {error}") from error


def _table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    table = read_table(path, ("method", "seed", *columns))
    if table is None:
        raise RunError(f"{path}: expected the table beside {CASES} of a packed study, found none")
    return table


def _split(table: pd.DataFrame) -> dict[Identity, pd.DataFrame]:
    """The rows of each run, with the columns that it has a value in."""
    parts = {}
    for identity, rows in table.groupby(["method", "seed"], sort=False):
        method, seed = (str(part) for part in identity)
        own = rows.drop(columns=[name for name in IDENTITY if name in rows]).reset_index(drop=True)
        measured = [name for name in own if name in CASE_COLUMNS or own[name].notna().any()]
        parts[method, int(seed)] = own[measured]
    return parts


def _run(
    folder: Path,
    identity: Identity,
    row: Mapping[Hashable, Any],
    own: Flat,
    cases: pd.DataFrame,
    epochs: pd.DataFrame | None,
) -> Run:
    method, seed = identity
    return Run(
        folder=folder / method / f"seed{seed}",
        status=FINISHED,
        reason="",
        seed=seed,
        seconds=float(row["seconds"]),
        device=str(row["device"]),
        host=str(row["processor"]),  # studies name no machine
        processor=str(row["processor"]),
        commit=str(row["commit"]),
        data_digest=own.get("data", UNKNOWN),
        split_digest=own.get("split", UNKNOWN),
        choices=_below("choices.", own),
        settings=as_computed(_below("settings.", own), str(row["device"])),
        cases=cases,
        epochs=epochs,
        study=folder.absolute().name,
    )


def _below(prefix: str, flat: Flat) -> Flat:
    return {key.removeprefix(prefix): text for key, text in flat.items() if key.startswith(prefix)}
