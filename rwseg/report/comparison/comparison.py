"""What a report says, as numbers: tables, figures and page are made from a `Comparison` and nothing else."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

FINISHED, UNKNOWN = "finished", "unknown"
RUNNING, FAILED, INTERRUPTED = "running", "failed", "interrupted"
DAMAGED = "damaged"
"""Status of a directory that cannot be read; the others are those of run.json (docs/runs.md)."""


@dataclass(frozen=True)
class Run:
    """One finished or unfinished run directory.

    `settings` are those that decide its result, flat (`{"schedule.epochs": "300"}`, values as JSON, without
    the seed); `choices` the option of each group (`{"loss": "rrw", "strategy": "alone", ...}`). `cases` is
    the last `cases.csv` (contract C6) and `epochs` the `epochs.csv`, None where there is none yet.
    """

    folder: Path
    status: str
    reason: str
    seed: int
    seconds: float
    device: str
    host: str
    processor: str
    commit: str
    data_digest: str
    split_digest: str
    choices: Mapping[str, str]
    settings: Mapping[str, str]
    cases: pd.DataFrame | None
    epochs: pd.DataFrame | None
    study: str = ""
    """The name of the packed study that it was read from, empty for a run directory."""
    remarks: tuple[str, ...] = ()
    """What a reader must know of how it was read."""


@dataclass(frozen=True)
class Method:
    """Runs that differ in their seed only; `name` tells what sets it apart: `rw_boundary + dice, equal`."""

    name: str
    runs: tuple[Run, ...]


def folders_below(runs: Iterable[Run]) -> dict[str, str]:
    """The folder of each run as it is named below what all of them share: reports name no machine."""
    folders = [run.folder for run in runs]
    shared = os.path.commonpath([folder.absolute().parent for folder in folders]) if folders else ""
    return {str(folder): os.path.relpath(folder.absolute(), shared) for folder in folders}


@dataclass(frozen=True)
class Comparison:
    """The numbers of a report. In all tables `method` is a method's name, in the order of `methods`.

    `class_name` is a foreground class or `mean` (the mean over classes); `metric` is `dice`, `hausdorff` or
    `hausdorff95`, the latter two in `unit` (`mm` or `px`).

    - `summary`: method, class_name, metric, mean, std (over cases, each averaged over runs), runs, cases,
      missed, spurious (structures that only the reference, or only the prediction has, over all runs).
    - `tests`: method (all but the reference), class_name, metric, pairs (cases), subjects, difference
      (method - reference), low, high (95 % bootstrap interval over subjects), p (over cases), stars (`*`
      where p < 0.05, as in the paper), p_subjects (the cases of a subject exchanged together), p_holm
      (p_subjects, corrected), p_runs (over runs).
    - `over_seeds`: a row per pair of methods, class and metric (`over_seeds.COLUMNS`): the difference that
      another seed and another patient would give.
    - `ranks`: method, rank, share (of resampled seeds and subjects in which it has that rank by mean Dice).
    - `per_run`: method, seed, folder (`folders_below`), class_name, metric, value, missed, spurious.
    - `phases`: method, phase, class_name, metric, mean, std, cases, missed, spurious (empty where the data
      has no phases).
    - `convergence`: method, runs, dice, std (over the runs' final mean Dice; std with division by n - 1, NaN
      for one run), collapsed (runs that lost a class), share, low, high (exact 95 % binomial interval of
      that share), p (two-sided against the reference), p_holm, slow, epoch (median epoch of convergence),
      oscillation (mean absolute change of validation Dice between validations in the second half of
      training).
    - `curves`: method, metric (`dice` or `hausdorff`), epoch, class_name, mean, low, high, runs
      (validation after epochs; band over runs).
    - `training`: method, quantity (`loss` or `loss_gap`), epoch, mean, low, high, runs (training losses, each
      method's in its own scale; band over runs).
    - `distribution`: method, value, share, low, high (empirical distribution of the runs' mean Dice with
      its 95 % confidence band).
    - `calibration`: method, runs, of, ece, ece_std, overconfidence, overconfidence_std; `reliability`:
      method, bin, low, high, pixels, confidence, accuracy (`calibration.calibration_tables`; empty where no
      run has kept its confidences).
    - `cost`: method, runs, seconds, seconds_per_epoch, device.
    - `settings`: key, then a column per method: only keys in which methods differ.
    """

    title: str
    methods: tuple[Method, ...]
    reference: str
    classes: tuple[str, ...]
    missed: str
    unit: str
    threshold: float | None
    summary: pd.DataFrame
    tests: pd.DataFrame
    over_seeds: pd.DataFrame
    ranks: pd.DataFrame
    per_run: pd.DataFrame
    phases: pd.DataFrame
    convergence: pd.DataFrame
    curves: pd.DataFrame
    training: pd.DataFrame
    distribution: pd.DataFrame
    calibration: pd.DataFrame
    reliability: pd.DataFrame
    cost: pd.DataFrame
    settings: pd.DataFrame
    notes: tuple[str, ...]
    """What a reader must know before believing the tables: one run only, unfinished runs, mixed commits."""
