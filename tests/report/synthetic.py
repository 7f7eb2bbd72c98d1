"""Run directories as train.py leaves them, with made-up numbers."""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from rwseg.models.inference.whole_volumes import COLUMNS

LOSSES: Mapping[str, dict[str, Any]] = {
    "rrw": {"_target_": "rwseg.losses.RRWLoss", "spacing": None},
    "rw_boundary": {
        "_target_": "rwseg.losses.RegionWiseLoss",
        "region_map": "boundary",
        "rectify": False,
        "spacing": None,
    },
    "rw": {"_target_": "rwseg.losses.ComposedMapLoss", "map": ["rrw"], "spacing": None},
    "dice": {"_target_": "rwseg.losses.DiceLoss"},
    "ce": {"_target_": "rwseg.losses.CrossEntropyLoss"},
    "focal": {"_target_": "rwseg.losses.FocalLoss", "gamma": 2.0},
}
HEART = ("RV", "myocardium", "LV")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
DEAD_PROCESS = 2**22 + 1
"""No process has this number: Linux stops at 2 ** 22."""


def write_run(
    root: Path,
    loss: str = "rrw",
    strategy: str = "alone",
    seed: int = 0,
    *,
    dice: float = 0.9,
    cases: int = 8,
    phases: Sequence[str] = ("ED", "ES"),
    classes: Sequence[str] = HEART,
    epochs: int = 6,
    settings: Mapping[str, Any] | None = None,
    choices: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write `<root>/<loss>/<strategy>/seed<seed>` with a mean Dice near `dice`; returns it.

    `settings` are dotted keys that change the configuration, `choices` and `facts` entries of run.json.
    """
    folder = root / loss / strategy / f"seed{seed}"
    (folder / "metrics").mkdir(parents=True)
    table = case_table(np.random.default_rng([seed, *loss.encode()]), dice, cases, phases, classes)
    table.to_csv(folder / "metrics" / "cases.csv", index=False)
    final = table.groupby("class_name", sort=False)[["dice", "hausdorff"]].mean()
    epoch_table(final, epochs).to_csv(folder / "metrics" / "epochs.csv", index=False)
    (folder / "config.yaml").write_text(yaml.safe_dump(config(loss, strategy, seed, epochs, settings or {})))
    content = {
        "status": "finished",
        "reason": None,
        "host": "station",
        "pid": 1,
        "device": "cpu",
        "git_commit": COMMIT,
        "choices": {"experiment": "study", "dataset": "acdc", "loss": loss, "strategy": strategy,
                    "augment": "none", **(choices or {})},
        "data_digest": "d" * 32,
        "split_digest": "5" * 16,
        "seconds": 60.0 * epochs,
        **(facts or {}),
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(content))
    return folder


def write_unfinished(root: Path, status: str, *, done: int = 2, epochs: int = 6, **named: Any) -> Path:
    """A run of `write_run` with another `status` after `done` epochs: without cases.csv."""
    folder = write_run(root, epochs=epochs, facts={"status": status, **named.pop("facts", {})}, **named)
    (folder / "metrics" / "cases.csv").unlink()
    path = folder / "metrics" / "epochs.csv"
    pd.read_csv(path).head(done).to_csv(path, index=False)
    return folder


def this_process() -> dict[str, Any]:
    """Facts of a run that this very process writes."""
    return {"host": socket.gethostname(), "pid": os.getpid()}


def case_table(
    rng: np.random.Generator, dice: float, cases: int, phases: Sequence[str], classes: Sequence[str]
) -> pd.DataFrame:
    """`cases` volumes, each subject once per phase; cases differ in difficulty alike in all runs."""
    difficulty = np.random.default_rng(7).normal(0, 0.04, (cases, len(classes)))
    values = np.clip(dice + rng.normal(0, 0.005) + difficulty + rng.normal(0, 0.01, difficulty.shape), 0, 1)
    step = max(1, len(phases))
    rows = []
    for case, label in np.ndindex(values.shape):
        subject = f"{case // step:03}"
        phase = phases[case % step] if phases else None
        distance = 40 * (1 - values[case, label]) + rng.uniform(0, 2)
        identity = (f"{subject}_{case % step}", subject, phase, label + 1, classes[label])
        predicted = int(1000 * rng.uniform(0.9, 1.1))
        rows.append((*identity, values[case, label], distance, 0.6 * distance, "mm", 1000, predicted, 0, 0))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def epoch_table(final: pd.DataFrame, epochs: int) -> pd.DataFrame:
    """Validation that comes near its `final` values, a row per class, as 1 - 2 ** -epoch; 50 s an epoch."""
    share = 1 - 0.5 ** np.arange(1, epochs + 1)
    share[-1] = 1.0
    columns = {}
    for metric, course in (("dice", share), ("hausdorff", 2 - share)):
        columns[f"val/{metric}"] = final[metric].mean() * course
        columns |= {f"val/{metric}_{name}": value * course for name, value in final[metric].items()}
    frame = pd.DataFrame({"epoch": np.arange(epochs), "seconds": 50.0, **columns})
    return frame.assign(**{"train/loss": -share, "train/loss_gap": 1 - share})


def config(loss: str, strategy: str, seed: int, epochs: int, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with a few settings of every kind."""
    mode, _, partner = strategy.partition("_")
    content: dict[str, Any] = {
        "dataset": {"name": "acdc", "root": "/somewhere", "zoom": 0.5, "patch_size": [64, 48]},
        "loss": dict(LOSSES[loss]),
        "strategy": {"mode": mode, "partner": dict(LOSSES[partner]) if partner else None},
        "schedule": {"epochs": epochs, "learning_rate": 1e-3},
        "augment": {"flips": False},
        "evaluation": {"every": 1, "missed": "nan"},
        "stability": {"every": 25},
        "seed": seed,
        "output_root": "outputs",
    }
    for key, value in changes.items():
        *parents, last = key.split(".")
        place = content
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return content
