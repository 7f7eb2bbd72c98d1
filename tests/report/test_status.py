"""The live overview: counts, progress, time left and reasons, from run directories alone."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console, RenderableType
from synthetic import this_process, write_run, write_unfinished

from rwseg.report import status
from rwseg.report.__main__ import main
from rwseg.report.runs import find_runs, read_directory
from rwseg.report.status import overview, seconds_left
from rwseg.rundir import claimed


def said(shown: RenderableType) -> str:
    console = Console(width=400, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(shown)
        return console.export_text()


def test_the_overview_counts_and_explains(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path, seed=seed)
    write_unfinished(tmp_path, "failed", loss="ce", facts={"reason": "DataError: no space"})
    write_unfinished(tmp_path, "interrupted", loss="focal", done=4)
    running = write_unfinished(tmp_path, "running", loss="dice", done=2, epochs=6, facts=this_process())
    (tmp_path / "rrw" / "alone" / "seed2" / "config.yaml").unlink()
    with claimed(running):
        text = said(overview(find_runs([tmp_path])))
    assert "6 runs: 2 finished, 1 running, 1 failed, 1 damaged, 1 interrupted" in text
    assert "the running ones need 3:20 more" in text  # 4 epochs of 50 s
    rows = [line for line in text.splitlines() if "seed" in line]
    for row, words in zip(rows, [("running", "2/6", "3:20"), ("failed", "2/6", "DataError: no space"),
                                 ("damaged",), ("interrupted", "4/6")], strict=True):  # fmt: skip
        assert all(word in row for word in words), row
    assert "expected the run's configuration" in " ".join(text.split())


def test_the_time_left_follows_the_last_epochs(tmp_path: Path) -> None:
    folder = write_unfinished(tmp_path, "failed", done=8, epochs=10)
    path = folder / "metrics" / "epochs.csv"
    seconds = [900.0, 900.0, 900.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    pd.read_csv(path).assign(seconds=seconds).to_csv(path, index=False)
    assert seconds_left(read_directory(folder)) == pytest.approx(2 * 30)


def test_before_the_first_epoch_nothing_is_promised(tmp_path: Path) -> None:
    folder = write_unfinished(tmp_path, "failed")
    (folder / "metrics" / "epochs.csv").unlink()
    assert seconds_left(read_directory(folder)) is None
    assert "0/6" in said(overview([read_directory(folder)]))


def test_the_command_shows_the_overview_and_needs_no_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path)
    assert main(["--status", str(tmp_path)]) == 0
    assert "1 runs: 1 finished" in capsys.readouterr().out
    assert main(["--status", str(tmp_path / "nowhere")]) == 2
    assert "expected a folder with run directories" in capsys.readouterr().err


def test_watching_ends_when_all_runs_have_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_unfinished(tmp_path, "interrupted", loss="rrw")
    finished = write_run(tmp_path / "elsewhere")

    def complete(seconds: float) -> None:
        for name in ("run.json", "metrics/cases.csv"):
            (folder / name).write_text((finished / name).read_text())

    monkeypatch.setattr(status, "sleep", complete)
    assert main(["--status", "--watch", str(tmp_path / "rrw")]) == 0
    assert "1 runs: 1 finished" in capsys.readouterr().out


def test_watching_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_unfinished(tmp_path, "interrupted")

    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "sleep", stop)
    watch: Callable[[list[str]], int] = main
    assert watch(["--status", "--watch", str(tmp_path)]) == 130
