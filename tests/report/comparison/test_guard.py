"""The fairness guard: what it refuses, what it says, and what it lets pass when told to."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from synthetic import write_run

from rwseg.core.errors import ConfigError, RunError
from rwseg.report.comparison.guard import check_fair, common_rows
from rwseg.report.comparison.methods import COMPARED, group
from rwseg.report.comparison.runs import find_runs


def check(root: Path, compared: Sequence[str] = (), allowed: Sequence[str] = ()) -> list[str]:
    keys = [*COMPARED, *compared]
    return check_fair(group(find_runs([root]), keys), keys, allowed)


def two_runs(root: Path, **other: object) -> None:
    write_run(root, "rrw")
    write_run(root, "ce", **other)  # type: ignore[arg-type]


def drop_case(folder: Path) -> None:
    path = folder / "metrics" / "cases.csv"
    table = pd.read_csv(path)
    table[table["case"] != table["case"].iloc[0]].to_csv(path, index=False)


def test_runs_that_differ_in_loss_strategy_and_seed_are_fair(tmp_path: Path) -> None:
    for loss, strategy in (("rrw", "alone"), ("rw_boundary", "gradual_dice"), ("focal", "alone")):
        write_run(tmp_path, loss, strategy, seed=len(loss))
    assert check(tmp_path) == []


UNFAIR = [
    ({"settings": {"schedule.epochs": 50}}, "schedule.epochs", "50 in ce (1 run); 6 in rrw (1 run)"),
    ({"settings": {"evaluation.missed": "diagonal"}}, "evaluation.missed", "diagonal in ce (1 run)"),
    ({"settings": {"augment.rotation": 15}}, "augment.rotation", "15 in ce (1 run); absent in rrw (1 run)"),
    ({"facts": {"data_digest": "e" * 32}}, "data", f"{'d' * 12} in rrw (1 run); {'e' * 12} in ce (1 run)"),
    ({"facts": {"split_digest": "6" * 16}}, "split", f"{'6' * 12} in ce (1 run)"),
    ({"facts": {"git_commit": "f" * 40 + "-dirty"}}, "commit", f"{'f' * 12}-dirty in ce (1 run)"),
    (
        {"facts": {"device": "NVIDIA H200", "precision": "32-true"}},
        "device",
        "NVIDIA H200 in ce (1 run); cpu in rrw (1 run)",
    ),
    ({"settings": {"trainer.precision": "16-mixed"}}, "trainer.precision", "16-mixed in ce (1 run)"),
    ({"facts": {"git_commit": None}}, "commit", "unknown in ce (1 run)"),
    ({"cases": 6}, "cases", "6 (without 003_0, 003_1) in ce (1 run); 8 in rrw (1 run)"),
    ({"classes": ("RV", "LV")}, "classes", "2 (without myocardium) in ce (1 run)"),
]


@pytest.mark.parametrize(("other", "key", "said"), UNFAIR)
def test_other_differences_are_refused_unless_allowed(
    tmp_path: Path, other: dict[str, object], key: str, said: str
) -> None:
    two_runs(tmp_path, **other)
    with pytest.raises(RunError, match="the runs differ in more than what is compared") as refused:
        check(tmp_path)
    (line,) = [line for line in str(refused.value).splitlines() if line.startswith("  - ")]
    assert line.startswith(f"  - {key}: ")
    assert said in line
    (note,) = check(tmp_path, allowed=[key])
    assert "Accepted although the runs differ in it" in note
    assert said in note


def test_all_differences_are_listed_and_those_left_over_still_refused(tmp_path: Path) -> None:
    two_runs(tmp_path, settings={"schedule.epochs": 50, "dataset.zoom": 1.0}, facts={"git_commit": "b" * 40})
    with pytest.raises(RunError) as refused:
        check(tmp_path, allowed=["schedule"])
    lines = [line for line in str(refused.value).splitlines() if line.startswith("  - ")]
    assert [line.split(":")[0] for line in lines] == ["  - commit", "  - dataset.zoom"]
    assert len(check(tmp_path, allowed=["schedule", "commit", "dataset.zoom"])) == 3


def test_a_difference_within_a_method_is_refused_too(tmp_path: Path) -> None:
    write_run(tmp_path, seed=0)
    write_run(tmp_path, seed=1, settings={"schedule.learning_rate": 0.01})
    with pytest.raises(RunError, match=r"schedule.learning_rate: 0.001 in rrw \(1 run\); 0.01 in rrw"):
        check(tmp_path)


def test_what_is_compared_needs_no_permission(tmp_path: Path) -> None:
    two_runs(tmp_path, settings={"augment.flips": True})
    assert check(tmp_path, compared=["augment"]) == []


@pytest.mark.parametrize(
    ("compared", "allowed", "message"),
    [
        (["schedule.epoch"], [], "--compare schedule.epoch: .*did you mean 'schedule.epochs'"),
        (["cases"], [], "--compare cases: expected a setting"),
        ([], ["comit"], "--allow comit: .*did you mean 'commit'"),
        ([], ["loss.gama"], "--allow loss.gama: expected a setting"),
    ],
)
def test_unknown_names_are_refused(
    tmp_path: Path, compared: list[str], allowed: list[str], message: str
) -> None:
    two_runs(tmp_path)
    with pytest.raises(ConfigError, match=message):
        check(tmp_path, compared, allowed)


def test_only_common_cases_and_classes_are_left(tmp_path: Path) -> None:
    write_run(tmp_path, "rrw", cases=4)
    write_run(tmp_path, "dice", cases=4, classes=("RV", "LV"))
    drop_case(write_run(tmp_path, "ce", cases=4))
    rows = common_rows(group(find_runs([tmp_path])))
    assert set(zip(rows["case"], rows["class_name"], strict=True)) == {
        (case, name) for case in ("000_1", "001_0", "001_1") for name in ("RV", "LV")
    }


def test_different_datasets_cannot_be_compared_even_if_allowed(tmp_path: Path) -> None:
    two_runs(tmp_path, classes=("tumour",))
    assert len(check(tmp_path, allowed=["classes"])) == 1
    with pytest.raises(RunError, match="no case and class that all have in common"):
        common_rows(group(find_runs([tmp_path])))


DIRTY = {"git_commit": "a" * 40 + "-dirty"}


def test_one_commit_with_uncommitted_changes_may_be_several_codes(tmp_path: Path) -> None:
    for loss in ("rrw", "ce"):
        write_run(tmp_path, loss, facts=DIRTY)
    with pytest.raises(
        RunError, match=r"(?s)commit: a{12}-dirty in 2 runs, made with uncommitted.*--allow commit"
    ):
        check(tmp_path)
    assert check(tmp_path, allowed=["commit"]) == []
    assert check(tmp_path, compared=["commit"]) == []


def test_a_single_run_with_uncommitted_changes_is_mixed_with_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, facts=DIRTY)
    assert check(tmp_path) == []
