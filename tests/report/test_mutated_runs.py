"""Damaged run directories, by the hundred: what is wrong is said, and nothing ends in a traceback."""

import json
import sys
from pathlib import Path

import mutations as damage
import numpy as np
import pytest
import torch
from made_run import make_run
from PIL import Image
from synthetic import write_run

from rwseg.commands.report import main as report
from rwseg.core.errors import RunError
from rwseg.experiments.command import run_command
from rwseg.experiments.evaluation import evaluate_run
from rwseg.experiments.load_run import load_run
from rwseg.experiments.sweeps.manifest import FOLDER
from rwseg.models.inference.folder import predict_folder
from rwseg.report.comparison.compare import compare
from rwseg.report.comparison.comparison import DAMAGED
from rwseg.report.comparison.runs import find_runs, read_directory
from rwseg.report.status.status import overview
from rwseg.report.status.sweep_state import look

pytestmark = pytest.mark.slow

COUNT = 60
WORDS = damage.either(damage.words_changed, damage.words_changed, damage.bytes_changed)
JSON = damage.either(damage.values_changed, damage.values_changed, damage.bytes_changed)
CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "mutation"),
    [
        ("run.json", JSON),
        ("config.yaml", WORDS),
        ("metrics/epochs.csv", WORDS),
        ("metrics/cases.csv", WORDS),
    ],
)
def test_a_damaged_run_is_compared_or_called_damaged(
    tmp_path: Path, name: str, mutation: damage.Mutation
) -> None:
    folder = write_run(tmp_path, cases=3)
    write_run(tmp_path, "ce", cases=3)
    called = 0

    def read() -> None:
        nonlocal called
        run = read_directory(folder)
        called += run.status == DAMAGED
        assert run.status != DAMAGED or Path(name).name in run.reason
        overview(look([tmp_path]))
        if run.status != DAMAGED:
            compare(find_runs([tmp_path]))

    damage.outcomes(read, folder / name, mutation, COUNT, named="")
    assert called > COUNT // 10


def test_a_damaged_plan_of_a_sweep_is_read_or_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path, cases=3)
    names = [folder.relative_to(tmp_path).as_posix(), "rrw/alone/seed1"]
    content = {
        "command": "python train.py -m",
        "host": "a",
        "pid": 7,
        "runs": names,
        "failed": {names[1]: "x"},
    }
    plan = tmp_path / FOLDER / "0123.json"
    plan.parent.mkdir()
    plan.write_text(json.dumps(content))
    found = damage.outcomes(lambda: overview(look([tmp_path])), plan, JSON, COUNT)
    assert found["refused"] > COUNT // 10


@pytest.mark.parametrize(
    ("name", "mutation"),
    [
        ("checkpoints/last.ckpt", damage.bytes_changed),
        ("checkpoints/last.ckpt", damage.inside_zip),
        ("data.json", JSON),
        ("config.yaml", WORDS),
    ],
)
def test_a_damaged_trained_run_is_loaded_or_named(
    tiny: list[str], tmp_path: Path, name: str, mutation: damage.Mutation
) -> None:
    run = make_run(tmp_path / "run", tiny)
    found = damage.outcomes(lambda: load_run(run, "last", CPU), run / name, mutation, COUNT, named=str(run))
    assert found["refused"] > COUNT // 10


def test_a_damaged_record_of_predictions_is_read_or_named(tiny: list[str], tmp_path: Path) -> None:
    members = [load_run(make_run(tmp_path / "run", tiny), "last", CPU)]
    images, output = tmp_path / "images", tmp_path / "output"
    images.mkdir()
    Image.fromarray(np.arange(40 * 50, dtype=np.uint8).reshape(40, 50)).save(images / "a.png")

    def predict() -> None:
        predict_folder(members, images, output, "last", force=False)

    predict()
    found = damage.outcomes(predict, output / "predictions.json", JSON, COUNT, named=str(output))
    assert found["refused"] > COUNT // 10


@pytest.mark.parametrize(
    ("name", "mutation"),
    [
        ("checkpoints/last.ckpt", damage.inside_zip),
        ("data.json", damage.values_changed),
        ("config.yaml", damage.words_changed),
    ],
)
def test_evaluate_ends_in_a_sentence(
    tiny: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    mutation: damage.Mutation,
) -> None:
    """The command itself, on a few: status 2 and the file's name, where it does not go through."""
    run, images = make_run(tmp_path / "run", tiny), tmp_path / "images"
    images.mkdir()
    Image.fromarray(np.arange(40 * 50, dtype=np.uint8).reshape(40, 50)).save(images / "a.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)
    argv = ["evaluate.py", f"run_dir={run}", f"input={images}", f"output={tmp_path / 'out'}", "trainer=cpu"]
    monkeypatch.setattr(sys, "argv", [*argv, "force=true"])

    def command() -> None:
        try:
            run_command(lambda cfg, choices: evaluate_run(cfg), "evaluate")
        except SystemExit as stop:
            raise (RunError if stop.code == 2 else ValueError)(capsys.readouterr().err) from stop

    found = damage.outcomes(command, run / name, mutation, 12, named=str(run))
    assert found["refused"] > 2


def test_the_report_ends_in_a_table_or_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path, cases=3)
    statuses = []

    def command() -> None:
        statuses.append(report([str(tmp_path), "--status"]))

    for name, mutation in (("run.json", JSON), ("metrics/epochs.csv", WORDS), ("config.yaml", WORDS)):
        damage.outcomes(command, folder / name, mutation, 12)
    assert set(statuses) <= {0, 2}
    assert "damaged" in capsys.readouterr().out
