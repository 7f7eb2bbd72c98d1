"""Run directories: one per configuration and seed, and never of two configurations."""

from functools import reduce
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from rwseg.core.errors import RunError
from rwseg.experiments.composition import compose
from rwseg.experiments.config.schema import Choices, TrainConfig
from rwseg.experiments.config.validation import check, inspect, plain
from rwseg.experiments.run_directory import (
    IDENTITY,
    check_same_config,
    comparable,
    config_digest,
    load_config,
    run_path,
    save_config,
)


def checked(*overrides: str) -> tuple[TrainConfig, Choices]:
    cfg, choices = compose("train", list(overrides))
    return check(cfg), choices


def value_at(content: dict[str, Any], key: str) -> Any:
    return reduce(lambda node, name: node[name], key.split("."), content)


def changed(value: object) -> object:
    """Another value of the same type; of the same length, where a value has one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return [*value[:-1], changed(value[-1])]
    return value + 1 if isinstance(value, int | float) else f"{value}x"


@pytest.mark.parametrize("names", [[], ["loss=rw_boundary", "strategy=gradual_ce"], ["dataset=acdc"]])
def test_every_single_setting_makes_a_path_of_its_own(names: list[str]) -> None:
    cfg, choices = checked(*names)
    keys = [key for key in comparable(cfg) if value_at(plain(cfg), key) is not None]
    paths = {run_path(cfg, choices)}
    for key in keys:
        other = OmegaConf.create(plain(cfg))
        OmegaConf.update(other, key, changed(value_at(plain(cfg), key)))
        made, _ = inspect(plain(other), TrainConfig)  # whether it may be so or not
        paths.add(run_path(made, choices))
    assert len(keys) > 25
    assert len(paths) == len(keys) + 1


OPTIONS = {
    "schedule": ["phantom", "small"],
    "schedule.epochs": ["6", "7", "12"],
    "schedule.learning_rate": ["2e-3", "0.001"],
    "model": ["phantom", "small", "acdc"],
    "model.features": ["12", "32"],
    "model.pools": ["[[2,2],[2,1]]", "[[2,1],[2,2]]", "[[2,2],[2,2],[2,2]]"],
    "dataset.patch_size": ["[64,64]", "[64,128]", "[128,64]"],
    "augment": ["flips", "none"],
    "augment.flips": ["true", "false"],
    "trainer": ["auto", "cpu"],
    "trainer.precision": ["auto", "32-true"],
    "loss": ["rrw", "rw_boundary"],
    "strategy.alpha_step": ["0.01", "0.5"],
    "evaluation.missed": ["nan", "diagonal"],
    "optimizer": ["adam", "sgd"],
    "schedule/lr": ["poly", "cosine"],
    "seed": ["0", "1"],
    "prepared_root": ["here", "there"],
    "logger": ["csv", "wandb"],
}

overrides = st.fixed_dictionaries(
    {}, optional={key: st.sampled_from(values) for key, values in OPTIONS.items()}
)


change = st.sampled_from([(key, value) for key, values in OPTIONS.items() for value in values])


@pytest.mark.slow
@given(overrides, change, change)
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.generate],  # each try costs a third of a second: too much for shrinking
)
def test_runs_that_share_a_directory_are_the_same_and_share_it_in_whatever_order_they_are_asked_for(
    first: dict[str, str], one: tuple[str, str], other: tuple[str, str]
) -> None:
    paths, contents = [], []
    for chosen in (first, dict([*first.items(), one]), dict([*first.items(), other])):
        words = [f"{key}={value}" for key, value in chosen.items()]
        cfg, choices = checked(*words)
        paths.append(run_path(cfg, choices))
        contents.append((comparable(cfg), [choices[group] for group in IDENTITY]))
        assert run_path(*checked(*reversed(words))) == paths[-1]
    for left, right in combinations(range(3), 2):
        assert paths[left] != paths[right] or contents[left] == contents[right]


@given(overrides)
@settings(max_examples=10, deadline=None, derandomize=True, phases=[Phase.generate])
def test_a_saved_configuration_loads_as_the_same(
    tmp_path_factory: pytest.TempPathFactory, chosen: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    cfg, _ = checked(*(f"{key}={value}" for key, value in chosen.items()))
    save_config(folder, cfg)
    loaded = load_config(folder)
    assert loaded == cfg
    assert config_digest(loaded) == config_digest(cfg)
    check_same_config(folder, cfg)


def test_the_saved_configuration_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RWSEG_DATA", "/first")
    save_config(tmp_path, checked("logger=wandb")[0])
    monkeypatch.setenv("RWSEG_DATA", "/second")
    assert load_config(tmp_path).dataset.root == "/first/phantom"
    assert load_config(tmp_path).logger["wandb"]["project"] == "rwseg-phantom"
    assert "${" not in (tmp_path / "config.yaml").read_text()


def test_another_configuration_is_refused_with_the_differing_keys(tmp_path: Path) -> None:
    check_same_config(tmp_path, checked()[0])  # nothing there yet
    save_config(tmp_path, checked("loss=rw_boundary", "dataset.root=a")[0])
    check_same_config(tmp_path, checked("loss=rw_boundary", "dataset.root=b", "force=true")[0])
    other, _ = checked("schedule.epochs=7", "model.pools=[[2,1]]", "evaluation.missed=diagonal")
    with pytest.raises(RunError) as caught:
        check_same_config(tmp_path, other)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{tmp_path} holds a run of another configuration:"
    assert lines[1:-1] == [
        '  - evaluation.missed: saved "nan", asked "diagonal"',
        '  - loss._target_: saved "rwseg.losses.RegionWiseLoss", asked "rwseg.losses.RRWLoss"',
        "  - loss.rectify: saved false, asked nothing",
        '  - loss.region_map: saved "boundary", asked nothing',
        "  - model.pools: saved [[2,2],[2,2],[2,2]], asked [[2,1]]",
        "  - schedule.epochs: saved 6, asked 7",
    ]
    assert "force=true" in lines[-1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected a run directory that a training wrote, found no config.yaml in it"),
        ("a: [1", "config.yaml: expected a configuration in YAML"),
        ("- 1\n- 2\n", "config.yaml: expected a configuration in YAML, got a list"),
        ("\x00\x01", "config.yaml: expected a configuration in YAML"),
        ("schedul: 3\n", "config.yaml: .* unknown key 'schedul'; did you mean 'schedule'?"),
        ("seed: 3\n", "config.yaml: .*augment: expected a value, got none"),
    ],
)
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(RunError, match=f"(?s){message}"):
        load_config(tmp_path)


def test_a_run_may_go_on_with_its_slices_elsewhere_and_one_from_before_is_the_same_run(
    tmp_path: Path,
) -> None:
    cfg, _ = checked("data.residency=disk")
    save_config(tmp_path, cfg)
    check_same_config(tmp_path, checked("data.residency=host")[0])
    content = plain(cfg)
    del content["data"]
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(content)))
    check_same_config(tmp_path, cfg)
    assert load_config(tmp_path).data.residency == "auto"


@pytest.mark.parametrize(
    ("group", "setting", "value"), [("dataset", "center_crop", "[64,48]"), ("evaluation", "cases", "3")]
)
def test_a_run_from_before_a_setting_is_the_same_run(group: str, setting: str, value: str) -> None:
    cfg, _ = checked()
    container = plain(cfg)
    del container[group][setting]
    assert config_digest(check(OmegaConf.create(container))) == config_digest(cfg)
    assert config_digest(checked(f"{group}.{setting}={value}")[0]) != config_digest(cfg)


def test_comparable_is_flat_json_without_what_has_no_effect() -> None:
    flat = comparable(checked("logger=wandb", "strategy=equal_ce")[0])
    assert flat["schedule.epochs"] == "6"
    assert flat["schedule.clip_norm"] == "12"
    assert flat["model.pools"] == "[[2,2],[2,2],[2,2]]"
    assert flat["strategy.partner._target_"] == '"rwseg.losses.CrossEntropyLoss"'
    assert flat["seed"] == "0"
    assert not {key for key in flat if key.startswith(("logger", "output_root", "prepared_root", "force"))}
    assert "dataset.root" not in flat
    assert comparable({"a": {}, "b": {"c": None}}) == {"a": "{}", "b.c": "null"}
