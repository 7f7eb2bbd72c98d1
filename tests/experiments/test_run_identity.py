"""Names of runs: what is a seed of the same method, and what is not."""

from pathlib import Path

import pytest

from rwseg.core.errors import RunError
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.experiments.run_directory import run_path
from rwseg.experiments.run_identity import Identity, require


def identity(*overrides: str) -> Identity:
    composed, choices = compose("train", list(overrides))
    cfg = check(composed)
    return Identity(run_path(cfg, choices), choices, cfg.seed)


def test_group_name_and_tags_are_the_options() -> None:
    found = identity(
        "dataset=acdc", "loss=rw_boundary", "strategy=gradual_ce", "model=small", "schedule=small", "seed=7"
    )
    assert found.group == "acdc/small/rw_boundary/gradual_ce"
    assert found.name == "rw_boundary-gradual_ce-s7"
    assert found.tags == ["acdc", "small", "rw_boundary", "gradual_ce", "default"]
    assert identity().name == "rrw-s0"


def test_only_the_seed_leaves_the_method_as_it_is() -> None:
    plain = identity()
    assert plain.method == plain.group == "phantom/phantom/rrw/alone"
    assert identity("seed=3").method == plain.method
    assert identity("logger=mlflow", "prepared_root=elsewhere").method == plain.method
    others = [
        identity(override).method
        for override in ("schedule.epochs=3", "strategy.alpha_floor=0.1", "loss=ce", "experiment=acdc_small")
    ]
    assert len({plain.method, *others}) == 5
    assert others[0] == "phantom/phantom/rrw/alone (default/schedule.epochs-3)"


@pytest.mark.parametrize("overrides", [(), ("schedule.epochs=3",), ("experiment=acdc_small",)])
def test_the_settings_hold_the_configuration_and_where_the_run_lies(overrides: tuple[str, ...]) -> None:
    cfg, choices = compose("train", list(overrides))
    settings = identity(*overrides).settings(check(cfg))
    assert settings["schedule"]["epochs"] == cfg.schedule.epochs  # type: ignore[index]
    assert settings["choices"] == choices
    path = Path(str(settings["run_json"]))
    assert path.is_absolute()
    assert path.parts[-2:] == ("seed0", "run.json")


def test_a_missing_package_is_said_with_what_to_install() -> None:
    with pytest.raises(RunError, match=r"logger=x: expected the package 'nowhere', found none; pip"):
        require("nowhere", "logger=x", "rwseg[x]")
