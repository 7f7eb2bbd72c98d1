"""Names of run directories, by example: contract C5."""

from pathlib import Path

import pytest

from rwseg.experiments.composition import compose
from rwseg.experiments.config.schema import Choices, TrainConfig
from rwseg.experiments.config.validation import check
from rwseg.experiments.run_directory import (
    LONGEST_COMPONENT,
    config_digest,
    run_path,
)


def checked(*overrides: str) -> tuple[TrainConfig, Choices]:
    cfg, choices = compose("train", list(overrides))
    return check(cfg), choices


def path(*overrides: str) -> str:
    return str(run_path(*checked(*overrides)))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], "default/phantom/rrw/alone/seed0"),
        (["seed=7"], "default/phantom/rrw/alone/seed7"),
        (["loss=rw_boundary", "strategy=equal_dice"], "default/phantom/rw_boundary/equal_dice/seed0"),
        (["dataset=acdc", "loss=ce"], "default/acdc/ce/alone/seed0"),
        (["experiment=acdc_small"], "acdc_small/acdc/rrw/alone/seed0"),
        (["experiment=acdc_small", "dataset=phantom"], "acdc_small/phantom/rrw/alone/seed0"),
        (["schedule=small"], "default/phantom/rrw/alone/schedule-small/seed0"),
        (["trainer=cpu", "augment=none"], "default/phantom/rrw/alone/augment-none+trainer-cpu/seed0"),
        (["schedule.epochs=7"], "default/phantom/rrw/alone/schedule.epochs-7/seed0"),
        (
            ["schedule=small", "schedule.epochs=7"],
            "default/phantom/rrw/alone/schedule-small+schedule.epochs-7/seed0",
        ),
        (
            ["dataset.patch_size=[64,128]", "model.pools=[[2,2],[2,1]]"],
            "default/phantom/rrw/alone/dataset.patch_size-64x128+model.pools-2x2_2x1/seed0",
        ),
        (
            ["loss=rw_boundary", "loss.rectify=true"],
            "default/phantom/rw_boundary/alone/loss.rectify-true/seed0",
        ),
        (
            ["loss=rw", "loss.map=[boundary,{anneal: 0.5}]"],
            "default/phantom/rw/alone/loss.map-boundary--anneal-0.5/seed0",
        ),
        (
            [
                "loss=rw",
                "loss.map=[rrw,{class_weights: [1, 2.0]},{mix: {map: [skeleton, rectify], weight: 0.5}}]",
            ],
            "default/phantom/rw/alone/"
            "loss.map-rrw--class_weights-1x2--mix-map-@skeleton--rectify@-weight-0.5/seed0",
        ),
        (["optimizer=sgd"], "default/phantom/rrw/alone/optimizer-sgd/seed0"),
        (
            ["optimizer=sgd", "schedule=small", "schedule.learning_rate=0.1", "schedule/lr=cosine"],
            "default/phantom/rrw/alone/"
            "optimizer-sgd+schedule-small+schedule.lr-cosine+schedule.learning_rate-0.1/seed0",
        ),
        (
            ["model=custom", "model._target_=mine.Net", "+model.width=8"],
            "default/phantom/rrw/alone/model._target_-mine.Net+model.width-8/seed0",
        ),
        (
            ["model=dynunet", "model.dropout=0.1", "augment=custom", "augment._target_=mine.noisy"],
            "default/phantom/rrw/alone/model-dynunet+augment._target_-mine.noisy+model.dropout-0.1/seed0",
        ),
        (
            ["dataset=nnunet", "dataset.name=Dataset027_ACDC"],
            "default/Dataset027_ACDC/rrw/alone/dataset-nnunet/seed0",
        ),
        (
            ["dataset=custom", "dataset.adapter=mine.CELLS", "dataset.root=my/cells"],
            "default/cells/rrw/alone/dataset-custom+dataset.adapter-mine.CELLS/seed0",
        ),
        (["dataset=folder", "dataset.root=my/cells"], "default/cells/rrw/alone/dataset-folder/seed0"),
        (["evaluation.missed=diagonal"], "default/phantom/rrw/alone/evaluation.missed-diagonal/seed0"),
        (["dataset.name='a/b c'"], "default/phantom/rrw/alone/dataset.name-%22a%2Fb%20c%22/seed0"),
    ],
)
def test_the_path_of_contract_c5(overrides: list[str], expected: str) -> None:
    assert path(*overrides) == path(*overrides) == f"outputs/{expected}"


@pytest.mark.parametrize(
    "override",
    [
        "prepared_root=p",
        "dataset.cache=c",
        "data.residency=disk",
        "force=true",
        "logger=wandb",
        "dataset.root=r",
        "model=small",
        "schedule.epochs=6",
    ],
)
def test_what_changes_nothing_in_the_result_changes_nothing_in_the_path(override: str) -> None:
    assert path(override) == path()
    assert config_digest(checked(override)[0]) == config_digest(checked()[0])


def test_the_output_root_is_in_front() -> None:
    assert path("output_root=some/where") == path().replace("outputs", "some/where", 1)


EQUAL = [
    (["schedule=small", "schedule.epochs=7"], ["schedule.epochs=7", "schedule=small"]),
    (["optimizer=sgd"], ["schedule.learning_rate=0.01", "optimizer=sgd"]),
    (["schedule.learning_rate=1"], ["schedule.learning_rate=1.0"]),
    (["loss=focal", "loss.gamma=3"], ["loss=focal", "loss.gamma=3.0"]),
    (["model.pools=[[2,2],[2,1]]", "seed=2"], ["++seed=2", "model.pools=[[2,2],[2,1]]"]),
]


@pytest.mark.parametrize(("first", "second"), EQUAL)
def test_the_same_configuration_written_differently(first: list[str], second: list[str]) -> None:
    assert path(*first) == path(*second) != path()
    assert config_digest(checked(*first)[0]) == config_digest(checked(*second)[0])


DIFFERENT = [
    (["optimizer=sgd"], ["schedule.learning_rate=0.01"]),
    (["optimizer=adamw"], ["optimizer=adamw", "~optimizer.fused"]),
    (["schedule/lr=constant"], ["schedule/lr=constant", "schedule.lr.interval=step"]),
    (
        ["model=custom", "model._target_=mine.Net"],
        ["model=custom", "model._target_=mine.Net", "+model.width=4"],
    ),
    (["model=custom", "model._target_=mine.Net"], ["model=custom", "model._target_=mine.Deep"]),
    (["augment=custom", "augment._target_=mine.noisy"], ["augment=none"]),
    (["dataset.name='a/b'"], ["dataset.name=a_b"]),
    (["dataset.name='a,seed=1'"], ["dataset.name=a"]),
    (["dataset.name='1'"], ["dataset.name='1.0'"]),
    (["loss=rw_boundary", "loss.region_map='true'"], ["loss=rw_boundary", "loss.region_map='True'"]),
    (["loss=focal", "loss.gamma=3"], ["loss=focal", "loss.gamma='3'"]),
    (["loss=focal", "loss.gamma=null"], ["loss=focal", "loss.gamma='null'"]),
    (["loss=rw", "loss.map=[rrw,{clip: 1},{power: 2}]"], ["loss=rw", "loss.map=[rrw,{power: 2},{clip: 1}]"]),
    (
        ["loss=rw", "loss.map=[rrw,{mix: {map: [skeleton], weight: 0.5}},rectify]"],
        ["loss=rw", "loss.map=[rrw,{mix: {map: [skeleton,rectify], weight: 0.5}}]"],
    ),
    (["model.pools=[[2,2],[2,1]]"], ["model.pools=[[2,1],[2,2]]"]),
]


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_values_that_look_alike_stay_apart(first: list[str], second: list[str]) -> None:
    assert path(*first) != path(*second)
    assert config_digest(checked(*first)[0]) != config_digest(checked(*second)[0])


def test_long_names_are_shortened_and_stay_apart() -> None:
    keys = ("schedule.weight_decay", "schedule.poly_power", "schedule.clip_norm", "evaluation.every")
    many = [*(f"{key}=3" for key in keys), "dataset.zoom=0.5", "model.convs_per_stage=3", "model.features=14"]
    first, second = path(*many), path(*many[:-1], "model.features=15")
    assert first == path(*reversed(many))
    assert first != second
    for name in (*Path(first).parts, *Path(second).parts):
        assert len(name) <= LONGEST_COMPONENT + 20


@pytest.mark.parametrize(
    ("words", "folder"),
    [
        (["dataset=acdc", "schedule=small", "schedule.epochs=6"], "schedule-small+schedule.epochs-6"),
        (["dataset=acdc", "schedule=phantom"], "schedule-phantom"),
        (["dataset=acdc", "schedule=wmh", "model=isles"], "model-isles+schedule-wmh"),
        (["dataset=kits19", "augment=flips"], "augment-flips"),
    ],
)
def test_options_stand_in_the_path_as_they_were_typed(words: list[str], folder: str) -> None:
    """Also where another option has the same values, or nearer ones."""
    assert Path(path(*words)).parent.name == folder
