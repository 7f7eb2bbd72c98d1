"""`rwseg NAME ...` finds each command, says which there are, and hands its words on."""

import sys
from pathlib import Path

import pytest

import rwseg
from rwseg.commands import __main__ as program
from rwseg.commands.__main__ import COMMANDS, main


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["rwseg", *words])
    return main()


def test_every_command_has_a_module_and_every_module_is_a_command() -> None:
    modules = {path.stem for path in Path(program.__file__).parent.glob("*.py")} - {"__init__", "__main__"}
    assert {name.replace("-", "_") for name in COMMANDS} == modules


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
        call(monkeypatch, "report", "--no-such-option")


def test_predict_wants_runs_images_and_a_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "predict", "run_dir=x")
    assert capsys.readouterr().err.splitlines() == [
        "rwseg predict: input: expected a folder of images to predict, got none; give input=...",
        "output: expected a folder for the predictions, got none; give output=...",
    ]
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "predict", "run_dir=x", "input=a", "output=b", "split=val")
    assert capsys.readouterr().err.startswith("rwseg predict: unknown key 'split'")


def test_predict_explains_itself(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        call(monkeypatch, "predict", "--help")
    first, *others = capfd.readouterr().out.splitlines()
    assert first.endswith("predict RUN [RUN ...] INPUT -o OUTPUT [--overlays] [setting=value] ...")
    assert not any(line.startswith("split") for line in others)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("rwseg ", {"train", "predict", "report"}),
        ("rwseg pre", {"predict"}),
        ("rwseg train loss=rrw experiment=table2", {"experiment=table2_acdc"}),
        ("rwseg predict run_dir=x ch", {"checkpoint="}),
        ("rwseg plan loss=ia", set()),
        ("rwseg plan loss=io", {"loss=iou"}),
        ("rwseg report outputs/", set()),
    ],
)
def test_a_shell_completes_commands_and_their_words(
    line: str, words: set[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    assert call(monkeypatch, "-sc", "query=bash") == 0
    found = set(capfd.readouterr().out.split())
    assert words <= found
    assert words or not found


@pytest.mark.parametrize("words", [("-sc",), ("train", "-sc"), ("predict", "--shell-completion")])
def test_completion_is_installed_for_the_program(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COMP_LINE", raising=False)
    assert call(monkeypatch, *words, "install=bash") == 0
    assert capfd.readouterr().out.rstrip().endswith("-F hydra_bash_completion rwseg")


def test_the_version_is_the_package_s(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"rwseg {rwseg.__version__}\n"
