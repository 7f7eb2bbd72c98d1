"""`make gpu-check` goes its whole way without a GPU: parts, deadlines, what is kept, the page made of it."""

import json
import os
import sys
import time
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu_check, packed, precision, study
from benchmarks.document import read
from benchmarks.gpu_check import FAILED, LATE, MEASURED, SECONDS, Part, check, main, parts
from benchmarks.gpu_document import GPU, PAGE, page
from benchmarks.targets import GPU_TARGETS
from rwseg.experiments.composition import compose, preflight
from rwseg.experiments.config.validation import check as check_config

OF_A_DEVICE = {"device", "driver", "cuda", "cudnn", "cores", "commit", "versions", "seconds", "data", "parts"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a CUDA device")
def test_without_a_gpu_there_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path), "--page", str(tmp_path / "gpu.md")]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("gpu-check: expected a CUDA device, found none (PyTorch ")
    assert (said.err.count("\n"), said.out, [*tmp_path.iterdir()]) == (1, "", [])


def test_parts_have_deadlines_that_rise_to_nine_minutes(tmp_path: Path) -> None:
    full, tiny = (parts(small, tmp_path, tmp_path / "report") for small in (False, True))
    assert [part.name for part in full] == [
        *("cuda_tests", "training_step_nnunet", "precision", "augmentation", "maps", "losses"),
        *("residency", "packed", "study"),
    ]
    assert all(find_spec(f"benchmarks.{part.name}") for part in full)
    untils = [0.0, *(part.until for part in full)]
    assert all(later - earlier >= 20 for earlier, later in pairwise(untils))
    assert untils[-1] == SECONDS == 9 * 60
    assert [part[:2] for part in tiny] == [part[:2] for part in full]
    assert {target.benchmark for target in GPU_TARGETS} <= {part.name for part in full}


@pytest.mark.parametrize("data", [True, False], ids=["ACDC", "phantom"])
def test_the_settings_of_the_full_sizes_are_valid(
    data: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RWSEG_DATA", raising=False)
    if data:
        monkeypatch.setenv("RWSEG_DATA", str(tmp_path))
    paper = check_config(compose("train", precision.settings("paper"))[0])
    assert (paper.dataset.patch_size, paper.dataset.batch_size) == ([256, 224], 38)
    assert paper.model.features == 32
    assert check_config(compose("train", precision.settings("laptop"))[0]).dataset.patch_size == [64, 64]
    jobs = preflight("train", ["-m", *study.settings(tmp_path, "cuda", [])])
    assert [(choices["loss"], cfg.seed, choices["trainer"]) for cfg, choices in jobs] == [
        (loss, seed, "gpu") for loss in study.LOSSES for seed in range(study.SEEDS)
    ]
    words = packed.settings(tmp_path, "cuda", ["schedule.batches_per_epoch=100"])
    many = preflight("train", ["-m", "seed=range(12)", "force=true", *words])
    assert len(many) == 12


@pytest.mark.slow
def test_a_part_that_does_not_end_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_check, "GRACE", 0.5)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)"
    code = (
        f"import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-uc', {deaf!r}], "
        "stdout=subprocess.PIPE); child.stdout.readline(); print(child.pid, flush=True); time.sleep(60)"
    )
    with (tmp_path / "output").open("w+") as output:
        started = time.monotonic()
        assert gpu_check._run([sys.executable, "-c", code], output, 5) is None
        assert time.monotonic() - started < 30
        output.seek(0)
        child = int(output.read())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split():
        assert time.monotonic() < deadline, "a process that was started is still there"
        time.sleep(0.05)


def test_statuses_are_the_processes_own_and_no_time_starts_none(tmp_path: Path) -> None:
    with (tmp_path / "output").open("w+") as output:
        assert gpu_check._run([sys.executable, "-c", "raise SystemExit(3)"], output, 60) == 3
        assert gpu_check._run(["no such program"], output, 0) is None


@pytest.mark.slow
def test_what_did_not_fit_or_failed_is_named_beside_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RWSEG_DATA", raising=False)
    plan = [
        Part("losses", 500, ["--rounds", "1"]),
        Part("coverage", 501, ["--no-such-option", f"data={tmp_path}"]),
        Part("training_step_nnunet", 0, []),
    ]
    file, content = check(plan, "cpu", tmp_path)
    assert json.loads(file.read_text()) == content
    assert [*tmp_path.iterdir()] == [file]
    assert content.keys() == OF_A_DEVICE
    assert content["versions"]["torch"] == torch.__version__
    losses, coverage, step = content["parts"]
    assert [part["status"] for part in content["parts"]] == [MEASURED, FAILED, LATE]
    assert losses["result"]["command"] == "python -m benchmarks.losses --device cpu --rounds 1"
    assert losses["result"]["tables"]
    assert "result" not in coverage
    assert coverage["command"] == "-m benchmarks.coverage --device cpu --no-such-option data=FOLDER"
    assert "unrecognized arguments" in coverage["why"]
    assert step["why"] == "given 0 s"
    text = page({"some": content})
    assert "| losses |" in text
    assert "| coverage |" in text
    assert (
        "| **failed** __main__.py: error: unrecognized arguments: " in text
        or "**failed** coverage.py" in text
    )
    assert "not measured (training_step_nnunet: out of time)" in text
    assert "RRW, compact map" in text


def result(**rows: list[float]) -> dict[str, Any]:
    table = [
        {"name": name.replace("_", " "), "ms": sum(ms) / len(ms), "samples_ms": ms}
        for name, ms in rows.items()
    ]
    return {
        "about": "Nails.",
        "command": "python -m benchmarks.nails",
        "left_out": ["screws: found none"],
        "says": ["Nails hold."],
        "tables": {"driving": table},
    }


def test_the_page_is_made_of_the_files_alone() -> None:
    """Ratios of rounds: 3, 5 and 2 over six at a time; 4 times as fast as MONAI in each."""
    packed = result(one_after_another=[30.0, 50.0, 40.0]) | {}
    packed["tables"]["driving"].append({"name": "6 at a time", "ms": 10.0, "samples_ms": [10.0, 10.0, 20.0]})
    batches = result(rwseg=[1.0, 2.0, 3.0])
    batches["tables"]["driving"].append({"name": "MONAI, splines", "ms": 8.0, "samples_ms": [4.0, 8.0, 12.0]})
    device = {
        "device": "Abacus 9000",
        "driver": "1.2.3",
        "cuda": None,
        "cudnn": None,
        "cores": 4,
        "commit": "abc1234",
        "versions": {"python": "3.11.7", "nnunetv2": None},
        "data": True,
        "seconds": 12.3,
        "parts": [
            {"name": "packed", "until": 430, "seconds": 5.0, "status": MEASURED, "result": packed},
            {"name": "augmentation", "until": 225, "seconds": 5.0, "status": MEASURED, "result": batches},
            {"name": "study", "until": 540, "status": "not begun"},
        ],
    }
    text = page({"abacus": device})
    assert "## Abacus 9000\n\ndriver 1.2.3, cores 4, commit abc1234, python 3.11.7; data: ACDC; 12 s" in text
    assert "| runs one after another over six at a time | at least 3 | 3 (2 to 5) | yes |" in text
    assert "batch with nnU-Net's augmentation and map | at least 4 | 4 (4 to 4) | yes |" in text
    assert "| study |  | **not begun**  |" in text
    assert "Left out: screws: found none" in text
    assert "> Nails hold." in text
    assert "Nothing was measured" not in text


def test_a_page_of_nothing_says_so_and_gives_the_command() -> None:
    text = page({})
    assert "**Nothing was measured on a GPU so far**" in text
    assert "    make gpu-check " in text
    assert text.count("| not measured |") == len(GPU_TARGETS)


def test_the_committed_page_is_what_the_committed_files_give() -> None:
    assert PAGE.read_text() == page(read(GPU)), "run python -m benchmarks.gpu_document"


@pytest.mark.slow
def test_all_parts_run_at_a_tiny_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RWSEG_DATA", raising=False)
    places = ["--out", str(tmp_path / "gpu"), "--page", str(tmp_path / "gpu.md"), "--report", str(tmp_path)]
    status = main(["--device", "cpu", "--tiny", *places])
    (content,) = read(tmp_path / "gpu").values()
    assert {part["name"]: part["status"] for part in content["parts"]} == {
        part.name: MEASURED for part in parts(True, tmp_path, tmp_path)
    }, [part.get("why") for part in content["parts"]]
    assert status == 0
    for part in content["parts"]:
        assert all(rows for rows in part["result"]["tables"].values())
        assert os.sep + "tmp" not in part["result"]["command"]
    assert (tmp_path / "report" / "index.html").is_file()
    assert "rwseg, fp32" in (tmp_path / "gpu.md").read_text()
