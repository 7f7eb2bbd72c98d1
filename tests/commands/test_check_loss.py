"""rwseg check-loss: its words, its rows, its picture and its exit status."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib.image
import own_code
import pytest

from rwseg.commands.check_loss import main
from rwseg.core.errors import ConfigError
from rwseg.core.own_code import import_from_current_folder
from rwseg.experiments.named_loss import overrides_of
from rwseg.losses.battery import ROWS

BROKEN = """
import torch
from torch.nn import functional as F

class Loss(torch.nn.Module):
    def forward(self, logits, labels):
        return F.cross_entropy(torch.softmax(logits, 1), labels)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    compiled = "rwseg.losses.battery.execution.torch.compile"
    monkeypatch.setattr(compiled, lambda loss, backend: loss)  # seconds; tests/losses tests the row
    with own_code.own_folder(tmp_path) as folder:
        import_from_current_folder()
        yield folder


def test_a_row_each_a_picture_and_status_0(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["own_mine.MyLoss", "weight=2", "--classes", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "MyLoss, 3 classes"
    assert lines[-1] == "no row failed"
    assert all(any(line.startswith(f"  pass   {row}") for line in lines) for row in (*ROWS, "wrong signs"))
    picture = matplotlib.image.imread(folder / "outputs/check-loss/MyLoss.png")
    assert picture.shape[1] > 4 * picture.shape[0]  # labels, prediction, probability and gradient


@pytest.mark.parametrize(("more", "status"), [([], 1), (["--allow", "softmax"], 0)])
def test_what_fails_is_the_exit_status_unless_it_is_allowed(
    more: list[str], status: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_code.write(folder, "own_broken", BROKEN)
    assert main(["own_broken.Loss", "-o", "x.png", *more]) == status
    shown = capsys.readouterr().out
    assert ("1 row failed: softmax" if status else "no row failed") in shown
    assert "give logits to cross_entropy" in shown
    assert (folder / "x.png").is_file()


def test_what_cannot_be_called_fails_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["own_mine.Unfit"]) == 1
    shown = capsys.readouterr().out
    assert "fails  called" in shown
    assert "finite" not in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["own_mine.MyLos"],
            "rwseg check-loss: loss._target_=own_mine.MyLos: expected a 'MyLos' in",
        ),
        (["own_mine.MyLoss", "wieght=2"], "did you mean 'weight'?"),
        (["rrv"], "did you mean 'rrw'?"),
        (["weight=2"], "expected one loss, such as mine.MyLoss, rrw or loss=mine, got none"),
        (["rrw", "loss=ce"], "expected one loss, such as mine.MyLoss, rrw or loss=mine, got rrw loss=ce"),
        (["loss=rrw,ce"], "expected one loss, got 2"),
        (["rrw", "--classes", "1"], "--classes: expected 2 or more, with the background, got 1"),
        (["rrw", "-o", "figure"], "figure: expected the ending of a picture, such as .png"),
        (["rrw", "--allow", "nothing"], "--allow nothing: expected one of finite"),
    ],
)
def test_mistakes_are_told(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_words_become_those_of_a_training() -> None:
    assert overrides_of(["m.L", "a=1", "+loss.b=2"]) == [
        "loss=custom",
        "loss._target_=m.L",
        "+loss.a=1",
        "+loss.b=2",
    ]
    assert overrides_of(["focal", "gamma=3"]) == ["loss=focal", "loss.gamma=3"]
    assert overrides_of(["loss=mine", "loss.a=1"]) == ["loss=mine", "loss.a=1"]
    with pytest.raises(ConfigError, match="expected one loss"):
        overrides_of(["a.B", "c.D"])
