"""Which rows a tracker gets when training starts in the middle."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
from pytorch_lightning.loggers.logger import DummyLogger

from rwseg.experiments.loggers import Tracked
from rwseg.training.callbacks.epoch_table import EpochTable
from rwseg.training.loggers.callbacks import LogEpochs, measured
from rwseg.training.loggers.pictures import painted
from rwseg.training.loggers.results import Overlay, Plane, Results, shown_plane


class Notebook(DummyLogger):
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[int] = []

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None, **_: Any) -> None:
        assert step == 10 * metrics["epoch"] + 9
        self.epochs.append(int(metrics["epoch"]))


def row(epoch: int) -> dict[str, float]:
    return {"epoch": float(epoch), "step": 10.0 * epoch + 9}


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (None, [3, 4]),  # cannot tell: from where training goes on
        (0, [0, 1, 2, 3, 4]),  # lacks everything
        (2, [2, 3, 4]),  # killed before epoch 2 was sent
        (3, [3, 4]),
        (4, [4]),  # epoch 3 was sent, but its checkpoint was lost: it is repeated, not sent again
    ],
)
@pytest.mark.filterwarnings("ignore:The `srun` command is available")
def test_a_resumed_training_sends_what_the_tracker_lacks(known: int | None, expected: list[int]) -> None:
    table = EpochTable(Path("unused.csv"))
    table.rows = [row(epoch) for epoch in range(3)]
    notebook, other = Notebook(), Notebook()
    mirror = LogEpochs(table, [Tracked(notebook, known), Tracked(other, 5)])
    module = pl.LightningModule()
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", max_epochs=5)
    trainer.fit_loop.epoch_progress.current.completed = 3
    mirror.on_train_start(trainer, module)
    for epoch in (3, 4):
        table.rows.append(row(epoch))
        mirror.on_train_epoch_end(trainer, module)
    assert (notebook.epochs, other.epochs) == (expected, [])


def test_what_was_not_measured_is_left_out_but_a_diverged_loss_is_not() -> None:
    found = measured(
        {"epoch": 1.0, "alpha": math.nan, "val/dice": math.nan, "train/loss": math.nan, "seconds": 0.5}
    )
    assert found.keys() == {"epoch", "train/loss", "seconds"}
    assert math.isnan(found["train/loss"])


def test_the_shown_plane_is_the_fullest_and_grey_values_fill_the_range() -> None:
    image = np.linspace(-3, 5, 3 * 5 * 8, dtype=np.float32).reshape(3, 5, 8)
    reference = np.zeros((3, 5, 8), np.uint8)
    reference[1, 2:4, 3:7] = 2
    reference[2, 0, 0] = 1
    plane = shown_plane(Overlay("patient001", image, reference, np.zeros_like(reference)))
    assert plane.caption == "patient001, slice 2 of 3"
    np.testing.assert_array_equal(plane.reference, reference[1])
    low, high = np.percentile(image, (1, 99))
    np.testing.assert_array_equal(plane.image, ((image[1] - low) / (high - low) * 255).round())
    flat = shown_plane(
        Overlay("flat", np.ones((2, 4, 4), np.float32), reference[:2, :4, :4], reference[:2, :4, :4])
    )
    assert (flat.image == 0).all()


def test_a_painted_plane_shows_outlines_of_the_reference_and_areas_of_the_prediction() -> None:
    empty = np.zeros((6, 9), np.uint8)
    reference, prediction = empty.copy(), empty.copy()
    reference[1:5, 1:5] = 1
    prediction[1:5, 5:9] = 2
    picture = painted(Plane("", empty + 100, reference, prediction))
    assert picture.shape == (6, 9, 3)
    colour = picture[1, 1]
    assert (picture[[1, 4, 1, 4, 2], [1, 1, 4, 4, 1]] == colour).all()
    assert (picture[2:4, 2:4] == 100).all(), "the image shows through the reference"
    tint = picture[1:5, 5:9].reshape(-1, 3)
    assert (tint == tint[0]).all()
    assert (tint[0] != 100).any()
    assert (picture[0] == 100).all()


def test_final_metrics_are_those_of_the_cases() -> None:
    rows = [
        ("a", "RV", 0.5, 3.0, 0, 0),
        ("a", "LV", 0.8, 1.0, 0, 0),
        ("b", "RV", 0.0, math.nan, 1, 0),
        ("b", "LV", math.nan, math.nan, 0, 0),
        ("c", "RV", 0.4, 5.0, 0, 0),
        ("c", "LV", 0.0, math.nan, 0, 1),
    ]
    cases = pd.DataFrame(rows, columns=["case", "class_name", "dice", "hausdorff", "missed", "spurious"])
    results = Results(3, cases, ("background", "RV", "LV"), (), 12.5, "cpu", "abc", "nan")
    assert results.metrics() == pytest.approx(
        {
            "final/dice": (0.3 + 0.4) / 2,
            "final/dice_RV": 0.3,
            "final/dice_LV": 0.4,
            "final/hausdorff": 2.5,
            "final/hausdorff_RV": 4.0,
            "final/hausdorff_LV": 1.0,
            "final/missed": 1.0,
            "final/spurious": 1.0,
            "final/seconds": 12.5,
        }
    )
