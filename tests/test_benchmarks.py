"""The benchmarks run, and their page says what their files say."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import benchmarks.__main__ as runner
from benchmarks.document import page, ratio, read
from benchmarks.targets import TARGETS, Target
from benchmarks.timing import paired

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results" / "benchmarks"


def row(name: str, *samples: float) -> dict[str, Any]:
    return {"name": name, "ms": sorted(samples)[len(samples) // 2], "samples_ms": list(samples)}


def result(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "about": "Nails against screws.",
        "command": "python -m benchmarks.nails",
        "commit": "abc1234",
        "machine": {"cpu": "Abacus", "threads": 2, "gpu": None},
        "tables": {"driving": rows},
    }


NAILS = {"nails": result([row("screw", 30.0, 50.0, 40.0), row("nail", 10.0, 10.0, 20.0)])}


def target(
    what: str, least: float | None = None, most: float | None = None, benchmark: str = "nails"
) -> Target:
    return Target(what, benchmark, "driving", "screw", "nail", least, most)


def test_the_page_is_made_of_the_files_alone(tmp_path: Path) -> None:
    (tmp_path / "nails.json").write_text(json.dumps(NAILS["nails"]))
    targets = [
        target("faster", least=3),
        target("much faster", least=4),
        target("not slower", most=1),
        target("on a GPU", least=3, benchmark="nails-cuda"),
    ]
    text = page(read(tmp_path), targets)
    # ratios of the rounds: 3, 5, 2; their median is not the ratio of the medians, 4
    assert "| faster | at least 3 | 3 (2 to 5) | yes |" in text
    assert "| much faster | at least 4 | 3 (2 to 5) | **no** |" in text
    assert "| not slower | at most 1 | 3 (2 to 5) | **no** |" in text
    assert "| on a GPU | at least 3 | not measured (needs a GPU) |  |" in text
    assert "`python -m benchmarks.nails`, commit abc1234; cpu Abacus, threads 2." in text
    assert "| screw | 40 |" in text
    assert "samples" not in text


def test_a_page_of_nothing_says_so() -> None:
    text = page({}, TARGETS)
    assert text.count("not measured") == len(TARGETS)


def test_the_committed_page_is_what_the_committed_files_give() -> None:
    committed = (ROOT / "docs" / "benchmarks.md").read_text()
    assert committed == page(read(RESULTS)), "run python -m benchmarks.document"


def test_a_target_that_no_longer_fits_its_file_is_an_error() -> None:
    with pytest.raises(ValueError, match="nails: expected a table 'sawing', got 'driving'"):
        ratio(NAILS, "nails", "sawing", "screw", "nail")
    with pytest.raises(ValueError, match="expected a row 'bolt', got 'screw', 'nail'"):
        ratio(NAILS, "nails", "driving", "screw", "bolt")
    with pytest.raises(ValueError, match="expected one of least and most, got least=None, most=None"):
        target("anything")


def test_works_are_timed_in_turns_and_samples_are_kept() -> None:
    calls: list[str] = []
    rows = paired({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, "a", rounds=3)
    assert calls == ["a", "b"] * 4  # a round of warming up, which is not counted
    assert [len(one["samples_ms"]) for one in rows] == [3, 3]
    assert rows[0]["faster"] == 1


def test_every_benchmark_takes_the_options_of_the_runner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if command[0] == "git":
            return subprocess.CompletedProcess(command, 0, "abc1234\n")
        started.append(command[1:])
        Path(command[-1]).write_text(json.dumps({"machine": {}, "tables": {}}))
        return subprocess.CompletedProcess(command, int("maps" in command[2]))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("RWSEG_DATA", "somewhere")
    asked = ["losses", "maps", "--out", str(tmp_path), "--rounds", "2", "--device", "cuda"]
    assert runner.main(asked) == 1  # maps failed, losses ran all the same
    assert [command[:6] for command in started] == [
        ["-m", f"benchmarks.{name}", "--rounds", "2", "--device", "cuda"] for name in ("losses", "maps")
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["losses-cuda.json"]
    kept = json.loads((tmp_path / "losses-cuda.json").read_text())
    assert kept["command"] == "RWSEG_DATA=FOLDER python -m benchmarks.losses --rounds 2 --device cuda"
    assert kept["about"].startswith("Forward and backward")


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        runner.main(["knitting"])
    assert "expected benchmarks of augmentation, " in capsys.readouterr().err
