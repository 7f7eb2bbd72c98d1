"""Several processes that train one run: the same run as one process trains, whatever becomes of them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from rwseg.cli import compose
from rwseg.config import CONF, EvaluateConfig, check
from rwseg.errors import ConfigError, DataError, RunError
from rwseg.evaluation import evaluate_run
from rwseg.ranks import ALONE, Ranks, together
from rwseg.run import train_run

TWO = ["trainer.devices=2", "dataset.batch_size=4", "augment=nnunet", "stability.every=2"]
ONE = ["trainer.devices=1", *TWO[1:]]
TWENTY_STEPS = [
    "schedule.epochs=20",
    "schedule.batches_per_epoch=1",
    "evaluation.every=10",
    "schedule.learning_rate=1e-4",
]


def run(overrides: list[str]) -> Path:
    cfg, choices = compose("train", overrides)
    return train_run(check(cfg), choices)


def epochs(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "metrics" / "epochs.csv")
    return table.drop(columns=["seconds", "train_seconds", "data_seconds"])


def start(overrides: list[str], folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(CONF.parent / "train.py"), *overrides],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until_an_epoch_is_written(process: "subprocess.Popen[str]", folder: Path) -> None:
    while not list(folder.rglob("last.ckpt")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


def helpers(process: "subprocess.Popen[str]") -> list[int]:
    """The processes that train along with `process`."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
        if b"rwseg.rank" in words and parent == process.pid:
            found.append(int(path.name))
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def endless(tiny: list[str], tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """train.py on two processes, an epoch of which is written."""
    with start([*tiny, *TWO, "schedule.epochs=500", "evaluation.every=500"], tmp_path) as process:
        try:
            until_an_epoch_is_written(process, tmp_path)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("loss", ["rrw", pytest.param("hausdorff", marks=pytest.mark.slow)])
def test_two_processes_train_what_one_does(tiny: list[str], loss: str) -> None:
    """With a compact map that is served, and a dense one that is not."""
    common = [*tiny, *TWENTY_STEPS, f"loss={loss}", "strategy=equal_ce"]
    one, two = run([*common, *ONE]), run([*common, *TWO])
    assert one != two
    first, second = epochs(one), epochs(two)
    assert len(first) == 20
    training = [name for name in first if name.startswith("train/") and "wrong_sign" not in name]
    pd.testing.assert_frame_equal(first[training], second[training], rtol=1e-5, atol=1e-5)
    before, after = (pd.read_csv(folder / "metrics" / "cases.csv") for folder in (one, two))
    if loss == "rrw":
        pd.testing.assert_frame_equal(before, after, check_exact=True)
    else:  # a hundred times as large, and with it the last digits, which decide between equal classes
        assert before["dice"].sub(after["dice"]).abs().max() < 1e-3


def test_cases_of_two_processes_are_those_of_one_for_the_same_weights(tiny: list[str]) -> None:
    folder = run([*tiny, *TWO, "evaluation.every=2"])  # of three epochs: the last is validated after training
    cfg, _ = compose("evaluate", [f"run_dir={folder}", "split=val", "trainer=cpu"])
    evaluated = evaluate_run(check(cfg, EvaluateConfig))
    assert (folder / "metrics" / "cases.csv").read_bytes() == (evaluated / "cases.csv").read_bytes()
    assert pd.read_csv(folder / "metrics" / "cases.csv")["case"].nunique() == 4


@pytest.mark.slow
def test_a_run_on_two_that_was_ended_goes_on_exactly(
    tiny: list[str], endless: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    [helper] = helpers(endless)
    os.kill(helper, signal.SIGTERM)  # schedulers tell all processes of a job: the first one decides
    endless.terminate()
    output, _ = endless.communicate(timeout=60)
    assert endless.returncode == 143, output
    assert "Traceback" not in output
    assert not is_running(helper)
    [path] = (tmp_path / "outputs").rglob("run.json")
    assert json.loads(path.read_text())["reason"] == "ended by SIGTERM"
    done = len(epochs(path.parent))

    more = [*tiny, *TWO, "evaluation.every=500", f"schedule.epochs={done + 2}"]
    alone = run([*more, f"output_root={tmp_path / 'alone'}"])
    interrupted = start(more, tmp_path)
    until_an_epoch_is_written(interrupted, alone)
    interrupted.terminate()
    interrupted.communicate(timeout=60)
    resumed = run(more)
    pd.testing.assert_frame_equal(epochs(resumed), epochs(alone), check_exact=True)


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_run_with_its_name(
    endless: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    [helper] = helpers(endless)
    os.kill(helper, signal.SIGKILL)
    output, _ = endless.communicate(timeout=60)
    assert endless.returncode == 2
    assert "process 2 of 2 that trained this run together ended with status -9" in output
    [path] = (tmp_path / "outputs").rglob("run.json")
    assert json.loads(path.read_text())["status"] == "failed"


@pytest.mark.slow
def test_the_others_end_with_the_first_even_when_it_is_killed(endless: "subprocess.Popen[str]") -> None:
    [helper] = helpers(endless)
    endless.kill()
    endless.communicate()
    ended = time.monotonic() + 20
    while is_running(helper):
        assert time.monotonic() < ended
        time.sleep(0.05)


@pytest.mark.slow
def test_a_sweep_trains_each_run_on_two(tiny: list[str], tmp_path: Path) -> None:
    process = start(["-m", *tiny, *TWO, "schedule.epochs=1", "seed=0,1"], tmp_path)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    records = [json.loads(path.read_text()) for path in (tmp_path / "outputs").rglob("run.json")]
    assert [record["status"] for record in records] == ["finished", "finished"]


def test_a_process_that_cannot_begin_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(RunError, match=r"process 2 of 2 .* ended with status 1"),
        together(Ranks(0, 2), tmp_path, torch.device("cpu"), resume=False),
    ):
        raise AssertionError("nobody is there")
    assert (
        "expected a run directory that train.py wrote, found no config.yaml in it" in capfd.readouterr().err
    )


def test_an_error_of_ones_own_is_not_blamed_on_others(
    tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rwseg.epochs.write_text", full)
    with pytest.raises(OSError, match="No space left on device"):
        run([*tiny, *TWO])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["trainer.devices=0"], "trainer.devices: expected 1 or more, got 0"),
        (["dataset.batch_size=3"], "dataset.batch_size=3: expected a multiple of trainer.devices=2"),
        (["dataset.batch_size=4", "model.norm=batch"], "trainer.devices=2: expected model.norm=instance"),
    ],
)
def test_what_cannot_be_shared_is_refused(overrides: list[str], words: str) -> None:
    cfg, _ = compose("train", ["trainer=ddp", *overrides])
    with pytest.raises(ConfigError, match=words):
        check(cfg)


def test_an_evaluation_on_several_devices_is_refused() -> None:
    cfg, _ = compose("evaluate", ["trainer=ddp", "run_dir=there"])
    with pytest.raises(ConfigError, match=r"trainer\.devices=2: expected 1, images are predicted on one"):
        check(cfg, EvaluateConfig)


def test_more_processes_than_volumes_are_refused(tiny: list[str]) -> None:
    with pytest.raises(DataError, match=r"trainer\.devices=5: expected at most as many as volumes .* got 4"):
        run([*tiny, "trainer.devices=5", "dataset.batch_size=5"])


def test_one_process_exchanges_nothing() -> None:
    value = torch.arange(3.0)
    assert ALONE.mean(value) is value
    assert ALONE.gathered(value) is value
    assert ALONE.collected([1, 2]) == [1, 2]
    assert ALONE.share(7) == slice(0, 7)


def test_shares_make_up_the_batch() -> None:
    samples = list(range(12))
    assert [number for rank in range(3) for number in samples[Ranks(rank, 3).share(12)]] == samples
