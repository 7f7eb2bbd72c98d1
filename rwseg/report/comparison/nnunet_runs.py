"""Trainings of nnU-Net v2 as runs: `DatasetXXX_NAME/TRAINER__PLANS__CONFIGURATION/fold_*/validation`."""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from rwseg.core.errors import MALFORMED, DataError, RunError
from rwseg.data.datasets.nnunet_json import read_description
from rwseg.report.comparison.comparison import DAMAGED, FINISHED, INTERRUPTED, UNKNOWN, Run
from rwseg.report.comparison.nnunet_cases import fold_cases
from rwseg.report.comparison.nnunet_logs import fold_epochs
from rwseg.report.comparison.run_tables import check_cases

FOLD, ALL = re.compile(r"fold_(\d+|all)"), "fold_all"

TRAINED_WITH = (
    "num_epochs",
    "num_iterations_per_epoch",
    "initial_lr",
    "weight_decay",
    "oversample_foreground_percent",
    "batch_size",
    "enable_deep_supervision",
)
"""What debug.json has of the trainer's settings: those that other trainers change."""

NO_SEED = "nnU-Net seeds nothing: its trainings of one trainer are told apart by their folder of results"
NO_SUBJECT = "its results name no subjects, so that each case counts as a patient of its own"


def is_fold(folder: Path) -> bool:
    """Whether `folder` is the `fold_X` of a model of nnU-Net."""
    return FOLD.fullmatch(folder.name) is not None and (folder.parent / "plans.json").is_file()


def nnunet_runs(folds: Iterable[Path]) -> list[Run]:
    """A run for each model of which `folds` are some folds, in the order of their paths.

    A run is the cross-validation over these folds: each case is predicted by the network that did not train
    on it. nnU-Net has no seeds; a run is numbered by the place of its folder of results (`nnUNet_results`)
    among those of all. A faulty one has the status `damaged`, one of whose folds was not validated is
    `interrupted`.
    """
    models: dict[Path, list[Path]] = defaultdict(list)
    for fold in sorted(folds):
        models[fold.parent].append(fold)
    roots = sorted({model.resolve().parents[1] for model in models})
    return [
        _read_or_damaged(model, own, roots.index(model.resolve().parents[1])) for model, own in models.items()
    ]


def _read_or_damaged(model: Path, folds: Sequence[Path], seed: int) -> Run:
    nothing = Run(
        folder=model,
        status=DAMAGED,
        reason="",
        seed=seed,
        seconds=0.0,
        device=UNKNOWN,
        host=UNKNOWN,
        processor=UNKNOWN,
        commit=UNKNOWN,
        data_digest=UNKNOWN,
        split_digest=UNKNOWN,
        choices={},
        settings={},
        cases=None,
        epochs=None,
    )
    try:
        return _read(nothing, folds)
    except (RunError, DataError) as error:
        return replace(nothing, reason=str(error))


def _read(run: Run, folds: Sequence[Path]) -> Run:
    validated = [fold for fold in folds if fold.name != ALL]
    if not validated:
        raise RunError(
            f"{folds[0]}: expected a fold with cases that were not trained on, got a training on all"
        )
    facts = _alike({fold.name: _json(fold / "debug.json") for fold in validated})
    settings, choices = _settings(run.folder, facts)
    run = replace(run, settings=settings, choices=choices, host=facts.get("hostname", UNKNOWN))
    run = replace(run, device=facts.get("gpu_name", facts.get("device", UNKNOWN)))
    missing = [fold.name for fold in validated if not (fold / "validation" / "summary.json").is_file()]
    if missing:
        reason = f"{', '.join(missing)}: no validation/summary.json, which nnUNetv2_train writes at its end"
        return replace(run, status=INTERRUPTED, reason=reason)
    description = read_description(run.folder / "dataset.json")
    parts, remarks = zip(*(fold_cases(fold, description) for fold in validated), strict=True)
    cases = pd.concat(parts, ignore_index=True)
    check_cases(run.folder, cases)
    seconds, epochs = fold_epochs(validated)
    split = {fold.name: sorted(set(part["case"])) for fold, part in zip(validated, parts, strict=True)}
    return replace(
        run,
        status=FINISHED,
        seconds=seconds,
        data_digest=_digest(_bytes_of_data(run.folder)),
        split_digest=_digest([json.dumps(split).encode()]),
        cases=cases,
        epochs=epochs,
        remarks=(NO_SEED, NO_SUBJECT, *dict.fromkeys(remark for remark in remarks if remark)),
    )


def _settings(model: Path, facts: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The settings that decide a result, and the option of each group, by a model's name and plans."""
    parts = model.name.split("__")
    known = _json(model / "plans.json").get("configurations", {})
    if len(parts) != 3 or parts[2] not in known:
        raise RunError(
            f"{model}: expected a folder TRAINER__PLANS__CONFIGURATION, with one of the configurations "
            f"{', '.join(known)} of its plans.json, got another name"
        )
    trainer, plans, configuration = parts
    words = json.loads(facts.get("rwseg_loss") or "{}").get("words", "")
    own = trainer if trainer != "nnUNetTrainerRwsegLoss" else f"{trainer} {words}"
    plan = dict(_inherited(known, configuration))
    values = {
        "loss.trainer": own,
        "strategy.trainer": own,
        "dataset.name": model.parent.name,
        "plan.name": plans,
        "plan.configuration": configuration,
        **{f"plan.{key}": value for key, value in sorted(plan.items())},
        **{f"trainer.{key}": facts[key] for key in TRAINED_WITH if key in facts},
    }
    return {key: json.dumps(value) for key, value in values.items()}, {"loss": own, "strategy": "alone"}


def _inherited(known: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    """The entries of a configuration, those that it inherits first."""
    if "inherits_from" in known[name]:
        yield from _inherited(known, known[name]["inherits_from"])
    yield from known[name].items()


def _alike(each: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """What the folds of a model have in common; `RunError` where they were trained differently."""
    (first, facts), *others = each.items()
    for name, other in others:
        for key in (*TRAINED_WITH, "rwseg_loss"):
            if facts.get(key) != other.get(key):
                raise RunError(
                    f"{key}: expected folds that were trained alike, got {facts.get(key)} in {first} and "
                    f"{other.get(key)} in {name}; report each by itself"
                )
    return facts


def _bytes_of_data(model: Path) -> Iterator[bytes]:
    """What nnU-Net keeps of the data beside a model: its description and its fingerprint."""
    for name in ("dataset.json", "dataset_fingerprint.json"):
        path = model / name
        yield path.read_bytes() if path.is_file() else b""


def _digest(parts: Iterable[bytes]) -> str:
    return hashlib.blake2b(b"\0".join(parts), digest_size=16).hexdigest()


def _json(path: Path) -> dict[str, Any]:
    """The object in a file; nothing where there is no file."""
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except MALFORMED as error:
        raise RunError(f"{path}: expected what nnU-Net writes, got: {error}") from error
