"""A command from its line to its exit status: what it prints, and what it leaves behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from rwseg.core.errors import DataError
from rwseg.experiments import composition as cli
from rwseg.experiments.command import run_command
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.schema import Choices, TrainConfig
from rwseg.experiments.config.validation import plain

ROOT = CONF.parent

Task = Callable[[TrainConfig, Choices], None]


def start(command: str, *arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RWSEG_")}
    line = [sys.executable, str(ROOT / f"{command}.py"), *arguments]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `run_command(task, "train")` in an empty folder with a command line; returns the exit status."""

    def run(task: Task, *arguments: str) -> int:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        monkeypatch.setattr("logging.basicConfig", lambda **_: None)  # pytest's own handlers stay
        try:
            run_command(task, "train")
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run


@pytest.mark.parametrize("arguments", [[], ["-m", "seed=0,1"]])
@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_ends_a_command_in_a_line(
    call: Callable[..., int],
    arguments: list[str],
    number: signal.Signals,
    status: int,
    word: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    started = []

    def task(cfg: TrainConfig, choices: Choices) -> None:
        started.append(cfg.seed)
        signal.raise_signal(number)

    assert call(task, *arguments) == status
    assert started == [0]
    assert capsys.readouterr().err == f"train.py: {word}; give the same command again to go on\n"


def test_the_task_gets_the_checked_configuration_and_the_choices(call: Callable[..., int]) -> None:
    seen: list[tuple[TrainConfig, Choices]] = []

    def task(cfg: TrainConfig, choices: Choices) -> None:
        seen.append((cfg, choices))

    assert call(task, "loss=ce", "schedule.learning_rate=1") == 0
    ((cfg, choices),) = seen
    assert choices["loss"] == "ce"
    assert isinstance(cfg.schedule.learning_rate, float)
    assert plain(cfg).keys() == cli.compose("train", [])[0].keys()


def test_errors_of_the_task_end_with_status_2_and_one_message(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def task(cfg: TrainConfig, choices: Choices) -> None:
        raise DataError("faulty: patient007")

    assert call(task) == 2
    assert capsys.readouterr() == ("", "train.py: faulty: patient007\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loss._target_=rwseg.losses.NoSuchLoss"], "NoSuchLoss"),
        (["loss=rw_boundary", "loss.region_map=bondary"], "bondary"),
    ],
)
def test_an_object_that_cannot_be_built_ends_with_status_2(
    overrides: list[str], message: str, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(lambda cfg, _: instantiate(cfg.loss), *overrides) == 2
    error = capsys.readouterr().err
    assert error.startswith("train.py: ")
    assert message in error
    assert "Traceback" not in error


def test_other_errors_are_not_swallowed(call: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    def task(cfg: TrainConfig, choices: Choices) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # else Hydra prints the traceback and ends with status 1
    with pytest.raises(ZeroDivisionError, match="a bug"):
        call(task)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (DataError("faulty: patient007"), "faulty: patient007"),
        (MemoryError("no more of it"), "MemoryError: no more of it"),
    ],
)
def test_a_failing_job_does_not_stop_a_sweep(
    fault: Exception, told: str, call: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    done: list[int] = []

    def task(cfg: TrainConfig, choices: Choices) -> None:
        if cfg.seed == 1:
            raise fault
        done.append(cfg.seed)

    assert call(task, "-m", "seed=0,1,2") == 2
    assert done == [0, 2]
    error = capsys.readouterr().err
    assert error == f"train.py: 1 of the sweep's jobs failed:\nseed=1: {told}\n"
    assert [path.name for path in tmp_path.rglob("*")] == ["outputs", "multirun.yaml"]


def test_show_the_configuration_in_an_empty_folder(tmp_path: Path) -> None:
    shown = start("train", "--cfg", "job", "--resolve", "dataset=acdc", folder=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert OmegaConf.create(shown.stdout) == OmegaConf.create(
        OmegaConf.to_container(cli.compose("train", ["dataset=acdc"])[0], resolve=True)
    )
    assert not list(tmp_path.iterdir())


def test_help_in_an_empty_folder(tmp_path: Path) -> None:
    shown = start("evaluate", "--help", folder=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"{sys.executable} {ROOT / 'evaluate.py'} run_dir=DIR")
    assert "trainer: auto, cpu, gpu" in shown.stdout
    assert not list(tmp_path.iterdir())


def test_a_mistyped_key_ends_the_command_with_status_2(tmp_path: Path) -> None:
    refused = start("train", "+los=rrw", folder=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "train.py: unknown key 'los' in '+los=rrw'; did you mean 'loss'?\n"
    assert not list(tmp_path.iterdir())
