"""Damaged run directories, by the hundred: what is wrong is said, and nothing ends in a traceback."""

import json
import os
from pathlib import Path

import mutations as damage
import numpy as np
import pytest
import torch
from made_run import make_run
from PIL import Image
from synthetic import write_run

from rwseg.predict import predict_folder
from rwseg.report.numbers import compare
from rwseg.report.runs import DAMAGED, find_runs, read_directory
from rwseg.report.status import overview
from rwseg.report.sweep_state import look
from rwseg.sweep import FOLDER
from rwseg.trained import load_trained

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("FUZZ", "60"))
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
    found = damage.outcomes(
        lambda: load_trained(run, "last", CPU), run / name, mutation, COUNT, named=str(run)
    )
    assert found["refused"] > COUNT // 10


def test_a_damaged_record_of_predictions_is_read_or_named(tiny: list[str], tmp_path: Path) -> None:
    members = [load_trained(make_run(tmp_path / "run", tiny), "last", CPU)]
    images, output = tmp_path / "images", tmp_path / "output"
    images.mkdir()
    Image.fromarray(np.arange(40 * 50, dtype=np.uint8).reshape(40, 50)).save(images / "a.png")

    def predict() -> None:
        predict_folder(members, images, output, "last", force=False)

    predict()
    found = damage.outcomes(predict, output / "predictions.json", JSON, COUNT, named=str(output))
    assert found["refused"] > COUNT // 10
