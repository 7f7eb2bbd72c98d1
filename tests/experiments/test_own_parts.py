"""Runs with a network, optimizer, learning rate and augmentation of the user's, trained and evaluated."""

import json
import shutil
from pathlib import Path

import mine
import numpy as np
import pandas as pd
import pytest
import torch
from trainings import run, start

from rwseg.core.errors import ConfigError
from rwseg.experiments.composition import compose, preflight
from rwseg.experiments.config.schema import EvaluateConfig
from rwseg.experiments.config.targets import displayed
from rwseg.experiments.config.validation import check
from rwseg.experiments.cost.estimate import Method
from rwseg.experiments.cost.measure import measure
from rwseg.experiments.evaluation import evaluate_run
from rwseg.experiments.load_run import load_run
from rwseg.experiments.run_directory import run_path
from rwseg.experiments.run_identity import Identity

SHORT = ["schedule.epochs=1", "schedule.batches_per_epoch=2", "dataset.batch_size=2"]
NET = ["model=custom", "model._target_=mine.Net"]
OPTIONS = {
    "model=dynunet": ["model.filters=[4,4,4,4,4,4]", "dataset.patch_size=[64,96]"],
    "model=unet_monai": ["model.channels=[4,4,4,4,4,4]", "dataset.patch_size=[64,96]"],
    "model=segresnet": ["model.init_filters=8", "dataset.patch_size=[24,40]"],
}
"""Networks of MONAI, smaller than they come."""


def own(tiny: list[str]) -> list[str]:
    return [setting for setting in tiny if not setting.startswith("model.")]


def evaluated(folder: Path, *overrides: str) -> Path:
    cfg, _ = compose("evaluate", [f"run_dir={folder}", "trainer=cpu", "overlays=0", *overrides])
    return evaluate_run(check(cfg, EvaluateConfig))


def same_metrics(folder: Path) -> bool:
    """Whether an evaluation, which knows the run from its directory alone, finds what the run found."""
    results = evaluated(folder)
    return (results / "cases.csv").read_text() == (folder / "metrics" / "cases.csv").read_text()


@pytest.mark.parametrize("option", OPTIONS)
def test_a_network_of_monai_is_trained_and_evaluated(tiny: list[str], option: str) -> None:
    folder = run([*own(tiny), *SHORT, option, *OPTIONS[option]])
    assert same_metrics(folder)
    record = json.loads((folder / "run.json").read_text())
    assert (record["status"], record["choices"]["model"]) == ("finished", option.removeprefix("model="))


@pytest.mark.slow
def test_all_parts_of_ones_own_are_trained_and_evaluated_from_their_folder(
    tiny: list[str], tmp_path: Path
) -> None:
    """By the command itself, in the folder of `mine.py`; elsewhere a sentence says what is missing."""
    shutil.copy(mine.__file__, tmp_path / "parts_of_mine.py")
    parts = [
        "model=custom", "model._target_=parts_of_mine.Deep", "+model.width=6", "optimizer=sgd",
        "schedule/lr=custom", "schedule.lr._target_=parts_of_mine.warmed_up", "schedule.lr.interval=step",
        "augment=custom", "augment._target_=parts_of_mine.noisy", "+augment.std=0.2",
    ]  # fmt: skip
    process = start([*own(tiny), *SHORT, *parts], tmp_path)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    (config,) = (tmp_path / "outputs").rglob("config.yaml")
    folder = config.parent
    assert json.loads((folder / "run.json").read_text())["choices"]["model"] == "Deep"
    with pytest.raises(ConfigError, match=r"^model._target_=parts_of_mine.Deep: expected a module"):
        evaluated(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        assert same_metrics(folder)
        network = load_run(folder, device="cpu").network
        assert network(torch.rand(1, 1, 37, 90)).shape == (1, 4, 37, 90)


def test_a_plan_fills_in_what_an_own_network_has_not(tiny: list[str]) -> None:
    unplanned = [one for one in own(tiny) if not one.startswith(("dataset.patch", "dataset.batch"))]
    folder = run([*unplanned, *SHORT[:2], *NET, "dataset.plan=auto", "dataset.spacing=median"])
    data = json.loads((folder / "data.json").read_text())
    assert data["pools"] == []
    assert min(data["patch_size"]) >= 64
    assert same_metrics(folder)


PLATEAU = [
    "schedule/lr=custom",
    "schedule.lr._target_=torch.optim.lr_scheduler.ReduceLROnPlateau",
    "schedule.lr.monitor=val/loss",
    "+schedule.lr.threshold=10",
    "+schedule.lr.threshold_mode=abs",
    "+schedule.lr.patience=0",
]
"""The first value is the best one, and no other one is good enough."""


@pytest.mark.parametrize(
    ("lr", "expected"),
    [
        (["schedule/lr=cosine"], 0.005 * (1 + np.cos(np.pi * np.arange(3) / 3))),
        (PLATEAU, [0.01, 0.01, 0.001]),
    ],
)
def test_an_interrupted_run_goes_on_exactly(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lr: list[str], expected: list[float]
) -> None:
    """With dropout, batch norm, an augmentation that draws and a rate that waits for a plateau."""
    settings = [*own(tiny), *NET, *lr, "optimizer=sgd", "augment=custom", "augment._target_=mine.noisy"]
    whole = run([*settings, f"output_root={tmp_path / 'whole'}"])
    plain, steps = mine.Net.forward, iter(range(100))

    def forward(self: mine.Net, images: torch.Tensor) -> torch.Tensor:
        if self.training and len(images) == 3 and next(steps) == 9:  # in the third epoch
            raise MemoryError
        return plain(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(mine.Net, "forward", forward)
        with pytest.raises(MemoryError):
            run(settings)
    folder = run(settings)
    first, second = (
        torch.load(one / "checkpoints" / "last.ckpt", weights_only=True) for one in (whole, folder)
    )
    assert all(torch.equal(first["state_dict"][key], value) for key, value in second["state_dict"].items())
    assert first["lr_schedulers"] == second["lr_schedulers"]
    for one in (whole, folder):
        rates = pd.read_csv(one / "metrics" / "epochs.csv")["learning_rate"]
        np.testing.assert_allclose(rates, expected, rtol=1e-12)


def test_a_patch_that_a_network_cannot_take_is_refused_before_a_directory_is_made(
    tiny: list[str], tmp_path: Path
) -> None:
    message = r"^model: Deep refused patches of \[31, 47\] .* give dataset.patch_size=\[32,48\]$"
    with pytest.raises(ConfigError, match=message):
        run([*own(tiny), *SHORT, "model=custom", "model._target_=mine.Deep", "dataset.patch_size=[31,47]"])
    assert not (tmp_path / "outputs").exists()


def test_a_function_that_raises_and_one_that_makes_no_network_are_refused(tiny: list[str]) -> None:
    for target, message in (
        ("mine.Flip", "model: expected a torch.nn.Module, got Flip of mine.Flip"),
        ("torch.nn.Identity", "model: Identity returned"),
        ("monai.networks.nets.UNETR", r"model: monai.networks.nets.UNETR raised ValueError: .*"),
    ):
        extra = ["+model.hidden_size=13", "+model.num_heads=5"] if "UNETR" in target else []
        with pytest.raises(ConfigError, match=message):
            run([*own(tiny), *SHORT, "model=custom", f"model._target_={target}", *extra])


def test_trackers_show_the_class_and_not_that_it_is_custom() -> None:
    names = [*NET, "optimizer=custom", "optimizer._target_=torch.optim.RMSprop"]
    composed, choices = compose("train", names)
    cfg = check(composed)
    found = Identity(run_path(cfg, choices), displayed(cfg, choices), cfg.seed)
    assert found.group == "phantom/Net/rrw/alone"
    assert found.choices["optimizer"] == "RMSprop"
    assert found.method == (
        "phantom/Net/rrw/alone (default/model._target_-mine.Net+optimizer._target_-torch.optim.RMSprop)"
    )


def test_the_cost_of_an_own_network_is_measured_with_what_its_optimizer_keeps(tiny: list[str]) -> None:
    settings = [*own(tiny), *NET, "optimizer=sgd"]
    ((cfg, _),) = preflight("train", ["-m", *settings])
    found = measure(Method("net", cfg, 1, 0), steps=2, seconds=1)
    weights = sum(weight.numel() for weight in mine.Net(1, 4).parameters())
    assert found.checkpoint == 2 * 4 * weights  # themselves, and their momentum
    assert found.step > 0
    target = ["model._target_=mine.Deep", "dataset.patch_size=[31,47]"]
    ((cfg, _),) = preflight("train", ["-m", *settings, *target])
    with pytest.raises(ConfigError, match="model: Deep refused"):
        measure(Method("deep", cfg, 1, 0), steps=2, seconds=1)
