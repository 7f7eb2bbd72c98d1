"""The command: what it writes, prints and refuses, and how long 100 runs take."""

import io
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import study
from PIL import Image
from synthetic import write_run, write_unfinished

from rwseg.commands.report import main

pytestmark = pytest.mark.xdist_group("report_command")

LOSSES = {"rrw": 0.9, "ce": 0.88}


def write_study(root: Path, seeds: int = 2, cases: int = 8, epochs: int = 4) -> None:
    for loss, dice in LOSSES.items():
        for seed in range(seeds):
            write_run(root, loss, seed=seed, dice=dice, cases=cases, epochs=epochs)


class Reported(NamedTuple):
    """Runs, what the command said of them, and the report that it wrote; read only."""

    runs: Path
    printed: str
    errors: str
    folder: Path


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    folder = tmp_path_factory.mktemp("reported")
    runs, out, printed, errors = folder / "runs", folder / "out", io.StringIO(), io.StringIO()
    write_study(runs)
    study.add_showcases(study.read(runs))
    study.picture(runs / "rrw" / "alone" / "seed0" / "figures" / "cases.png", "a patient")
    with redirect_stdout(printed), redirect_stderr(errors):
        assert main([str(runs), "-o", str(out), "--title", "A | study"]) == 0
    return Reported(runs, printed.getvalue(), errors.getvalue(), out)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For reports whose figures nobody looks at: they take most of the time."""
    monkeypatch.setattr("rwseg.report.files.draw_figures", lambda comparison, folder: {})


def test_the_report_is_written_whole_and_the_main_table_printed(reported: Reported) -> None:
    _, printed, errors, out = reported
    assert errors == ""
    for word in ("A | study", "rrw", "ce", "myocardium", f"wrote {out / 'index.html'}"):
        assert word in printed
    names = ("results", "results_hd95", "tests", "phases", "convergence", "cost", "settings")
    found = {path.name for path in (out / "tables").iterdir()}
    assert {f"{name}.{suffix}" for name in names for suffix in ("md", "tex")} <= found
    assert {"results_onecolumn.tex", "results_hd95_onecolumn.tex", "training.csv"} <= found
    for name in (*names, "per_run", "curves", "distribution"):
        if name != "results_hd95":
            assert len(pd.read_csv(out / "tables" / f"{name}.csv")), name
    text = (out / "report.md").read_text()
    assert text.startswith("# A | study\n")
    for name in ("curves", "distribution", "differences"):
        assert f"](figures/{name}.png)" in text
        assert (out / "figures" / f"{name}.png").is_file()
        assert all((out / "figures" / f"{name}.{suffix}").is_file() for suffix in ("svg", "pdf"))
    assert "](figures/same_case.png)" in text
    with Image.open(out / "figures" / "same_case.png") as sheet:
        assert sheet.size[0] == int(180 / 25.4 * 300)
    assert (out / "figures" / "same_case.pdf").read_bytes().startswith(b"%PDF")
    assert "Missed structures" in text
    assert (out / "index.html").read_text().lstrip().lower().startswith("<!doctype html>")
    assert not [path for path in out.rglob(".*")]


@pytest.mark.slow
def test_the_same_runs_give_the_same_tables_and_stale_ones_go(
    reported: Reported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(reported.folder, out)
    (out / "index.html").unlink()
    assert main([str(reported.runs), "-o", str(out), "--title", "A | study"]) == 0
    first, again = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
        for folder in (reported.folder, out)
    )
    assert again == first
    (out / "tables" / "mine.txt").write_text("kept")
    monkeypatch.setattr("rwseg.report.files.draw_figures", lambda comparison, folder: {})
    assert main([str(reported.runs / "rrw"), "-o", str(out)]) == 0
    assert not (out / "tables" / "tests.csv").exists()
    assert not list((out / "figures").glob("differences.*"))
    assert not (out / "figures" / "training.pdf").exists()
    assert not list((out / "figures").glob("same_case.*"))  # it takes a second method
    assert (out / "tables" / "mine.txt").exists()


@pytest.mark.usefixtures("no_figures")
def test_refusals_end_with_status_2_and_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "runs", "rrw")
    write_run(tmp_path / "runs", "ce", facts={"git_commit": "e" * 40})
    out = tmp_path / "out"
    assert main([str(tmp_path / "runs"), "-o", str(out)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("rwseg report: the runs differ in more than what is compared")
    assert "Traceback" not in said.err
    assert not out.exists()
    assert main([str(tmp_path / "runs"), "-o", str(out), "--allow", "commit"]) == 0
    assert "Accepted although the runs differ in it: commit" in (out / "report.md").read_text()


def test_no_finished_run_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_unfinished(tmp_path, "failed", facts={"reason": "ValueError: bad"})
    assert main([str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "expected at least one finished run, got none" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "runs")
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "runs"), "-o", str(tmp_path / "file" / "out")]) == 2
    assert "expected a folder that can be written" in capsys.readouterr().err


@pytest.mark.usefixtures("no_figures")
def test_a_report_of_no_name_is_called_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs", phases=(), classes=("lesion",), cases=1)
    for _ in range(2):  # it replaces its own
        assert main(["runs"]) == 0
        assert "wrote report/index.html" in capsys.readouterr().out
    (tmp_path / "report" / "report.md").unlink()
    assert main(["runs"]) == 2
    assert capsys.readouterr().err.endswith("found another; give -o OUT\n")


def test_one_run_alone_gives_a_report(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", phases=(), classes=("lesion",), cases=1)
    assert main([str(tmp_path / "runs"), "-o", str(tmp_path / "out")]) == 0
    assert "One run only of rrw" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.usefixtures("no_figures")
def test_pictures_of_patients_can_be_left_out(reported: Reported, tmp_path: Path) -> None:
    assert main([str(reported.runs), "-o", str(tmp_path / "out"), "--no-gallery"]) == 0
    for folder, shown in ((reported.folder, True), (tmp_path / "out", False)):
        assert ("data:image/webp" in (folder / "index.html").read_text()) == shown
        assert (folder / "figures" / "same_case.png").exists() == shown
        assert ("same_case.png" in (folder / "report.md").read_text()) == shown


MEASURE = (
    "import re, sys, time\n"
    "from pathlib import Path\n"
    "from rwseg.commands.report import main\n"
    "assert main(sys.argv[1:]) == 0\n"
    "peak = re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]\n"
    "print(time.process_time(), int(peak) / 2**20)"
)
"""Seconds, gigabytes; not by `ru_maxrss`, which begins with the peak of the process that started this one."""


def measured(runs: Path, out: Path) -> tuple[float, float]:
    """Seconds of one core, for others may be busy, and gigabytes of a report."""
    command = [sys.executable, "-c", MEASURE, str(runs), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    seconds, gigabytes = map(float, done.stdout.splitlines()[-1].split())
    return seconds, gigabytes


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="its /proc tells the peak of memory")


@pytest.mark.slow
@on_linux
def test_a_hundred_runs_take_less_than_20_seconds_and_a_gigabyte(tmp_path: Path) -> None:
    write_study(tmp_path / "runs", seeds=50, cases=60, epochs=50)
    seconds, gigabytes = measured(tmp_path / "runs", tmp_path / "out")
    assert seconds < 20
    assert gigabytes < 1


@pytest.mark.slow
@on_linux
def test_fifty_seeds_of_fourteen_methods_take_less_than_a_minute(tmp_path: Path) -> None:
    study.write_fourteen(tmp_path / "runs", seeds=50, epochs=50)
    seconds, gigabytes = measured(tmp_path / "runs", tmp_path / "out")
    assert seconds < 60
    assert gigabytes < 2


@pytest.mark.slow
@on_linux
@pytest.mark.parametrize(("seeds", "cases"), [(2, 8334), (50, 334)])
def test_tables_of_a_hundred_thousand_rows_take_less_than_two_gigabytes(
    tmp_path: Path, seeds: int, cases: int
) -> None:
    for loss, dice in (("rrw", 0.9), ("ce", 0.88)):
        for seed in range(seeds):
            write_run(tmp_path / "runs", loss, seed=seed, dice=dice, cases=cases, phases=())
    tables = (tmp_path / "runs").rglob("cases.csv")
    assert sum(len(path.read_text().splitlines()) - 1 for path in tables) >= 100_000
    seconds, gigabytes = measured(tmp_path / "runs", tmp_path / "out")
    assert seconds < 120
    assert gigabytes < 2
