"""Code of a user's own, by the command in an empty folder: trained, edited, refused."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from trainings import run, start

from rwseg.core.errors import ConfigError
from rwseg.experiments.composition import preflight
from rwseg.experiments.load_run import load_run

MINE = """
import torch
from torch.nn import functional as F


class MyLoss(torch.nn.Module):
    def __init__(self, weight=1.0):
        super().__init__()
        self.weight = weight

    def forward(self, logits, labels):
        assert logits.dtype == torch.float32 and labels.dtype == torch.int64
        return self.weight * F.cross_entropy(logits, labels)
"""

LEARNT = """
import torch
from torch.nn import functional as F


class Learnt(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.log_variance = torch.nn.Parameter(torch.zeros(()))

    def forward(self, logits, labels):
        return F.cross_entropy(logits, labels) * torch.exp(-self.log_variance) + self.log_variance
"""


def said(words: list[str], folder: Path) -> tuple[int, str]:
    process = start(words, folder)
    output, _ = process.communicate(timeout=200)
    return process.returncode, output


def test_a_loss_of_ones_own_is_trained_and_its_edit_is_another_run(tiny: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    words = [*tiny, "schedule.epochs=1", "loss=custom", "loss._target_=mine.MyLoss", "+loss.weight=2"]
    words += ["model.deep_supervision=true", "strategy=equal_dice", "trainer.precision=bf16-mixed"]
    assert said(words, tmp_path)[0] == 0
    (folder,) = (path.parent for path in (tmp_path / "outputs").rglob("run.json"))
    parts = folder.relative_to(tmp_path / "outputs").parts
    assert parts[:4] == ("default", "phantom", "MyLoss", "equal_dice")
    facts = json.loads((folder / "run.json").read_text())
    assert (facts["status"], facts["choices"]["loss"]) == ("finished", "MyLoss")
    assert set(facts["sources"]) == {"loss"}
    assert set(facts["sources"]["loss"]) == {"mine"}
    assert said(words, tmp_path) == (0, f"{folder} is finished; nothing to do (force=true starts it over)\n")
    (tmp_path / "mine.py").write_text(MINE.replace("self.weight *", "3 * self.weight *"))
    status, output = said(words, tmp_path)
    assert status == 2
    assert "holds a run of other code, which was edited since:\n  - loss: module mine: saved" in output
    assert "give force=true to start over here" in output


def test_a_loss_of_pytorch_trains_with_its_options(tiny: list[str]) -> None:
    own = ["loss=custom", "loss._target_=torch.nn.CrossEntropyLoss", "+loss.label_smoothing=0.1"]
    folder = run([*tiny, "schedule.epochs=1", *own])
    epochs = pd.read_csv(folder / "metrics" / "epochs.csv")
    assert epochs["train/loss_gap"].iloc[0] > 0
    assert epochs["val/loss_gap"].iloc[0] > 0
    assert epochs["train/wrong_sign"].notna().all()


def test_a_loss_that_does_not_fit_is_refused_before_anything_is_prepared(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rwseg.experiments.run.prepare_run", lambda cfg: pytest.fail("prepared"))
    own = ["loss=custom", "loss._target_=torch.nn.CrossEntropyLoss", "+loss.reduction=none"]
    with pytest.raises(ConfigError, match=r"a scalar with a gradient from CrossEntropyLoss .*got"):
        run([*tiny, *own])
    assert not (tmp_path / "outputs").exists()
    assert len(preflight("train", ["-m", *tiny, *own])) == 1  # nothing is called there


def test_weights_that_a_loss_learns_are_trained_with_the_network(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "learnt_weight.py").write_text(LEARNT)
    folder = run([*tiny, "schedule.epochs=1", "loss=custom", "loss._target_=learnt_weight.Learnt"])
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert float(state["loss.main.loss.log_variance"]) != 0
    assert load_run(folder, device="cpu").classes[0] == "background"
