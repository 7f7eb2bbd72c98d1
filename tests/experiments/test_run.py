"""Whole runs on a tiny phantom: what they leave behind, and that interruptions lose nothing."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from registered import LOSSES
from trainings import TRAIN, run, start

from rwseg.experiments.composition import compose
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.validation import check
from rwseg.experiments.run_directory import config_digest
from rwseg.training.callbacks.checkpoints import load_checkpoint

COLUMNS = (
    "case,subject,phase,label,class_name,dice,hausdorff,hausdorff95,unit,"
    "reference_voxels,predicted_voxels,missed,spurious"
)
OFTEN = ("rrw", "rw_boundary", "hausdorff", "ce", "wasserstein_dice")
"""Trained in every run of the tests; the others are like them, and each takes seconds."""
STRATEGIES = sorted(path.stem for path in (CONF / "strategy").glob("*.yaml"))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    content = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    state: dict[str, torch.Tensor] = content["state_dict"]
    return state


def same_weights(first: Path, second: Path) -> bool:
    one, other = weights(first), weights(second)
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.usefixtures("with_figures")
def test_a_run_leaves_what_contract_c5_says(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(tiny)
    assert folder.relative_to(tmp_path / "outputs").parts[:4] == ("default", "phantom", "rrw", "alone")
    assert folder.name == "seed0"
    cases = pd.read_csv(folder / "metrics" / "cases.csv")
    assert ",".join(cases.columns) == COLUMNS
    assert len(cases) == 4 * 3  # validation cases times foreground classes
    assert set(cases["phase"]) == {"ED", "ES"}
    epochs = pd.read_csv(folder / "metrics" / "epochs.csv")
    assert list(epochs["epoch"]) == [0, 1, 2]
    assert (epochs["train/loss_gap"] > 0).all()
    np.testing.assert_allclose(epochs["learning_rate"], 2e-3 * (1 - np.arange(3) / 3) ** 0.9)
    assert epochs["val/dice"].iloc[-1] == pytest.approx(
        cases.groupby("class_name")["dice"].mean().mean(), abs=1e-6
    )
    reliability = pd.read_csv(folder / "metrics" / "reliability.csv")
    assert list(reliability.columns) == ["bin", "low", "high", "pixels", "confidence", "accuracy"]
    counted = reliability["pixels"].sum()  # foreground of either: between the larger and both together
    sides = cases[["reference_voxels", "predicted_voxels"]].sum()
    assert sides.max() <= counted <= sides.sum()
    record = json.loads((folder / "run.json").read_text())
    assert (record["status"], record["device"], record["reason"]) == ("finished", "cpu", None)
    assert record["seconds"] > 0
    assert {"git_commit", "data_digest", "split_digest", "versions"} <= record.keys()
    best, last = (
        torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True) for name in ("best", "last")
    )
    assert best["epoch"] == epochs["val/dice"].idxmax()
    assert last["epoch"] == 2
    for name in ("curves.png", "cases.png"):
        assert (folder / "figures" / name).stat().st_size > 10_000
    assert (folder / "figures" / "showcase.npz").is_file()
    assert "myocardium" in capsys.readouterr().out
    assert not list(tmp_path.rglob(".writing-*"))


def test_a_finished_run_is_left_alone_and_force_starts_it_over(
    tiny: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = run(tiny)
    assert caplog.text.count("odd data: 4 of the 24 labelled subjects of a complete download are here") == 1
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    caplog.clear()
    with caplog.at_level("INFO"):
        assert run(tiny) == folder
    assert "finished; nothing to do" in caplog.text
    assert "odd data" not in caplog.text
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert {p: t for p, t in after.items()} == before
    first = weights(folder)
    run([*tiny, "force=true"])
    assert (folder / "checkpoints" / "last.ckpt").stat().st_mtime_ns > before[
        folder / "checkpoints" / "last.ckpt"
    ]
    assert all(
        torch.equal(first[key], value) for key, value in weights(folder).items()
    )  # same seed, same weights


@pytest.mark.slow
def test_seed_and_loss_change_the_weights(tiny: list[str]) -> None:
    folder = run([*tiny, "schedule.epochs=1"])
    assert not same_weights(folder, run([*tiny, "schedule.epochs=1", "seed=1"]))
    assert not same_weights(folder, run([*tiny, "schedule.epochs=1", "loss=ce"]))


@pytest.mark.parametrize(
    "loss",
    [
        loss if loss in OFTEN else pytest.param(loss, marks=pytest.mark.slow)
        for loss in (file.stem for file in LOSSES)
    ],
)
def test_every_loss_trains_with_its_cached_map(tiny: list[str], loss: str) -> None:
    folder = run([*tiny, f"loss={loss}", "schedule.epochs=1"])
    epochs = pd.read_csv(folder / "metrics" / "epochs.csv")
    assert epochs["train/loss_gap"].iloc[0] > 0


@pytest.mark.parametrize(
    "strategy",
    [
        one if one in ("alone", "gradual_ce") else pytest.param(one, marks=pytest.mark.slow)
        for one in STRATEGIES
    ],
)
def test_every_strategy_trains(tiny: list[str], strategy: str) -> None:
    folder = run([*tiny, f"strategy={strategy}", "loss=rw_boundary", "schedule.epochs=2"])
    alpha = pd.read_csv(folder / "metrics" / "epochs.csv")["alpha"]
    if strategy.startswith("gradual"):
        np.testing.assert_allclose(alpha, [1.0, 0.99])
    else:
        assert alpha.isna().all()


def test_deep_supervision_batch_norm_and_other_settings_train(tiny: list[str]) -> None:
    settings = ["model.norm=batch", "model.deep_supervision=false", "augment=none", "evaluation.flips=true"]
    folder = run([*tiny, *settings, "schedule.epochs=1", "dataset.zoom=0.5", "evaluation.missed=diagonal"])
    cases = pd.read_csv(folder / "metrics" / "cases.csv")
    assert cases["hausdorff"].notna().all()
    assert "dataset.zoom-0.5" in folder.parent.name


def test_the_last_epoch_is_validated_whatever_the_interval(tiny: list[str]) -> None:
    folder = run([*tiny, "evaluation.every=2"])
    epochs = pd.read_csv(folder / "metrics" / "epochs.csv")
    assert list(epochs["val/dice"].notna()) == [False, True, False]
    assert len(pd.read_csv(folder / "metrics" / "cases.csv")) == 12


def test_killed_in_the_middle_of_an_epoch_a_run_ends_with_the_same_weights(
    tiny: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    overrides = [*tiny, "schedule.batches_per_epoch=20"]
    reference = run([*overrides, f"output_root={tmp_path / 'reference'}"])
    process = start(overrides, tmp_path)
    folder = None
    while folder is None:  # until the first epoch is saved and the second one runs
        assert process.poll() is None, process.communicate()[0]
        folder = next((path.parents[1] for path in (tmp_path / "outputs").rglob("last.ckpt")), None)
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] < 2
    assert json.loads((folder / "run.json").read_text())["status"] == "running"

    with caplog.at_level("INFO"):
        assert run(overrides) == folder
    assert "resuming" in caplog.text
    other = tmp_path / "reference" / folder.relative_to(tmp_path / "outputs")
    assert other == reference
    assert same_weights(folder, other)
    assert (folder / "metrics" / "cases.csv").read_text() == (other / "metrics" / "cases.csv").read_text()
    columns = ["epoch", "train/loss", "train/loss_gap", "val/dice", "learning_rate"]
    first, second = (pd.read_csv(path / "metrics" / "epochs.csv")[columns] for path in (folder, other))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_a_run_from_a_copy_of_the_data_on_this_node_is_the_same_run(tiny: list[str], tmp_path: Path) -> None:
    short = [*tiny, "schedule.epochs=1"]
    plain = run(short)
    copied = run([*short, f"dataset.cache={tmp_path / 'node'}", f"output_root={tmp_path / 'other'}"])
    assert copied.relative_to(tmp_path / "other") == plain.relative_to(tmp_path / "outputs")
    assert (copied / "metrics" / "cases.csv").read_bytes() == (plain / "metrics" / "cases.csv").read_bytes()
    assert same_weights(plain, copied)
    [folder] = (path for path in (tmp_path / "node").iterdir() if not path.name.startswith("."))
    assert {"image", "label", "inside", "manifest.json"} <= {path.name for path in folder.iterdir()}


@pytest.mark.slow  # in tests/data/preprocessing/test_prepare_many.py sixteen do
def test_two_trainings_started_together_share_the_preparation(tiny: list[str], tmp_path: Path) -> None:
    own = [*tiny, f"prepared_root={tmp_path / 'prepared'}", "schedule.epochs=1"]
    processes = [start([*own, f"loss={loss}"], tmp_path) for loss in ("rrw", "rw_boundary")]
    outputs = [process.communicate(timeout=200)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    prepared = [path for path in (tmp_path / "prepared").iterdir() if not path.name.startswith(".")]
    assert len(prepared) == 1
    assert {"inside", "signed"} <= {path.name for path in prepared[0].iterdir()}


def test_the_checkpoint_carries_the_configurations_digest(tiny: list[str]) -> None:
    folder = run([*tiny, "schedule.epochs=1"])
    cfg, _ = compose("train", [*tiny, "schedule.epochs=1"])
    assert load_checkpoint(folder / "checkpoints" / "last.ckpt", config_digest(check(cfg)))["epoch"] == 0


@pytest.mark.slow
def test_the_demo_reaches_a_mean_dice_of_090(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, str(TRAIN)], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=True
    )
    [path] = tmp_path.rglob("cases.csv")
    assert pd.read_csv(path).groupby("class_name")["dice"].mean().mean() >= 0.90
    assert "cases.png" in process.stdout
