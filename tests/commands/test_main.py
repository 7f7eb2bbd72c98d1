"""`rwseg NAME ...` finds each command, says which there are, and hands its words on."""

import subprocess
import sys
from pathlib import Path

import pytest

from rwseg.commands import __main__ as program
from rwseg.commands.__main__ import COMMANDS, main


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["rwseg", *words])
    return main()


def test_every_command_has_a_module_and_every_module_is_a_command() -> None:
    modules = {path.stem for path in Path(program.__file__).parent.glob("*.py")} - {"__init__", "__main__"}
    assert set(COMMANDS) == modules


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_lists_the_commands(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, *words) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)


def test_a_mistyped_command_names_the_nearest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "reprot") == 2
    assert capsys.readouterr().err.endswith("got 'reprot'; did you mean report?\n")


def test_words_and_exit_status_are_the_commands_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call(monkeypatch, "report", "--status", str(tmp_path / "nowhere")) == 2
    assert capsys.readouterr().err.startswith("rwseg report: ")
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "report", str(tmp_path))


def test_predict_wants_images(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rwseg.commands", "predict", "run_dir=x"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (found.returncode, found.stdout) == (2, "")
    assert (
        found.stderr
        == "predict.py: input: expected a folder of images to predict, got none; give input=...\n"
    )
