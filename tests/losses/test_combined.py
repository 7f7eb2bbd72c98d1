"""Strategies: formulas, schedule of alpha, the files of conf/strategy, the gap to a perfect prediction."""

import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from registered import LOSSES
from torch import Tensor

from rwseg.core.errors import ConfigError
from rwseg.losses import (
    CombinedLoss,
    CrossEntropyLoss,
    DiceLoss,
    RegionWiseLoss,
    RRWLoss,
    build_loss,
    loss_at_perfect,
    perfect_logits,
)
from rwseg.maps import boundary_map

CONF = Path(__file__).parents[2] / "conf"
STRATEGIES = sorted((CONF / "strategy").glob("*.yaml"))
KEYS = {"mode", "partner", "alpha_step", "alpha_floor"}


def make() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 2, (2, 7, 12), generator=generator)
    return torch.randn(2, 3, 7, 12, generator=generator), labels


def composed(loss: Path, strategy: Path) -> DictConfig:
    return OmegaConf.create({"loss": OmegaConf.load(loss), "strategy": OmegaConf.load(strategy)})


@pytest.mark.parametrize(
    ("epoch", "alpha"), [(0, 1.0), (1, 0.99), (49, 0.51), (98, 0.02), (99, 0.01), (100, 0.01), (299, 0.01)]
)
def test_alpha_falls_by_a_hundredth_per_epoch_to_its_floor(epoch: int, alpha: float) -> None:
    loss = CombinedLoss(RRWLoss(), DiceLoss(), "gradual")
    loss.set_epoch(epoch)
    assert loss.alpha == pytest.approx(alpha, abs=1e-12)


def test_step_and_floor_are_those_asked_for() -> None:
    loss = CombinedLoss(RRWLoss(), DiceLoss(), "gradual", alpha_step=0.2, alpha_floor=0.3)
    alphas = []
    for epoch in range(5):
        loss.set_epoch(epoch)
        alphas.append(loss.alpha)
    assert alphas == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.3])


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda file: file.stem)
@pytest.mark.parametrize("file", LOSSES, ids=lambda file: file.stem)
def test_every_loss_under_every_strategy(file: Path, strategy: Path) -> None:
    logits, labels = make()
    combined = build_loss(composed(file, strategy))
    main = combined.main(logits, labels)
    partner = {"dice": DiceLoss(), "ce": CrossEntropyLoss()}.get(strategy.stem.rpartition("_")[2])
    terms = combined.terms(logits, labels)
    assert set(terms) == ({"main"} if partner is None else {"main", "partner"})
    torch.testing.assert_close(terms["main"], main)
    for epoch in (0, 30, 200):
        combined.set_epoch(epoch)
        expected = main
        if partner is not None:
            torch.testing.assert_close(terms["partner"], partner(logits, labels))
            alpha = max(1 - 0.01 * epoch, 0.01)
            first, second = (1.0, 1.0) if strategy.stem.startswith("equal") else (alpha, 1 - alpha)
            expected = first * terms["partner"] + second * main
        torch.testing.assert_close(combined(logits, labels), expected)
        assert combined(logits, labels) > loss_at_perfect(combined, labels, 3)
    assert (combined.map_name, combined.rectified) == (combined.main.map_name, combined.main.rectified)


def test_strategies_hold_the_same_keys() -> None:
    assert [file.stem for file in STRATEGIES] == [
        "alone",
        "equal_ce",
        "equal_dice",
        "gradual_ce",
        "gradual_dice",
    ]
    for file in STRATEGIES:
        assert set(OmegaConf.load(file)) == KEYS


def test_the_map_is_given_to_the_main_loss_and_the_partner_makes_its_own() -> None:
    logits, labels = make()
    z = 2 * boundary_map(labels, 3)
    combined = CombinedLoss(RegionWiseLoss("boundary"), RRWLoss(), "equal")
    expected = RRWLoss()(logits, labels) + 2 * RegionWiseLoss("boundary")(logits, labels)
    torch.testing.assert_close(combined(logits, labels, z), expected)


def test_perfect_logits_are_one_hot_and_the_gap_is_0_there() -> None:
    _, labels = make()
    perfect = perfect_logits(labels, 3)
    one_hot = torch.nn.functional.one_hot(labels, 3).movedim(-1, 1)
    assert torch.equal(torch.softmax(perfect, 1), one_hot.float())
    loss, z = RegionWiseLoss("boundary"), boundary_map(labels, 3, (2.0, 5.0))
    best = loss_at_perfect(loss, labels, 3, z)
    torch.testing.assert_close(best, (one_hot * z).mean())
    assert loss(perfect, labels, z) == best
    assert not best.requires_grad


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "sum"}, "mode: expected one of alone, equal, gradual, got 'sum'"),
        ({"mode": "equal"}, "'equal' expects a partner loss such as DiceLoss.., got no partner"),
        ({"partner": DiceLoss()}, "'alone' expects no partner, got DiceLoss"),
        ({"alpha_floor": 1.5}, "alpha_floor in"),
        ({"alpha_step": -0.1}, "alpha_step >= 0"),
        ({"alpha_step": float("nan")}, "alpha_step=nan"),
    ],
)
def test_inconsistent_strategies_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CombinedLoss(RRWLoss(), **arguments)  # type: ignore[arg-type]


def test_negative_epoch_is_refused() -> None:
    with pytest.raises(ValueError, match="epoch: expected 0 or more, got -1"):
        CombinedLoss(RRWLoss()).set_epoch(-1)


def test_a_target_that_cannot_be_called_is_refused() -> None:
    cfg = composed(LOSSES[0], CONF / "strategy" / "alone.yaml")
    cfg.loss = {"_target_": "torch.device", "type": "cpu"}
    with pytest.raises(ConfigError, match=r"loss: expected a callable .* got device.*; check loss._target_"):
        build_loss(cfg)


HEAVY = {"hydra", "omegaconf", "pytorch_lightning", "monai", "pandas", "matplotlib"}


def python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=CONF.parent, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("line", "absent"),
    [("from rwseg.losses import RRWLoss", HEAVY), ("import rwseg", {*HEAVY, "torch", "numpy", "scipy"})],
)
def test_nothing_is_imported_that_is_not_needed(line: str, absent: set[str]) -> None:
    assert python(f"{line}; import sys; print({absent} & set(sys.modules))") == "set()"


@pytest.mark.slow
def test_losses_take_hardly_longer_to_import_than_pytorch() -> None:
    lines = ("import torch", "from rwseg.losses import RRWLoss")
    timed = "import time; {}; print(time.process_time())"
    seconds = {line: [float(python(timed.format(line))) for _ in range(5)] for line in lines}
    torch_alone, losses = (statistics.median(seconds[line]) for line in lines)
    assert losses < 1.3 * torch_alone
