"""Runs that cannot start or go on: what is said, and that nothing is left half done or lost."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from trainings import run, start

from rwseg.core.errors import ConfigError, DataError, RunError
from rwseg.models.unet import UNet


@pytest.fixture
def damaged_root(phantom_root: Path, tmp_path: Path) -> Path:
    """A phantom with one image cut short."""
    root = tmp_path / "damaged"
    shutil.copytree(phantom_root, root)
    image = root / "training" / "patient002" / "patient002_frame01.nii.gz"
    image.write_bytes(image.read_bytes()[:-40])
    return root


def test_faulty_data_leave_no_run_directory(tiny: list[str], damaged_root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"patient002_frame01\.nii\.gz: expected a complete gzip file"):
        run([*tiny, f"dataset.root={damaged_root}", f"prepared_root={tmp_path / 'prepared'}"])
    assert not (tmp_path / "outputs").exists()
    assert not list((tmp_path / "prepared").iterdir())


def test_a_plan_that_settings_do_not_fit_leaves_no_run_directory(tiny: list[str], tmp_path: Path) -> None:
    settings = [item for item in tiny if not item.startswith("dataset.patch_size")]
    with pytest.raises(ConfigError, match=r"dataset\.patch_size\[0\]=50: expected a multiple of"):
        run([*settings, "dataset.plan=auto", "dataset.patch_size=[50,48]"])
    assert not (tmp_path / "outputs").exists()


def test_force_keeps_the_earlier_run_where_the_data_are_faulty(tiny: list[str], damaged_root: Path) -> None:
    folder = run([*tiny, "schedule.epochs=1"])
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match="patient002_frame01"):
        run([*tiny, "schedule.epochs=1", "force=true", f"dataset.root={damaged_root}"])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_ctrl_c_ends_a_training_in_a_line_and_it_can_go_on(tiny: list[str], tmp_path: Path) -> None:
    overrides = [*tiny, "schedule.batches_per_epoch=40"]
    process = start(overrides, tmp_path, session=True)
    try:
        while not list((tmp_path / "outputs").rglob("last.ckpt")):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, output
    assert output.splitlines()[-1] == "train.py: interrupted; give the same command again to go on"
    assert "Traceback" not in output
    [record] = (tmp_path / "outputs").rglob("run.json")
    assert json.loads(record.read_text())["status"] == "interrupted"
    assert run(overrides) == record.parent
    assert json.loads(record.read_text())["status"] == "finished"


def test_a_directory_that_another_process_writes_is_refused(tiny: list[str], tmp_path: Path) -> None:
    process = start([*tiny, "schedule.batches_per_epoch=5000"], tmp_path, session=True)
    try:
        while not list((tmp_path / "outputs").rglob("run.json")):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.05)
        with pytest.raises(
            RunError, match=rf"another process is writing this run: host .*, process {process.pid}"
        ):
            run([*tiny, "schedule.batches_per_epoch=5000"])
    finally:
        process.kill()
        process.communicate()


def test_a_directory_of_another_configuration_is_refused(tiny: list[str]) -> None:
    folder = run([*tiny, "schedule.epochs=1"])
    saved = folder / "config.yaml"
    saved.write_text(saved.read_text().replace("weight_decay: 3.0e-05", "weight_decay: 0.5"))
    with pytest.raises(RunError, match=r"schedule\.weight_decay: saved 0\.5, asked 3e-05"):
        run([*tiny, "schedule.epochs=1"])


def test_a_checkpoint_of_another_configuration_is_refused(tiny: list[str]) -> None:
    one, other = run([*tiny, "schedule.epochs=1"]), run([*tiny, "schedule.epochs=1", "model.features=6"])
    (one / "run.json").unlink()
    shutil.copy(other / "checkpoints" / "last.ckpt", one / "checkpoints" / "last.ckpt")
    with pytest.raises(RunError, match=r"last\.ckpt: expected a checkpoint of this run's configuration"):
        run([*tiny, "schedule.epochs=1"])


def test_a_run_on_other_data_is_refused(tiny: list[str], phantom_root: Path, tmp_path: Path) -> None:
    folder = run([*tiny, "schedule.epochs=1"])
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))
    other = tmp_path / "other"
    shutil.copytree(phantom_root, other)
    image = other / "training" / "patient001" / "patient001_frame01.nii.gz"
    source = nib.load(image)
    nib.save(nib.Nifti1Image(np.asarray(source.dataobj) + 1, source.affine, source.header), image)
    with pytest.raises(RunError, match="begun on other data"):
        run([*tiny, "schedule.epochs=1", f"dataset.root={other}"])


def test_a_failed_run_says_why_and_can_be_started_again(
    tiny: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # a network whose forward fails once: what an out-of-memory error on a GPU looks like to the run
    calls = {"left": 6}
    plain = UNet.forward

    def forward(self: UNet, image: torch.Tensor) -> list[torch.Tensor]:
        calls["left"] -= 1
        if calls["left"] == 0:
            raise RuntimeError("out of memory")
        return plain(self, image)

    monkeypatch.setattr(UNet, "forward", forward)
    with pytest.raises(RuntimeError, match="out of memory"):
        run(tiny)
    [path] = (tmp_path / "outputs").rglob("run.json")
    record = json.loads(path.read_text())
    assert (record["status"], record["reason"]) == ("failed", "RuntimeError: out of memory")
    assert run(tiny) == path.parent
    assert json.loads(path.read_text())["status"] == "finished"


def test_a_missing_gpu_is_said(tiny: list[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match=r"expected a CUDA device, found none; use trainer=auto"):
        run([*tiny, "trainer=gpu"])


def test_an_empty_validation_split_is_said(tiny: list[str], phantom_root: Path, tmp_path: Path) -> None:
    even = tmp_path / "even"
    shutil.copytree(phantom_root, even)
    for odd in ("patient001", "patient003"):
        shutil.rmtree(even / "training" / odd)
    with pytest.raises(DataError, match="the split 'val' is empty"):
        run([*tiny, "dataset=acdc", "model=small", "schedule=small", f"dataset.root={even}"])
