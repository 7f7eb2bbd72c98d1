"""What Lightning's Trainer is given, and that each argument does what it says in a run of ours."""

import inspect
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from torch import Tensor
from trainings import run

from rwseg.core.errors import ConfigError
from rwseg.data.case import IGNORE
from rwseg.data.datamodule import VALIDATION_SLICES
from rwseg.experiments.build import build_data, build_learner
from rwseg.experiments.composition import compose
from rwseg.experiments.config.overrides import SET_ELSEWHERE
from rwseg.experiments.config.schema import TrainerConfig
from rwseg.experiments.config.validation import check, plain
from rwseg.experiments.prepared_run import prepare_run
from rwseg.experiments.run_directory import config_digest, load_config, run_path
from rwseg.losses import loss_at_perfect
from rwseg.metrics.averages import class_means
from rwseg.models.inference.sliding_window import predict_volume
from rwseg.training.callbacks.checkpoints import BEST, LAST, load_checkpoint

OURS = {"threads"}
MADE_BY_US = {"enable_checkpointing", "enable_progress_bar", "use_distributed_sampler"}
"""Arguments of the Trainer that follow from the callbacks, and how batches are shared."""


def epochs(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "metrics" / "epochs.csv")


def test_every_argument_of_the_trainer_is_a_setting_or_has_one_elsewhere() -> None:
    asked = set(inspect.signature(pl.Trainer.__init__).parameters) - {"self"}
    elsewhere = {name.removeprefix("trainer.") for name in SET_ELSEWHERE}
    settings = {item.name for item in fields(TrainerConfig)} - OURS
    assert settings | elsewhere | MADE_BY_US == asked
    assert not settings & (elsewhere | MADE_BY_US)
    for name in ("auto", "cpu", "gpu"):
        cfg, _ = compose("train", [f"trainer={name}"])
        assert set(cfg.trainer) == settings | OURS


def test_callbacks_loggers_and_arguments_of_lightning_do_what_they_say(tiny: list[str]) -> None:
    """Learning rate, gradient accumulation, a profile and a part of the batches, in one run."""
    folder = run(
        [
            *tiny,
            "logger=[tensorboard,csv]",
            "+callbacks.lr._target_=pytorch_lightning.callbacks.LearningRateMonitor",
            "callbacks.overlays.every=2",
            "trainer.accumulate_grad_batches=2",
            "trainer.limit_train_batches=2",
            "trainer.profiler=simple",
        ]
    )
    table = epochs(folder)
    np.testing.assert_allclose(table["lr-Adam"], table["learning_rate"], rtol=1e-6)
    assert list(table["step"]) == [0, 1, 2]  # two of four batches an epoch, a step for both
    assert "run_training_batch" in (folder / "fit-profile.txt").read_text()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    assert [event.step for event in events.Images("overlays/1")] == [1, 3]  # after epoch 2, and the results
    assert [event.step for event in events.Scalars("train/loss")] == [0, 1, 2]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["+callbacks.mine._target_=torch.nn.ReLU"], r"callbacks\.mine: expected a callback of Lightning"),
        (["logger=csv", "+logger.mine._target_=torch.nn.ReLU"], r"logger\.mine: expected a logger of Light"),
        (
            ["trainer.profiler=stopwatch"],
            r"trainer: expected arguments of Lightning's Trainer, got: .*profiler",
        ),
        (["trainer.barebones=true"], r"trainer: expected arguments of Lightning's Trainer, got: "),
        (["trainer.limit_val_batches=0"], r"trainer\.limit_val_batches: expected more than 0"),
    ],
)
def test_what_lightning_does_not_take_is_said_in_a_sentence(
    tiny: list[str], overrides: list[str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        run([*tiny, *overrides])


def test_training_that_a_callback_ends_early_is_finished_with_its_last_weights(tiny: list[str]) -> None:
    stop = "callbacks.stop"
    folder = run(
        [
            *tiny,
            "schedule.epochs=9",
            f"+{stop}._target_=pytorch_lightning.callbacks.EarlyStopping",
            f"+{stop}.monitor=train/loss",
            f"+{stop}.stopping_threshold=1000",
        ]
    )
    assert list(epochs(folder)["epoch"]) == [0]
    assert len(pd.read_csv(folder / "metrics" / "cases.csv")) == 12


def test_weights_that_are_validated_after_training_may_be_the_best(tiny: list[str]) -> None:
    """With a longer interval than the training there is no other candidate."""
    folder = run([*tiny, "evaluation.every=5"])
    digest = config_digest(load_config(folder))
    assert load_checkpoint(folder / "checkpoints" / BEST, digest)["epoch"] == 2
    assert (folder / "checkpoints" / BEST).read_bytes() == (folder / "checkpoints" / LAST).read_bytes()


@pytest.mark.slow
def test_the_curve_is_of_some_cases_and_the_last_weights_are_measured_on_all(
    tiny: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        folder = run([*tiny, "evaluation.cases=2"])
    assert caplog.text.count("validation each epoch on 2 of 4 cases, after the last one on all") == 1
    few, everything = (
        run([*tiny, f"output_root={folder.parent / name}", *more])
        for name, more in (("few", ["evaluation.cases=2", "evaluation.every=2"]), ("all", []))
    )
    cases = pd.read_csv(folder / "metrics" / "cases.csv")
    pd.testing.assert_frame_equal(cases, pd.read_csv(everything / "metrics" / "cases.csv"))
    pd.testing.assert_frame_equal(cases, pd.read_csv(few / "metrics" / "cases.csv"))
    some, whole, every_second = epochs(folder), epochs(everything), epochs(few)
    assert (some["train/loss"] == whole["train/loss"]).all(), "training is the same"
    prepared = prepare_run(load_config(folder))
    data = build_data(prepared)
    chosen = {entry.name for entry in data.measured_entries}
    assert len(chosen) == len({entry.subject for entry in data.measured_entries}) == 2
    by_hand, _ = class_means(cases[cases["case"].isin(chosen)], ["dice"])
    assert some["val/dice"].iloc[-1] == pytest.approx(float(by_hand["dice"].mean()), abs=1e-6)
    assert some["val/dice"].iloc[-1] != pytest.approx(whole["val/dice"].iloc[-1], abs=1e-6)
    assert list(every_second["val/dice"].isna()) == [True, False, True]
    for one, table in ((folder, some), (few, some.iloc[[1, 2]])):  # the last one is measured after training
        best = load_checkpoint(one / "checkpoints" / BEST, config_digest(load_config(one)))
        assert best["epoch"] == table["val/dice"].idxmax()


def test_more_cases_for_the_curve_than_there_are_are_all(
    tiny: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        folder = run([*tiny, "schedule.epochs=1", "evaluation.cases=99"])
    assert "validation each epoch on 4 of 4 cases" in caplog.text
    assert len(pd.read_csv(folder / "metrics" / "cases.csv")) == 12
    with pytest.raises(ConfigError, match=r"evaluation\.cases"):
        run([*tiny, "evaluation.cases=0"])


def test_a_fast_run_for_developers_goes_through_everything_each_time(tiny: list[str]) -> None:
    for _ in range(2):
        folder = run([*tiny, "trainer.fast_dev_run=true"])
        assert list(epochs(folder)["epoch"]) == [0]
        assert len(pd.read_csv(folder / "metrics" / "cases.csv")) == 3
    assert folder != run([*tiny, "schedule.epochs=1"])
    assert not (folder / "checkpoints" / LAST).exists()


def test_how_a_run_is_watched_or_spread_does_not_change_its_name(tiny: list[str]) -> None:
    def name(*overrides: str) -> Path:
        cfg, choices = compose("train", [*tiny, *overrides])
        return run_path(check(cfg), choices)

    same = ["trainer.devices=1", "trainer.num_nodes=1", "trainer.profiler=simple", "logger=[wandb,csv]"]
    assert name() == name(*same, "~callbacks.progress", "callbacks.overlays.every=3", "trainer.strategy=ddp")
    assert name() != name("trainer.accumulate_grad_batches=2")
    assert name() != name("trainer.limit_train_batches=3")
    assert name("model.norm=batch") != name("model.norm=batch", "trainer.sync_batchnorm=false")


def test_runs_of_before_have_the_digest_that_they_had(tiny: list[str]) -> None:
    """Their config.yaml knows no callbacks, and of the trainer four settings."""
    cfg, _ = compose("train", tiny)
    cfg = check(cfg)
    old = plain(cfg)
    del old["callbacks"]
    old["trainer"] = {"accelerator": "cpu", "devices": 1, "precision": "32-true", "threads": 1}
    assert config_digest(check(OmegaConf.create(old))) == config_digest(cfg)


@pytest.mark.parametrize("loss", ["rrw", "rw_boundary", "rw_ac"])
def test_the_validation_loss_is_that_of_the_whole_slices(tiny: list[str], loss: str) -> None:
    """By hand, from the network's probabilities, in the map of training (mm), and without one (rw_ac)."""
    folder = run([*tiny, f"loss={loss}", "schedule.epochs=1"])
    prepared = prepare_run(load_config(folder))
    data, learner = build_data(prepared), build_learner(prepared)
    state = torch.load(folder / "checkpoints" / LAST, weights_only=True)["state_dict"]
    learner.load_state_dict(state)
    learner.eval()
    losses, gaps = [], []
    for entry in data.val_entries:
        volume = data.volume(entry, torch.device("cpu"))
        assert len(volume.target.slices) == min(VALIDATION_SLICES, volume.image.shape[1])
        scores = predict_volume(learner.network, volume.image, learner.patch_size, False, 8)
        value, perfect = by_hand(learner.loss, scores, volume.target)
        losses.append(float(value))
        gaps.append(float(value - perfect))
    table = epochs(folder)
    assert table["val/loss"].iloc[0] == pytest.approx(np.mean(losses), rel=1e-4, abs=1e-6)
    assert table["val/loss_gap"].iloc[0] == pytest.approx(np.mean(gaps), rel=1e-4, abs=1e-6)
    assert np.mean(gaps) > 0


def by_hand(loss: torch.nn.Module, scores: Tensor, target: object) -> tuple[Tensor, Tensor]:
    slices, labels, region_map = target  # type: ignore[misc]
    assert not (labels == IGNORE).any()
    logits = scores[:, slices].transpose(0, 1).log()  # (B, K, H, W)
    return loss(logits, labels, region_map), loss_at_perfect(loss, labels, 4, region_map)  # type: ignore[arg-type]


def test_a_run_directory_that_was_moved_goes_on(tiny: list[str], tmp_path: Path) -> None:
    folder = run([*tiny, "schedule.epochs=1"])
    moved = tmp_path / "moved"
    shutil.move(tmp_path / "outputs", moved)
    record = moved / folder.relative_to(tmp_path / "outputs") / "run.json"
    record.unlink()
    assert run([*tiny, "schedule.epochs=1", f"output_root={moved}"]) == record.parent
    assert len(epochs(record.parent)) == 1
