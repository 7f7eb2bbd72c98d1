"""run.json stays true whatever ends a run."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lock_files import write_lock

from rwseg.core.errors import ClaimLostError, RunError
from rwseg.core.lease import Lease
from rwseg.core.signals import Terminated
from rwseg.data.preprocessing.config import FittedPreprocessing
from rwseg.data.preprocessing.prepared import Entry, Prepared
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.run_status import environment, read_run, recorded, update_run

CHOICES = {"dataset": "phantom", "loss": "rrw"}
FITTED = FittedPreprocessing(
    crop=False, spacing=None, size=None, zoom=1.0, interpolation="spline", normalisation="zscore"
)
WHOLE = ((0, 4), (0, 8), (0, 9))


@pytest.fixture
def data(tmp_path: Path) -> Prepared:
    size, spacing = (4, 8, 9), (8.0, 1.5, 1.5)
    entries = tuple(
        Entry(
            name,
            name,
            "ED",
            split,
            (f"{name}.nii.gz",),
            True,
            size,
            spacing,
            size,
            spacing,
            WHOLE,
            2,
            (200, 88),
        )
        for name, split in (("case1", "train"), ("case2", "val"))
    )
    return Prepared(
        tmp_path, tmp_path, "phantom", ("background", "LV"), ("MRI",), FITTED, "0123abcd", entries
    )


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[Lease]:
    lease = Lease(tmp_path / ".lock")
    assert lease.take()
    with lease:
        yield lease


def test_a_run_is_running_then_finished(tmp_path: Path, data: Prepared, lease: Lease) -> None:
    assert read_run(tmp_path) == {}
    with recorded(tmp_path, "cpu", CHOICES, data, lease):
        during = json.loads((tmp_path / "run.json").read_text())
        time.sleep(0.05)
    after = json.loads((tmp_path / "run.json").read_text())
    assert (during["status"], after["status"]) == ("running", "finished")
    assert "seconds" not in during
    assert 0.04 < after.pop("seconds") < 10
    assert after == {**during, "status": "finished"}
    assert after["choices"] == CHOICES
    assert (after["data_digest"], after["split_digest"]) == ("0123abcd", data.split_digest())


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("no good"), "failed", "ValueError: no good"),
        (RunError("full"), "failed", "RunError: full"),
        (KeyboardInterrupt(), "interrupted", None),
        (SystemExit(1), "interrupted", None),
        (Terminated(), "interrupted", "ended by SIGTERM"),
    ],
)
def test_an_attempt_that_ends_early_is_recorded_and_the_next_one_adds_its_seconds(
    tmp_path: Path, data: Prepared, lease: Lease, error: BaseException, status: str, reason: str | None
) -> None:
    with pytest.raises(type(error)), recorded(tmp_path, "cpu", CHOICES, data, lease):
        raise error
    first = read_run(tmp_path)
    assert (first["status"], first["reason"]) == (status, reason)
    update_run(tmp_path, {"seconds": 100.0})
    with recorded(tmp_path, "a GPU", CHOICES, data, lease):
        assert read_run(tmp_path)["seconds"] == 100.0  # a process that is killed now loses only its own
        assert read_run(tmp_path)["reason"] is None
    last = read_run(tmp_path)
    assert (last["status"], last["reason"], last["device"]) == ("finished", None, "a GPU")
    assert 100.0 <= last["seconds"] < 110.0


def test_a_run_that_another_process_took_over_is_left_to_it(
    tmp_path: Path, data: Prepared, lease: Lease
) -> None:

    def lose() -> None:
        with recorded(tmp_path, "cpu", CHOICES, data, lease):
            lease.check()
            (tmp_path / ".lock").unlink()
            write_lock(tmp_path / ".lock", 120.0, host="elsewhere")
            (tmp_path / "run.json").write_text("another process wrote this")
            lease.check()

    with pytest.raises(ClaimLostError):
        lose()
    assert (tmp_path / "run.json").read_text() == "another process wrote this"


def test_update_keeps_what_it_does_not_name(tmp_path: Path) -> None:
    update_run(tmp_path, {"a": 1, "b": 2})
    update_run(tmp_path, {"b": 3})
    assert read_run(tmp_path) == {"a": 1, "b": 3}
    with pytest.raises(ValueError, match="not JSON compliant"):
        update_run(tmp_path, {"a": float("nan")})
    assert read_run(tmp_path) == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ("[" * 99999, "expected JSON"),
        ("[1]", "expected a JSON object"),
        ('{"seconds": "long"}', "seconds: expected float, got 'long'"),
        ('{"choices": {"loss": 3}}', "choices: expected str, got 3"),
    ],
)
def test_a_damaged_record_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunError, match=f"run.json: {message}.*force=true"):
        read_run(tmp_path)


def test_the_environment_names_host_commit_and_versions() -> None:
    found = environment("cpu")
    assert (found["host"], found["device"]) == (socket.gethostname(), "cpu")
    assert found["processor"].endswith(f", {torch.backends.cpu.get_cpu_capability()}")
    assert {"rwseg", "python", "torch", "monai", "hydra-core"} <= found["versions"].keys()
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=CONF.parent, capture_output=True, text=True, check=False
    ).stdout.strip()
    assert (found["git_commit"] or "").removesuffix("-dirty") == head  # both empty outside a checkout
