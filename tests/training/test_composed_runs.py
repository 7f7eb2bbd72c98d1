"""Runs of composed maps: what does not fit is told before anything is made, and what overflows in the run."""

import logging
from pathlib import Path

import pytest
from trainings import run

from rwseg.core.errors import ConfigError
from rwseg.experiments.composition import preflight


@pytest.mark.parametrize(
    "parts",
    ["[rrw,{class_weights: [1,2]}]", "[boundary,{mix: {map: [rrw,{class_weights: [1,2]}], weight: 0.5}}]"],
)
def test_class_weights_for_other_classes_leave_nothing_behind(
    tiny: list[str], tmp_path: Path, parts: str
) -> None:
    with pytest.raises(ConfigError, match=r"loss\.map: class_weights: expected 4 weights, .* got 2"):
        run([*tiny, "loss=rw", f"loss.map={parts}"])
    assert not (tmp_path / "outputs").exists()


def test_a_loss_that_is_no_number_is_told_once(tiny: list[str], caplog: pytest.LogCaptureFixture) -> None:
    overflow = ["loss=rw", "loss.map=[{hausdorff: 8},{power: 8}]", "schedule.epochs=2"]
    with caplog.at_level(logging.WARNING):
        run([*tiny, *overflow])
    told = [record.getMessage() for record in caplog.records if "finite number" in record.getMessage()]
    assert len(told) == 1
    assert told[0].startswith("train/loss of epoch 1 is ")


def test_a_bracket_that_is_not_closed_is_told_as_one() -> None:
    for text in ("[boundary", "[boundary,{clip: 2]"):
        with pytest.raises(ConfigError, match="expected every bracket to be closed"):
            preflight("train", ["loss=rw", f"loss.map={text}"])
