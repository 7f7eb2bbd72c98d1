"""Run directories below any folders, read into `Run`; what is damaged is said in a sentence, not raised."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from rwseg.core.errors import MALFORMED, RunError
from rwseg.core.lease import holder_lives
from rwseg.experiments.run_claim import LOCK
from rwseg.experiments.run_directory import NO_EFFECT, comparable
from rwseg.experiments.run_status import read_run
from rwseg.experiments.sources import digest_of
from rwseg.metrics import ClassMetrics
from rwseg.report.comparison.comparison import Run

FINISHED, RUNNING, FAILED, INTERRUPTED = "finished", "running", "failed", "interrupted"
DAMAGED = "damaged"
"""Status of a directory that cannot be read; the others are those of run.json (docs/runs.md)."""

UNKNOWN = "unknown"

LARGEST = 1e12
"""No distance and no number of voxels comes near it, and sums of it do not overflow."""

COLUMNS = ("case", "subject", "phase", *ClassMetrics.__annotations__)
"""`rwseg.models.inference.whole_volumes.COLUMNS`, without the seconds that PyTorch and MONAI take to load."""

_TEXTS = ("case", "subject", "phase", "class_name", "unit")
_NUMBERS = tuple(name for name in COLUMNS if name not in _TEXTS)


def find_runs(folders: Iterable[Path]) -> list[Run]:
    """Read every run directory at or below `folders`, hidden ones left out, in the order of their paths.

    A directory that holds `run.json` or `config.yaml` is a run. A directory that two of `folders` lead to
    counts once. One with a faulty file has the status `damaged` and the fault as its reason; one whose
    process is gone is `interrupted`. Raises `RunError` for a folder that is not there or if none holds a run.
    """
    folders = list(folders)
    missing = [str(folder) for folder in folders if not folder.is_dir()]
    if missing:
        raise RunError(f"{', '.join(missing)}: expected a folder with run directories, found none")
    found: dict[Path, Path] = {}
    for folder in folders:
        for path in _run_folders(folder):
            found.setdefault(path.resolve(), path)
    if not found:
        raise RunError(
            f"{', '.join(map(str, folders))}: expected run directories that a training wrote (with run.json "
            "and config.yaml), found none"
        )
    return [read_directory(path) for path in sorted(found.values())]


def read_directory(folder: Path) -> Run:
    """Read one run directory; a faulty one comes back as a run with the status `damaged`."""
    try:
        return _read(folder)
    except RunError as error:
        return _run(folder, {}, {}, DAMAGED, str(error), None, None)


def _run_folders(folder: Path) -> Iterator[Path]:
    for place, below, files in os.walk(folder):
        if "run.json" in files or "config.yaml" in files:
            below.clear()  # nothing inside a run is a run
            yield Path(place)
        below[:] = sorted(name for name in below if not name.startswith("."))


def _read(folder: Path) -> Run:
    facts = read_run(folder)
    settings = {**_settings(folder / "config.yaml"), **_sources(facts)}
    status, reason = str(facts.get("status") or INTERRUPTED), str(facts.get("reason") or "")
    if status == RUNNING and holder_lives(folder / LOCK) is False:
        status, reason = INTERRUPTED, "its process ended without a word"
    epochs = _table(folder / "metrics" / "epochs.csv", ("epoch", "seconds"))
    if epochs is not None:
        _check_epochs(folder / "metrics" / "epochs.csv", epochs)
    cases = _table(folder / "metrics" / "cases.csv", COLUMNS)
    if cases is not None:
        _check_cases(folder / "metrics" / "cases.csv", cases)
    elif status == FINISHED:
        raise RunError(
            f"{folder}: expected metrics/cases.csv in a finished run, found none; start over with force=true"
        )
    return _run(folder, facts, settings, status, reason, cases, epochs)


def _run(
    folder: Path,
    facts: Mapping[str, Any],
    settings: dict[str, str],
    status: str,
    reason: str,
    cases: pd.DataFrame | None,
    epochs: pd.DataFrame | None,
) -> Run:
    return Run(
        folder=folder,
        status=status,
        reason=reason,
        seed=int(settings.pop("seed", "-1")),
        seconds=float(facts.get("seconds") or 0.0),
        device=str(facts.get("device") or UNKNOWN),
        host=str(facts.get("host") or UNKNOWN),
        processor=str(facts.get("processor") or UNKNOWN),
        commit=str(facts.get("git_commit") or UNKNOWN),
        data_digest=str(facts.get("data_digest") or UNKNOWN),
        split_digest=str(facts.get("split_digest") or UNKNOWN),
        choices=dict(facts.get("choices") or {}),
        settings=settings,
        cases=cases,
        epochs=epochs,
    )


def _settings(path: Path) -> dict[str, str]:
    """The flat settings of a `config.yaml`, whichever version of rwseg wrote it: the guard compares them."""
    try:
        cfg = OmegaConf.load(path)
        if not isinstance(cfg, DictConfig) or not str(cfg.get("seed")).isdecimal():
            raise RunError(f"{path}: expected the configuration of a run with its seed, got something else")
        return comparable(cfg)
    except FileNotFoundError as error:
        raise RunError(f"{path}: expected the run's configuration beside run.json, found no file") from error
    except (YAMLError, OmegaConfBaseException, *MALFORMED) as error:
        raise RunError(f"{path}: expected a configuration in YAML, got: {error}") from error


def _sources(facts: Mapping[str, Any]) -> dict[str, str]:
    """The code of the user's own as settings: `loss.source` belongs to `loss`, and is compared with it."""
    found = {f"{key}.source": json.dumps(digest_of(one)) for key, one in (facts.get("sources") or {}).items()}
    return {key: text for key, text in found.items() if key.partition(".")[0] not in NO_EFFECT}


def _table(path: Path, columns: Iterable[str]) -> pd.DataFrame | None:
    """The table, None where there is none yet; identifiers stay text, so that case 007 is not case 7."""
    if not path.is_file():
        return None
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(_TEXTS, "str"), keep_default_na=False, na_values=[""])
    except MALFORMED as error:
        raise RunError(f"{path}: expected a table in CSV, got: {error}") from error
    absent = [name for name in columns if name not in table]
    if absent:
        raise RunError(
            f"{path}: expected columns {', '.join(columns)}, found no {', '.join(absent)}; "
            "another version of rwseg wrote it: train the run again with force=true, or report it "
            "with that version"
        )
    return table


def _check_epochs(path: Path, epochs: pd.DataFrame) -> None:
    """Every column holds numbers; a loss may be infinite, what a report calculates with may not."""
    faults = [f"{name} is not a number throughout" for name in epochs if epochs[name].dtype.kind not in "if"]
    used = [
        name
        for name in map(str, epochs)
        if name.startswith(("epoch", "seconds", "val/dice", "val/hausdorff"))
    ]
    faults = faults or [
        f"{name} is {epochs.loc[wrong, name].iloc[0]:g} in a row"
        for name in used
        if (wrong := (epochs[name] < 0) | (epochs[name] > LARGEST)).any()
    ]
    if epochs[["epoch", "seconds"]].isna().any(axis=None):
        faults.append("a row has no epoch or no seconds")
    if faults:
        raise RunError(f"{path}: expected a row of numbers per epoch, but {'; '.join(faults)}")


def _values_out_of_range(cases: pd.DataFrame) -> list[str]:
    """A Dice is in [0, 1], other numbers are finite and not negative; NaN says that there is none."""
    limits = {name: LARGEST for name in _NUMBERS} | {"dice": 1.0, "missed": 1.0, "spurious": 1.0}
    return [
        f"{name} is {cases.loc[wrong, name].iloc[0]:g} in case {cases.loc[wrong, 'case'].iloc[0]}"
        for name, most in limits.items()
        if (wrong := (cases[name] < 0) | (cases[name] > most)).any()
    ]


def _check_cases(path: Path, cases: pd.DataFrame) -> None:
    faults = [f"{name} is not a number throughout" for name in _NUMBERS if cases[name].dtype.kind not in "if"]
    faults = faults or _values_out_of_range(cases)
    twice = cases.loc[cases.duplicated(["case", "class_name"]), "case"]
    if len(twice):
        faults.append(f"case {twice.iloc[0]} has a class twice")
    units = [str(unit) for unit in cases["unit"].unique()]
    if units and units not in (["mm"], ["px"]):
        faults.append(f"its unit is {' and '.join(units)} where it should be mm or px throughout")
    if cases.empty:
        faults.append("it has no rows")
    if cases[["case", "class_name"]].isna().any(axis=None):
        faults.append("a case or class has no name")
    if faults:
        raise RunError(f"{path}: expected a row per case and class, but {'; '.join(faults)}")
