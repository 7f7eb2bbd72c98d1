"""The live overview: counts, progress, time left and reasons, from run directories alone."""

import json
import os
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console, RenderableType
from synthetic import DEAD_PROCESS, this_process, write_run, write_unfinished

from rwseg.commands.report import main
from rwseg.experiments.run_claim import claimed
from rwseg.report.comparison.runs import read_directory
from rwseg.report.status import status
from rwseg.report.status.status import overview
from rwseg.report.status.sweep_state import all_left, look, seconds_left


def said(shown: RenderableType) -> str:
    console = Console(width=400, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(shown)
        return console.export_text()


COMMAND = "python train.py -m loss=rrw,ce 'seed=range(3)'"


def write_plan(
    root: Path,
    *runs: str,
    failed: Mapping[str, str] | None = None,
    command: str = COMMAND,
    pid: int = DEAD_PROCESS,
    folder: str = "",
) -> None:
    process = {"folder": folder, "host": socket.gethostname(), "pid": pid}
    content = {"command": command, **process, "runs": runs, "failed": failed or {}}
    (root / ".sweeps").mkdir(exist_ok=True)
    (root / ".sweeps" / f"{len(runs)}.json").write_text(json.dumps(content))


def test_the_overview_counts_and_explains(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path, seed=seed)
    write_unfinished(tmp_path, "failed", loss="ce", facts={"reason": "DataError: no space"})
    write_unfinished(tmp_path, "interrupted", loss="focal", done=4)
    running = write_unfinished(tmp_path, "running", loss="dice", done=2, epochs=6, facts=this_process())
    (tmp_path / "rrw" / "alone" / "seed2" / "config.yaml").unlink()
    with claimed(running):
        text = said(overview(look([tmp_path])))
    assert "6 runs: 2 finished, 1 running, 1 failed, 1 damaged, 1 interrupted" in text
    assert "the running ones need 3:20 more" in text  # 4 epochs of 50 s
    rows = [line for line in text.splitlines() if "seed" in line]
    for row, words in zip(rows, [("running", "2/6", "3:20"), ("failed", "2/6"), ("damaged",),
                                 ("interrupted", "4/6"), ("ce", ": DataError: no space"), ("rrw",)],
                          strict=True):  # fmt: skip
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
    assert "0/6" in said(overview(look([folder])))


def test_what_a_sweep_has_still_to_do_is_counted_with_its_time(tmp_path: Path) -> None:
    for seed, seconds in enumerate((200.0, 400.0)):
        write_run(tmp_path, seed=seed, facts={"seconds": seconds})
    running = [
        write_unfinished(tmp_path, "running", loss=loss, done=2, epochs=6, facts=this_process())
        for loss in ("rw_boundary", "dice")
    ]
    write_unfinished(tmp_path, "interrupted", loss="ce", done=5, epochs=6)
    write_unfinished(tmp_path, "interrupted", loss="focal", done=5, epochs=6)  # in no plan: nobody resumes it
    names = [f"{loss}/alone/seed{seed}" for loss in ("rrw", "rw_boundary", "dice", "ce") for seed in range(3)]
    write_plan(tmp_path, *names, failed={"ce/alone/seed2": "DataError: no data", "rrw/alone/seed1": "old"})
    write_plan(tmp_path, *names[:4])  # another sweep over some of them
    with claimed(running[0]), claimed(running[1]):
        state = look([tmp_path, tmp_path / "rrw"])
        text = said(overview(state))
    assert "13 runs: 2 finished, 2 running, 1 failed, 2 interrupted, 6 waiting" in text
    # two times 4 epochs of 50 s, one more epoch, and six times the mean of the finished; two processes
    assert all_left(state) == pytest.approx((2 * 200 + 50 + 6 * 300) / 2)
    assert "; about 18:45 left, 2 at a time, if those that wait take as long as the others" in text
    (row,) = (line for line in text.splitlines() if "no data" in line)
    assert row.strip() == f"{tmp_path}/ce/alone/seed2: DataError: no data"
    assert "old" not in text
    assert COMMAND not in text


def test_before_the_first_run_has_finished_the_running_one_is_the_measure(tmp_path: Path) -> None:
    running = write_unfinished(tmp_path, "running", done=2, epochs=6, facts=this_process())
    write_plan(tmp_path, "rrw/alone/seed0", "rrw/alone/seed1")
    with claimed(running):
        assert all_left(look([tmp_path])) == pytest.approx(200 + 300)
        (running / "metrics" / "epochs.csv").unlink()
        assert all_left(look([tmp_path])) is None
        assert "2 runs: 1 running, 1 waiting\n" in said(overview(look([tmp_path])))


def test_without_a_process_it_is_said_how_to_go_on(tmp_path: Path) -> None:
    write_run(tmp_path)
    write_run(tmp_path, loss="ce")
    write_plan(tmp_path, "rrw/alone/seed0", "rrw/alone/seed1", "gone/alone/seed0")
    write_plan(tmp_path, "ce/alone/seed0", command="python train.py -m done")
    text = said(overview(look([tmp_path])))
    assert "4 runs: 2 finished, 2 waiting\n" in text
    assert f"nothing is running; to go on, give again:\n  {COMMAND}\n" in text
    assert "-m done" not in text
    shutil.rmtree(tmp_path / "ce")
    assert "3 waiting" in said(overview(look([tmp_path])))


def test_a_reason_of_many_runs_is_told_once(tmp_path: Path) -> None:
    names = [f"ce/alone/seed{seed}" for seed in range(3)]
    write_plan(tmp_path, *names, failed=dict.fromkeys(names, "DataError: " + "no data " * 20))
    text = said(overview(look([tmp_path])))
    assert text.count("no data no data") == 10
    assert f"{tmp_path}/ce/alone/seed0 and 2 more: DataError: no data" in text


def test_commands_can_be_pasted_whole_from_a_narrow_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each on one line however long, and from another folder with the one that it was given in."""
    folder = tmp_path / "my study"
    folder.mkdir()
    command = "rwseg train -m " + " ".join(f"'setting{number}=[a, b]'" for number in range(20))
    write_plan(folder, "rrw/alone/seed0", command=command)
    write_plan(folder, "rrw/alone/seed0", "rrw/alone/seed1", command=command, folder=str(folder))
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.chdir(folder)
    assert main(["--status", "."]) == 0
    assert capsys.readouterr().out.endswith(f"to go on, give again:\n  {command}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["--status", "my study"]) == 0
    assert capsys.readouterr().out.endswith(f"\n  {command}\n  cd '{folder}' && {command}\n")


def test_between_two_runs_a_sweep_is_said_to_prepare_the_next(tmp_path: Path) -> None:
    write_run(tmp_path)
    write_plan(tmp_path, "rrw/alone/seed0", "rrw/alone/seed1", pid=os.getpid())
    text = said(overview(look([tmp_path])))
    assert "1 finished, 1 waiting\na sweep is preparing its next run\n" in text
    assert COMMAND not in text


def test_a_folder_that_a_sweep_will_make_is_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path)
    write_plan(tmp_path, "rrw/alone/seed0", "ce/alone/seed0", "ce/alone/seed1")
    assert main(["--status", str(tmp_path / "ce")]) == 0
    assert "2 runs: 2 waiting" in capsys.readouterr().out
    assert main(["--status", str(tmp_path / "rrw"), str(tmp_path / "ce")]) == 0
    assert "3 runs: 1 finished, 2 waiting" in capsys.readouterr().out
    assert main(["--status", str(tmp_path / "focal")]) == 2


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
