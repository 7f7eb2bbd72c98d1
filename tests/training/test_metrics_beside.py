"""Runs whose metrics are measured beside the network: the tables are the same, to the bit."""

import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
from made_run import make_run
from trainings import TRAIN, run

from rwseg.experiments.composition import compose
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.schema import EvaluateConfig
from rwseg.experiments.config.validation import check
from rwseg.experiments.evaluation import evaluate_run
from rwseg.models.inference.metrics_pool import MetricsPool

TIMES = ["seconds", "train_seconds", "data_seconds"]

AT_ONCE = """
import runpy, sys
from rwseg.models.inference.metrics_pool import MetricsPool
from rwseg.training import lightning_module

number, sys.argv[0] = int(sys.argv.pop(1)), sys.argv.pop(1)

class AtOnce(MetricsPool):
    def __init__(self, _):
        super().__init__(number, seconds_here=0)

    def close(self):
        print("has processes:", self._executor is not None, flush=True)
        super().close()

lightning_module.MetricsPool = AtOnce
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Closed(MetricsPool):
    """A process from the first case on, whatever is asked for; notes whether they were there to end."""

    had_processes: ClassVar[list[bool]] = []

    def __init__(self, _: int) -> None:
        super().__init__(1, seconds_here=0)

    def close(self) -> None:
        self.had_processes.append(self._executor is not None)
        super().close()


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What `Closed` notes."""
    monkeypatch.setattr(Closed, "had_processes", [])
    return Closed.had_processes


def tables(folder: Path) -> tuple[str, pd.DataFrame]:
    epochs = pd.read_csv(folder / "metrics" / "epochs.csv")
    return (folder / "metrics" / "cases.csv").read_text(), epochs.drop(columns=TIMES)


def same_tables(one: Path, other: Path) -> None:
    (cases, epochs), (other_cases, other_epochs) = tables(one), tables(other)
    assert cases == other_cases
    pd.testing.assert_frame_equal(epochs, other_epochs, check_exact=True)


@pytest.mark.slow
def test_a_training_writes_the_same_tables_and_ends_the_processes(
    tiny: list[str], tmp_path: Path, beside: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [*tiny, "schedule.epochs=2", "evaluation.cases=2"]
    alone = run(few)
    monkeypatch.setattr("rwseg.training.lightning_module.MetricsPool", Closed)
    same_tables(alone, run([*few, f"output_root={tmp_path / 'together'}"]))
    assert beside == [True]


@pytest.mark.slow
def test_an_evaluation_writes_the_same_table(
    tiny: list[str], tmp_path: Path, beside: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(tmp_path / "run", tiny)

    def evaluated(name: str) -> str:
        words = [f"run_dir={folder}", "trainer=cpu", "overlays=0", f"name={name}"]
        return (evaluate_run(check(compose("evaluate", words)[0], EvaluateConfig)) / "cases.csv").read_text()

    alone = evaluated("alone")
    monkeypatch.setattr("rwseg.experiments.evaluation.MetricsPool", Closed)
    assert evaluated("together") == alone
    assert beside == [True]


@pytest.mark.slow
def test_processes_that_train_together_measure_beside_their_networks(tiny: list[str], tmp_path: Path) -> None:
    """Each has a process of its own; one rank has two volumes, the other one."""
    settings = [*tiny, "dataset.batch_size=4", "schedule.epochs=2", "evaluation.cases=3"]
    script = tmp_path / "at_once.py"
    script.write_text(AT_ONCE)
    found = []
    for number in (0, 1):
        outputs = tmp_path / f"beside{number}"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
        ended = subprocess.run(
            [*command, script, str(number), TRAIN, *settings, f"output_root={outputs}"],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CONF.parent)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert ended.stdout.count(f"has processes: {number == 1}") == 2, ended.stdout
        [record] = outputs.rglob("run.json")
        found.append(record.parent)
    same_tables(*found)
