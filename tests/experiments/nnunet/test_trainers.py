"""The trainers for nnU-Net v2, in the real nnU-Net: found by it, made by it, and what their losses are."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import own_code
import pytest
import torch
from small_plans import LABELS, SPACING, STRIDES, dataset_json, make_preprocessed, plans
from torch import Tensor

from rwseg.core.errors import ConfigError
from rwseg.experiments.composition import preflight
from rwseg.losses import RRWLoss, build_loss, head_weights, supervised_loss

pytest.importorskip("nnunetv2", reason="nnU-Net v2 is not installed (make test-nnunet)")
pytestmark = pytest.mark.filterwarnings("ignore")  # nnU-Net's own

from batchgeneratorsv2.transforms.utils.deep_supervision_downsampling import (  # noqa: E402
    DownsampleSegForDSTransform,
)
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: E402
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name  # noqa: E402

TRAINERS = Path(__file__).parents[3] / "rwseg" / "experiments" / "nnunet" / "trainers"
LOSSES = {
    "RRW": ["loss=rrw"],
    "RWBoundary": ["loss=rw_boundary"],
    "RWBoundaryRectified": ["loss=rw_boundary", "loss.rectify=true"],
}
STRATEGIES = {
    "": "alone",
    "EqualDice": "equal_dice",
    "EqualCE": "equal_ce",
    "GradualDice": "gradual_dice",
    "GradualCE": "gradual_ce",
}
FIXED = {
    f"nnUNetTrainer{loss}{suffix}": [*LOSSES[loss], f"strategy={option}"]
    for loss in LOSSES
    for suffix, option in STRATEGIES.items()
}
OWN = "nnUNetTrainerRwsegLoss"

Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / name))
    monkeypatch.setenv("nnUNet_extTrainer", os.fspath(TRAINERS))
    for name in ("RWSEG_LOSS", "RWSEG_SCHEDULE"):
        monkeypatch.delenv(name, raising=False)
    make_preprocessed(tmp_path / "preprocessed")


@pytest.fixture
def make() -> Make:
    """A trainer by its name, as `nnUNetv2_train` makes it, on the CPU; its network follows from a seed."""

    def made(
        name: str, configuration: str = "2d", labels: dict[str, Any] = LABELS, start: bool = True
    ) -> Any:
        torch.manual_seed(0)
        trainer = recursive_find_trainer_class_by_name(name)
        device = torch.device("cpu")
        found = trainer(plans(), configuration, 0, dataset_json(labels), device)
        if start:
            found.initialize()
        return found

    return made


def batch(configuration: str, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images and labels `(B, 1, *S)` of two items; a class fills half an item, another is absent there."""
    rng = torch.Generator().manual_seed(seed)
    size = plans()["configurations"][configuration]["patch_size"]
    coarse = torch.randint(0, classes, (2, 1, *(side // 4 for side in size)), generator=rng).float()
    labels = torch.nn.functional.interpolate(coarse, size, mode="nearest")
    labels[0, :, : size[0] // 2] = 0
    labels[0][labels[0] == 1] = 2
    return torch.randn((2, 1, *size), generator=rng), labels.to(torch.int16)


def targets(trainer: Any, labels: Tensor) -> list[Tensor]:
    """Of each head, as nnU-Net's loader subsamples them."""
    transform = DownsampleSegForDSTransform(trainer._get_deep_supervision_scales())
    each = [transform(segmentation=item)["segmentation"] for item in labels]
    return [torch.stack(scale) for scale in zip(*each, strict=True)]


def loss_of(words: Sequence[str], spacing: Sequence[float]) -> Any:
    steps = f"loss.spacing=[{','.join(map(str, spacing))}]"
    [(cfg, _)] = preflight("train", ["-m", "map.source=online", steps, *words])
    return build_loss(cfg)


def test_the_folder_holds_16_trainers_under_names_of_their_own() -> None:
    sources = [path.read_text() for path in TRAINERS.glob("*.py")]
    names = [line.split("(")[0] for text in sources for line in text.split("\nclass ")[1:]]
    assert sorted(names) == sorted([*FIXED, OWN])


@pytest.mark.parametrize("name", [*FIXED, OWN])
def test_nnunet_finds_each_trainer_and_makes_it(
    name: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == OWN:
        monkeypatch.setenv("RWSEG_LOSS", "rrw strategy=gradual_ce")
    trainer = make(name)
    assert isinstance(trainer, nnUNetTrainer)
    assert type(trainer).__name__ == name
    expected = loss_of(FIXED.get(name, ["loss=rrw", "strategy=gradual_ce"]), SPACING["2d"])
    assert repr(trainer.combined_loss) == repr(expected)
    assert trainer.combined_loss.mode == expected.mode
    assert (trainer.num_epochs, trainer.initial_lr) == (1000, 1e-2)


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
@pytest.mark.parametrize("name", ["nnUNetTrainerRRW", "nnUNetTrainerRWBoundaryRectifiedEqualDice"])
def test_the_loss_of_a_step_is_that_of_rwseg(name: str, configuration: str, make: Make) -> None:
    trainer = make(name, configuration)
    images, labels = batch(configuration, classes=3)
    trainer.network.train()
    with torch.no_grad():
        outputs = trainer.network(images)
    assert len(outputs) == len(STRIDES[configuration]) - 1 == 3
    expected = supervised_loss(
        loss_of(FIXED[name], SPACING[configuration]), outputs, labels, weights=head_weights(3)
    )
    step = trainer.train_step({"data": images, "target": targets(trainer, labels)})
    assert float(step["loss"]) == pytest.approx(float(expected), abs=1e-6)
    trainer.network.eval()
    held = trainer.validation_step({"data": images, "target": targets(trainer, labels)})
    assert np.isfinite(held["loss"])


def test_without_deep_supervision_the_loss_is_that_of_the_one_output(make: Make) -> None:
    trainer = make("nnUNetTrainerRRW", start=False)
    trainer.enable_deep_supervision = False
    trainer.initialize()
    images, labels = batch("2d", classes=3)
    with torch.no_grad():
        output = trainer.network(images)
    expected = RRWLoss(SPACING["2d"])(output, labels[:, 0].long())
    step = trainer.train_step({"data": images, "target": labels})
    assert float(step["loss"]) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_ignored_voxels_do_not_train(configuration: str, make: Make) -> None:
    trainer = make("nnUNetTrainerRRWEqualCE", configuration, {**LABELS, "ignore": 3})
    images, labels = batch(configuration, classes=4)
    outputs = [out.detach().requires_grad_() for out in trainer.network(images)]
    assert outputs[0].shape[1] == 3
    value = trainer.loss(outputs, targets(trainer, labels))
    loss = loss_of(FIXED["nnUNetTrainerRRWEqualCE"], SPACING[configuration])
    expected = supervised_loss(loss, outputs, labels, weights=head_weights(3), ignore=3)
    assert float(value) == pytest.approx(float(expected), abs=1e-6)
    value.backward()
    unlabelled = (labels == 3).expand_as(outputs[0])
    assert unlabelled.any()
    assert not outputs[0].grad[unlabelled].any()
    assert outputs[0].grad[~unlabelled].all()


def test_the_weights_of_the_heads_are_nnunets(make: Make) -> None:
    ours, its = make("nnUNetTrainerRRW"), make("nnUNetTrainer")
    assert ours.loss.weight_factors == its.loss.weight_factors == pytest.approx(head_weights(3))


def test_under_autocast_the_loss_is_in_full_precision(make: Make) -> None:
    trainer = make("nnUNetTrainerRRW")
    images, labels = batch("2d", classes=3)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        outputs = trainer.network(images)
        value = trainer.loss(outputs, targets(trainer, labels))
    assert outputs[0].dtype == torch.bfloat16
    full = [out.float() for out in outputs]
    assert float(value) == pytest.approx(float(trainer.loss(full, targets(trainer, labels))), abs=1e-6)


def test_gradual_strategies_follow_the_epochs_of_nnunet(make: Make) -> None:
    trainer = make("nnUNetTrainerRWBoundaryGradualDice")
    for epoch, alpha in ((0, 1.0), (1, 0.99), (40, 0.6), (500, 0.01)):
        trainer.current_epoch = epoch
        trainer.logger.local_logger.my_fantastic_logging["lrs"] = [0.0] * epoch
        trainer.on_train_epoch_start()
        assert trainer.combined_loss.alpha == pytest.approx(alpha)


def test_regions_are_refused_in_a_sentence(make: Make) -> None:
    regions = {"background": 0, "heart": [1, 2], "LV": [2]}
    with pytest.raises(ConfigError, match=r"^nnUNetTrainerRRW: expected labels .* got regions that overlap"):
        make("nnUNetTrainerRRW", labels=regions)


@pytest.fixture
def saved(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The checkpoint of a training with an own loss of the module own_mine."""
    mine = tmp_path / "mine"
    mine.mkdir()
    with own_code.own_folder(mine):
        monkeypatch.setenv("RWSEG_LOSS", "own_mine.MyLoss weight=2 strategy=gradual_dice")
        monkeypatch.setenv("RWSEG_SCHEDULE", "num_epochs=7 initial_lr=1e-3")
        trainer = make(OWN)
        assert (trainer.num_epochs, trainer.optimizer.param_groups[0]["lr"]) == (7, 1e-3)
        trainer.current_epoch = 3
        path = tmp_path / "checkpoint_latest.pth"
        trainer.save_checkpoint(os.fspath(path))
        monkeypatch.delenv("RWSEG_LOSS")
        monkeypatch.delenv("RWSEG_SCHEDULE")
        yield path


def test_a_checkpoint_goes_on_with_its_own_loss(saved: Path, make: Make) -> None:
    kept = torch.load(saved, weights_only=False)["init_args"]["rwseg_loss"]
    assert kept["words"] == "own_mine.MyLoss weight=2 strategy=gradual_dice"
    assert kept["loss"] == {"_target_": "own_mine.MyLoss", "weight": 2}
    assert list(kept["sources"]["loss"]) == ["own_helpers", "own_mine"]
    trainer = make(OWN, start=False)
    trainer.load_checkpoint(os.fspath(saved))
    assert (trainer.num_epochs, trainer.current_epoch) == (7, 4)
    assert trainer.combined_loss.main.loss.weight == 2
    assert trainer.combined_loss.mode == "gradual"
    again = saved.with_name("again.pth")
    trainer.save_checkpoint(os.fspath(again))
    assert torch.load(again, weights_only=False)["init_args"]["rwseg_loss"] == kept


def test_a_checkpoint_refuses_another_loss_and_other_code(
    saved: Path, make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RWSEG_LOSS", "dice")
    trainer = make(OWN, start=False)
    with pytest.raises(
        ConfigError, match=r"expected its own loss, own_mine.MyLoss weight=2 .* got dice; leave"
    ):
        trainer.load_checkpoint(os.fspath(saved))
    monkeypatch.setenv("RWSEG_LOSS", "own_mine.MyLoss strategy=gradual_dice weight=2")
    make(OWN, start=False).load_checkpoint(os.fspath(saved))
    monkeypatch.delenv("RWSEG_LOSS")
    own_code.write(tmp_path / "mine", "own_helpers", own_code.HELPERS + "# edited\n")
    with pytest.raises(ConfigError, match=r"in the code that it was trained with:\nloss: module own_helpers"):
        make(OWN, start=False).load_checkpoint(os.fspath(saved))


def test_without_a_loss_nothing_starts(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"^RWSEG_LOSS: expected a loss, such as RWSEG_LOSS='rw_boundary"):
        make(OWN)
    monkeypatch.setenv("RWSEG_LOSS", "rrv")
    with pytest.raises(ConfigError, match="did you mean 'rrw'"):
        make(OWN)


def test_a_folder_keeps_to_one_loss(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RWSEG_LOSS", "rrw")
    trainer = make(OWN)
    trainer._save_debug_information()
    assert json.loads(Path(trainer.output_folder, "debug.json").read_text())["rwseg_loss"]
    monkeypatch.setenv("RWSEG_LOSS", "dice")
    with pytest.raises(ConfigError, match="expected its own loss, rrw, got dice"):
        make(OWN).on_train_start()


@pytest.mark.parametrize(
    "text", ["epochs=3", "num_epochs", "num_epochs=0", "num_epochs=2.5", "initial_lr=nan"]
)
def test_a_schedule_that_cannot_be_is_refused(text: str, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RWSEG_SCHEDULE", text)
    with pytest.raises(ConfigError, match=f"^RWSEG_SCHEDULE: expected NAME=NUMBER.* got '{text}'"):
        make("nnUNetTrainerRRW")
