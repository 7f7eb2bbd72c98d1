"""Every experiment runs from its files to its tables, on a few cases in the layout of its dataset."""

from pathlib import Path

import pandas as pd
import pytest
from challenge_trees import SMALL

from rwseg.experiments.composition import compose
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.validation import check
from rwseg.experiments.run import train_run
from rwseg.experiments.run_directory import run_path

EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
SHORT = [
    "trainer=cpu",
    "model.features=4",
    "schedule.epochs=1",
    "schedule.batches_per_epoch=2",
    "dataset.batch_size=2",
    "evaluation.flips=false",
    "workers=1",
]
"""What does not change how an experiment prepares, cuts and validates its data."""


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_is_called_by_its_names_alone(experiment: str) -> None:
    cfg, choices = compose("train", [f"experiment={experiment}"])
    names = (experiment, choices["dataset"], choices["loss"], choices["strategy"], f"seed{cfg.seed}")
    assert run_path(check(cfg), choices) == Path(cfg.output_root, *names)


@pytest.mark.usefixtures("four_names", "no_run_figures")
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_runs(
    experiment: str, phantom_root: Path, prepared_root: Path, tmp_path: Path
) -> None:
    asked = [f"experiment={experiment}", *SHORT, f"output_root={tmp_path / 'outputs'}"]
    _, choices = compose("train", asked)
    write = SMALL.get(choices["dataset"])  # the phantom has ACDC's layout
    root = phantom_root if write is None else write(tmp_path / "data")
    cfg, _ = compose("train", [*asked, f"dataset.root={root}", f"prepared_root={prepared_root}"])
    folder = train_run(check(cfg), choices)
    cases = pd.read_csv(folder / "metrics" / "cases.csv")
    everything = experiment == "acdc_challenge"  # trains on every case, and validates there
    expected = 2 if write else 8 if everything else 4
    assert (cases.groupby("class_name")["case"].nunique() == expected).all()
    assert cases["dice"].between(0, 1).any()
