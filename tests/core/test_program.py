"""The names and words of a command, as it was started."""

import shutil
import sys
from pathlib import Path

import pytest

from rwseg.core.program import COMMANDS, module, program, typed


def started(monkeypatch: pytest.MonkeyPatch, *words: str, script: str, which: str | None) -> None:
    monkeypatch.setattr(sys, "orig_argv", [*words, "seed=0"])
    monkeypatch.setattr(sys, "argv", [script, "seed=0"])
    monkeypatch.setattr(shutil, "which", {"rwseg": which}.get)


def test_a_script_of_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, ".venv/bin/python", "../train.py", script="../train.py", which="/usr/bin/rwseg")
    assert program() == "train.py"
    assert typed() == (".venv/bin/python", "../train.py")
    assert module() == ("../train.py",)


@pytest.mark.parametrize(
    ("which", "words"),
    [("/venv/bin/rwseg", ("rwseg", "train")), (None, ("python3", "-m", "rwseg.commands", "train"))],
)
def test_an_installed_command(
    which: str | None, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = str(COMMANDS / "train.py")
    started(monkeypatch, "python3", "/venv/bin/rwseg", "train", script=script, which=which)
    assert program() == "rwseg train"
    assert typed() == words
    assert module() == ("-m", "rwseg.commands.train")


def test_a_script_named_as_a_command_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, "python", "predict.py", script=str(tmp_path / "predict.py"), which=None)
    assert program() == "predict.py"
