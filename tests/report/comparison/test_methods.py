"""Grouping runs into methods and naming them by what sets them apart."""

from pathlib import Path

import pytest
from synthetic import write_run

from rwseg.core.errors import RunError
from rwseg.report.comparison.methods import COMPARED, group, swept
from rwseg.report.comparison.runs import find_runs


def names(root: Path, *compared: str) -> list[str]:
    return [method.name for method in group(find_runs([root]), [*COMPARED, *compared])]


def test_seeds_are_gathered_and_ordered(tmp_path: Path) -> None:
    for seed in (10, 2, 0):
        write_run(tmp_path, "rrw", seed=seed)
    write_run(tmp_path, "ce", seed=2)
    methods = group(find_runs([tmp_path]))
    assert [(method.name, [run.seed for run in method.runs]) for method in methods] == [
        ("ce", [2]),
        ("rrw", [0, 2, 10]),
    ]


def test_names_tell_loss_partner_strategy_and_rectification(tmp_path: Path) -> None:
    write_run(tmp_path / "plain", "rw_boundary")
    write_run(tmp_path / "rectified", "rw_boundary", settings={"loss.rectify": True})
    write_run(tmp_path, "rw_boundary", "equal_dice")
    write_run(tmp_path, "rrw", "gradual_ce")
    assert names(tmp_path) == [
        "rrw + ce, gradual", "rw_boundary", "rw_boundary + dice, equal", "rw_boundary, rectified",
    ]  # fmt: skip


def test_compositions_of_maps_are_named_by_their_parts(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "rw", settings={"loss.map": ["boundary", {"anneal": 0.5}]})
    mixed = ["rrw", {"mix": {"map": ["skeleton", "rectify"], "weight": 0.5}}, {"class_weights": [1, 2]}]
    write_run(tmp_path / "b", "rw", "equal_dice", settings={"loss.map": mixed})
    assert names(tmp_path) == [
        "rw(boundary anneal=0.5)",
        "rw(rrw mix=(map [skeleton rectify], weight 0.5) class_weights=1/2) + dice, equal",
    ]


def test_another_partner_than_that_of_the_option_is_named(tmp_path: Path) -> None:
    other = {"strategy.partner._target_": "rwseg.losses.GeneralizedDiceLoss"}
    write_run(tmp_path, "rw_boundary", "gradual_dice", settings=other)
    assert names(tmp_path) == ["rw_boundary + GeneralizedDice, gradual"]


def test_a_rectified_map_alone_is_called_so(tmp_path: Path) -> None:
    write_run(tmp_path, "rw_boundary", settings={"loss.rectify": True})
    assert names(tmp_path) == ["rw_boundary, rectified"]


def test_settings_name_what_the_choices_do_not(tmp_path: Path) -> None:
    write_run(tmp_path / "two", "focal")
    write_run(tmp_path / "five", "focal", settings={"loss.gamma": 5.0})
    write_run(tmp_path, "ce")
    assert names(tmp_path) == ["ce", "focal, loss.gamma=2", "focal, loss.gamma=5"]


def test_a_setting_that_one_of_two_lacks_is_absent(tmp_path: Path) -> None:
    write_run(tmp_path / "old", "focal")
    write_run(tmp_path / "new", "focal", settings={"loss.weight": "inverse"})
    assert names(tmp_path) == ["focal, loss.weight=absent", "focal, loss.weight=inverse"]


@pytest.mark.parametrize(
    ("key", "settings", "choices", "expected"),
    [
        (
            "augment",
            {"augment.flips": True},
            {"augment": "flips"},
            ["rrw, augment=flips", "rrw, augment=none"],
        ),
        ("augment", {"augment.flips": True}, {}, ["rrw, augment.flips=false", "rrw, augment.flips=true"]),
        ("dataset.zoom", {"dataset.zoom": 1.0}, {}, ["rrw, dataset.zoom=0.5", "rrw, dataset.zoom=1"]),
        ("schedule", {"schedule.epochs": 9}, {}, ["rrw, schedule.epochs=6", "rrw, schedule.epochs=9"]),
    ],
)
def test_more_can_be_compared(
    tmp_path: Path, key: str, settings: dict[str, object], choices: dict[str, str], expected: list[str]
) -> None:
    write_run(tmp_path / "one")
    write_run(tmp_path / "other", settings=settings, choices=choices)
    assert names(tmp_path, key) == expected


def test_code_versions_can_be_compared(tmp_path: Path) -> None:
    write_run(tmp_path / "old", facts={"git_commit": "a" * 40})
    write_run(tmp_path / "new", facts={"git_commit": "b" * 40 + "-dirty"})
    assert names(tmp_path, "commit") == [f"rrw, commit={'a' * 12}", f"rrw, commit={'b' * 12}-dirty"]


def test_a_seed_that_is_there_twice_is_refused_naming_both(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name, seed=1) for name in ("first", "second")]
    write_run(tmp_path / "first", seed=2)
    with pytest.raises(RunError, match="each seed once per method") as refused:
        names(tmp_path)
    assert f"rrw, seed 1: {folders[0]} and {folders[1]}" in str(refused.value)
    assert "seed 2" not in str(refused.value)


RATE = "schedule.learning_rate"


def sweep(root: Path, *runs: tuple[str, float, int]) -> list[str]:
    for loss, rate, seed in runs:
        write_run(root / str(rate), loss, seed=seed, settings={RATE: rate})
    return swept(find_runs([root]), COMPARED)


def test_a_sweep_over_a_setting_sets_methods_apart(tmp_path: Path) -> None:
    whole = [(loss, rate, seed) for loss in ("rrw", "ce") for rate in (0.1, 0.2) for seed in (0, 1)]
    assert sweep(tmp_path, *whole) == [RATE]
    assert swept(find_runs([tmp_path]), [*COMPARED, "schedule"]) == []
    assert names(tmp_path, RATE) == [
        f"{loss}, {RATE}={rate}" for loss in ("ce", "rrw") for rate in ("0.1", "0.2")
    ]


def test_a_sweep_that_is_under_way_is_one(tmp_path: Path) -> None:
    assert sweep(tmp_path, ("rrw", 0.1, 0), ("rrw", 0.1, 1), ("rrw", 0.2, 0)) == [RATE]


@pytest.mark.parametrize(
    "runs",
    [
        [("rrw", 0.1, 0), ("ce", 0.2, 0)],
        [("rrw", 0.1, 0), ("rrw", 0.2, 0), ("ce", 0.2, 0)],
        [("rrw", 0.1, 0), ("rrw", 0.2, 1)],
    ],
    ids=["each its own", "one lacks a value", "no seed in common"],
)
def test_an_unequal_setting_is_no_sweep(tmp_path: Path, runs: list[tuple[str, float, int]]) -> None:
    assert sweep(tmp_path, *runs) == []


def test_a_seed_twice_is_refused_with_what_the_two_differ_in(tmp_path: Path) -> None:
    sweep(tmp_path, ("rrw", 0.1, 0), ("rrw", 0.2, 0))
    with pytest.raises(RunError, match=rf"they differ in {RATE}\)\n.*: --compare {RATE}$"):
        names(tmp_path)
