"""What rwseg does on a GPU, in one command and nine minutes: tests, benchmarks, a study with its report.

    python -m benchmarks.gpu_check [--out docs/results/gpu] [--report outputs/gpu-check] [--page docs/gpu.md]

Parts run one after another, each in a fresh process that must end by its deadline, counted from the start:
what one leaves over the next ones have. What each part measured goes to OUT/<device>.json as soon as it is
there; a part that failed or did not fit stands there with the reason. The status is 1 where a part did not
end well, 2 without a GPU. Data are ACDC's where RWSEG_DATA is set, else the phantom. `--device cpu --tiny`
goes the same way in sizes that say nothing about speed: that is for tests.
"""

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.__main__ import code_commit, described
from benchmarks.gpu_document import GPU, PAGE, write_page
from benchmarks.precision import settings
from rwseg.core.files import write_json

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("torch", "pytorch-lightning", "monai", "nnunetv2", "ray", "numpy", "scipy", "edt")
SECONDS = 540
GRACE = 5
"""Seconds in which a part that did not fit may end what it started."""

MEASURED, FAILED, LATE, WAITING = "measured", "failed", "out of time", "not begun"


class Part(NamedTuple):
    """`python -m benchmarks.NAME WORDS`, which ends `until` seconds after the start of the command."""

    name: str
    until: float
    words: Sequence[str]


def parts(tiny: bool, folder: Path, report: Path) -> list[Part]:
    """The parts in their order; `folder` is for what is not kept, `report` for the study's."""
    full = [
        Part("cuda_tests", 80, []),
        Part("training_step_nnunet", 150, ["--rounds", "10", *settings("paper")]),
        Part("precision", 190, ["--rounds", "10"]),
        Part("augmentation", 225, ["--rounds", "5", *settings("paper")]),
        Part("maps", 255, ["--rounds", "5"]),
        Part("losses", 275, ["--rounds", "30"]),
        Part("residency", 310, [*_pictures(folder, "0.3", "50"), "experiment=acdc_small", "augment=nnunet"]),
        Part(
            "packed", 430, ["--rounds", "1", "--runs", "12", "--slots", "6", "schedule.batches_per_epoch=100"]
        ),
        Part("study", SECONDS, ["--keep", str(report)]),
    ]
    return [part._replace(words=_tiny(folder, report)[part.name]) for part in full] if tiny else full


def _tiny(folder: Path, report: Path) -> dict[str, list[str]]:
    """The words of each part instead: a few steps of a small network on a small phantom."""
    run = ["workers=1", "model.features=4", f"prepared_root={folder / 'prepared'}"]
    step = [*run, "dataset=phantom", f"dataset.root={folder / 'phantom'}", "dataset.batch_size=2"]
    short = [*run[:2], "schedule.epochs=1", "schedule.batches_per_epoch=2"]
    return {
        "cuda_tests": ["tests/maps/test_distance.py"],
        "training_step_nnunet": ["--rounds", "2", *step],
        "precision": ["--rounds", "2", "laptop", *step],
        "augmentation": ["--rounds", "2", *step],
        "maps": ["--rounds", "1"],
        "losses": ["--rounds", "1"],
        "residency": [*_pictures(folder, "0.01", "3"), "experiment=acdc_small", *run[:2]],
        "packed": ["--rounds", "1", "--runs", "6", "--slots", "6", *short],
        "study": ["--keep", str(report), *short],
    }


def _pictures(folder: Path, gigabytes: str, steps: str) -> list[str]:
    data = ["--data", str(folder / "pictures"), "--gigabytes", gigabytes, "--steps", steps]
    return [*data, "device", "host", "disk"]


def measured(part: Part, device: str, left: float, commit: str | None) -> dict[str, Any]:
    """Run a part for `left` seconds at most: its command, how it ended, and what it measured, or why not."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        command = ["-m", f"benchmarks.{part.name}", "--device", device, *part.words]
        started = time.perf_counter()
        with (Path(folder) / "output").open("w+") as output:
            status = _run([sys.executable, *command[:2], "--json", str(file), *command[2:]], output, left)
            output.seek(0)
            said = output.read()
        if status is None:
            how, why = LATE, f"given {max(0, left):.0f} s"
        elif status or not file.exists():
            how, why = FAILED, said[-2000:].replace(str(ROOT), ".").strip()
        else:
            how, why = MEASURED, ""
        facts = {
            "name": part.name,
            "until": part.until,
            "seconds": time.perf_counter() - started,
            "status": how,
            "why": why,
            "command": " ".join(_shown(command)),
        }
        if file.exists():
            facts["result"] = described(json.loads(file.read_text()), part.name, _shown(command), commit)
        return facts


def _shown(command: Sequence[str]) -> list[str]:
    """The command as anybody may give it: where folders lie is nobody's business."""
    return [re.sub(r"(^|=)/.*", r"\1FOLDER", word) for word in command]


def _run(command: Sequence[str], output: Any, seconds: float) -> int | None:
    """The exit status; None where it did not end within `seconds`: it and its children are ended then."""
    if seconds <= 0:
        return None
    with subprocess.Popen(
        command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            return None
        except BaseException:
            _end(process)
            raise


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all of its group: what does not follow within `GRACE` is killed."""
    until = time.monotonic() + GRACE
    with suppress(ProcessLookupError):  # none is left
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < until:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)


def about(device: str, commit: str | None) -> dict[str, Any]:
    """The device, its driver, the versions and the commit."""
    facts: dict[str, Any] = {"device": platform.processor() or platform.machine(), "driver": None}
    if device == "cuda":
        of = torch.cuda.get_device_properties(0)
        facts = {"device": of.name, "driver": _driver(), "memory_gib": round(of.total_memory / 2**30, 1)}
        facts["capability"] = f"{of.major}.{of.minor}"
    return {
        **facts,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "cores": os.cpu_count(),
        "commit": commit,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _driver() -> str | None:
    """The driver's version as NVIDIA's tool has it; None without that tool."""
    try:
        said = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.split()[0]


def check(plan: Sequence[Part], device: str, out: Path) -> tuple[Path, dict[str, Any]]:
    """Run the parts of `plan`; the file in `out` is whole after each of them."""
    commit = code_commit()
    facts = about(device, commit)
    file = out / f"{re.sub('[^a-z0-9]+', '-', facts['device'].lower()).strip('-')}.json"
    began = time.perf_counter()
    ended = [{"name": part.name, "until": part.until, "status": WAITING} for part in plan]
    for number, part in enumerate(plan):
        left = part.until - (time.perf_counter() - began)
        print(f"{part.name}: {max(0, left):.0f} s at most", flush=True)
        ended[number] = measured(part, device, left, commit)
        print(f"  {ended[number]['status']} after {ended[number]['seconds']:.0f} s", flush=True)
        seconds = time.perf_counter() - began
        content = {**facts, "seconds": seconds, "data": bool(os.environ.get("RWSEG_DATA")), "parts": ended}
        write_json(file, content)
    return file, content


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all parts and make the page; 0 where all were measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=GPU, help="folder for the JSON")
    parser.add_argument("--page", type=Path, default=PAGE, help="the document that is made")
    parser.add_argument("--report", type=Path, default=Path("outputs/gpu-check"), help="runs and report")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes that say nothing about speed")
    asked = parser.parse_args(arguments)
    if asked.device == "cuda" and not torch.cuda.is_available():
        found = f"expected a CUDA device, found none (PyTorch {torch.__version__})"
        advice = "run it where there are an NVIDIA GPU, its driver and a PyTorch that is built for CUDA"
        print(f"gpu-check: {found}; {advice}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        plan = parts(asked.tiny, Path(folder), asked.report.absolute())
        file, content = check(plan, asked.device, asked.out)
    write_page(asked.out, asked.page)
    print(f"wrote {file} and {asked.page}; runs and report of the study are in {asked.report}")
    not_measured = [part for part in content["parts"] if part["status"] != MEASURED]
    for part in not_measured:
        print(f"{part['name']}: {part['status']}: {part['why'][-500:]}", file=sys.stderr)
    return int(bool(not_measured))


if __name__ == "__main__":
    sys.exit(main())
