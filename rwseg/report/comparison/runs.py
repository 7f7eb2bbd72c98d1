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
from rwseg.report.comparison.comparison import DAMAGED, FINISHED, INTERRUPTED, RUNNING, UNKNOWN, Run
from rwseg.report.comparison.nnunet_runs import is_fold, nnunet_runs
from rwseg.report.comparison.packed_runs import CASES, as_computed, read_packed
from rwseg.report.comparison.run_tables import read_cases, read_epochs


def find_runs(folders: Iterable[Path], with_nnunet: bool = True) -> list[Run]:
    """Read every run directory at or below `folders`, hidden ones left out, in the order of their paths.

    A directory that holds `run.json` or `config.yaml` is a run, one that holds `runs.csv.gz` the packed runs
    of a study, and `with_nnunet` the folds of nnU-Net's models (`nnunet_runs`) are read and measured as well.
    A directory that two of `folders` lead to counts once. A run with a faulty file has the status
    `damaged` and the fault as its reason; one whose process is gone is `interrupted`. Raises `RunError` for a
    folder that is not there, a faulty packed study, or if there is no run.
    """
    folders = list(folders)
    missing = [str(folder) for folder in folders if not folder.is_dir()]
    if missing:
        raise RunError(f"{', '.join(missing)}: expected a folder with run directories, found none")
    found: dict[Path, Path] = {}
    for folder in folders:
        for path in _run_folders(folder):
            if with_nnunet or not is_fold(path):
                found.setdefault(path.resolve(), path)
    if not found:
        raise RunError(
            f"{', '.join(map(str, folders))}: expected run directories that a training wrote (with run.json "
            "and config.yaml), or models that nnU-Net v2 trained, found none"
        )
    folds = [path for path in found.values() if is_fold(path)]
    own = sorted(path for path in found.values() if path not in folds)
    return [*(run for path in own for run in _runs_in(path)), *nnunet_runs(folds)]


def read_directory(folder: Path) -> Run:
    """Read one run directory; a faulty one comes back as a run with the status `damaged`."""
    try:
        return _read(folder)
    except RunError as error:
        return _run(folder, {}, {}, DAMAGED, str(error), None, None)


def _run_folders(folder: Path) -> Iterator[Path]:
    for place, below, files in os.walk(folder):
        if "run.json" in files or "config.yaml" in files or CASES in files or is_fold(Path(place)):
            below.clear()  # nothing inside a run is a run
            yield Path(place)
        below[:] = sorted(name for name in below if not name.startswith("."))


def _runs_in(folder: Path) -> list[Run]:
    return read_packed(folder) if (folder / CASES).is_file() else [read_directory(folder)]


def _read(folder: Path) -> Run:
    facts = read_run(folder)
    settings = {**_settings(folder / "config.yaml"), **_sources(facts)}
    settings = as_computed(settings, str(facts.get("device")), facts.get("precision"))
    status, reason = str(facts.get("status") or INTERRUPTED), str(facts.get("reason") or "")
    if status == RUNNING and holder_lives(folder / LOCK) is False:
        status, reason = INTERRUPTED, "its process ended without a word"
    epochs = read_epochs(folder / "metrics" / "epochs.csv")
    cases = read_cases(folder / "metrics" / "cases.csv")
    if cases is None and status == FINISHED:
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
