"""Composed maps with `map.source=cached`: the base is of the volume, in mm, all else of the patch."""

import numpy as np
import pytest
import torch

from rwseg.experiments.build import build_data, build_learner
from rwseg.experiments.composition import compose
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.config.validation import check
from rwseg.experiments.prepared_run import prepare_run
from rwseg.maps import RectifiedMap

CPU = torch.device("cpu")


def by_hand(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[boundary, {normalise: per_item}, rectify, {class_weights: [1, 3, 1, 2]}] of a base `(B, K, H, W)`."""
    true = labels[:, None] == np.arange(4)[None, :, None, None]
    z = z.copy()
    for item, right in zip(z, true, strict=True):
        for entries in (right, ~right):
            largest = np.abs(item[entries]).max()
            item[entries] /= largest if largest > 0 else 1
    wrong = np.where(true, 0, z).sum(1, keepdims=True) / 3
    return np.where(true, z, wrong * np.array([1.0, 3, 1, 2])[labels][:, None])


def test_the_loss_of_a_batch_is_that_of_its_part_of_the_volume_s_map(tiny: list[str]) -> None:
    words = [
        "loss=rw",
        "loss.map=[boundary,{normalise:per_item},rectify,{class_weights:[1,3,1,2]}]",
        "model.deep_supervision=false",
        "schedule.foreground=1",
    ]
    cfg, _ = compose("train", [*tiny, *words])
    prepared = prepare_run(check(cfg, TrainConfig))
    data, learner = build_data(prepared), build_learner(prepared)
    data.prepare_data()
    data.setup("fit")
    for step in range(3):
        batch = data.training_batch(step, CPU)
        assert isinstance(batch.region_map, torch.Tensor), "the dense boundary map"
        labels = batch.labels.numpy().astype(int)
        logits = torch.randn(len(labels), 4, *labels.shape[1:], dtype=torch.float64)
        value = learner.loss(logits, batch.labels, batch.region_map.double())
        z = by_hand(batch.region_map.double().numpy(), labels)
        expected = (torch.softmax(logits, 1).numpy() * z).mean()
        assert float(value) == pytest.approx(expected, rel=1e-6)


def test_a_base_that_is_rectified_is_served_in_compact_form(tiny: list[str]) -> None:
    cfg, _ = compose("train", [*tiny, "loss=rw", "loss.map=[rrw,{class_weights:[1,3,1,2]}]"])
    prepared = prepare_run(check(cfg, TrainConfig))
    data, learner = build_data(prepared), build_learner(prepared)
    data.prepare_data()
    data.setup("fit")
    batch = data.training_batch(0, CPU)
    assert isinstance(batch.region_map, RectifiedMap)
    logits = torch.randn(len(batch.labels), 4, *batch.labels.shape[1:], dtype=torch.float64)
    true, wrong = (part.double().numpy() for part in batch.region_map)
    labels = batch.labels.numpy().astype(int)
    weights = np.array([1.0, 3, 1, 2])[labels]
    p = np.take_along_axis(torch.softmax(logits, 1).numpy(), labels[:, None], 1)[:, 0]
    expected = (p * true + (1 - p) * wrong * weights).mean() / 4
    assert float(learner.loss(logits, batch.labels, batch.region_map)) == pytest.approx(expected, rel=1e-6)
