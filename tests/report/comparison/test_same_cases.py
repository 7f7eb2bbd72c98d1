"""The same cases under several methods: one seed for all, chosen by disagreement, and what is not there."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import study
from synthetic import HEART, write_run

from rwseg.core.errors import RunError
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.same_cases import NO_SHOWCASES, SameCases, same_cases
from rwseg.training.showcase import Exhibit, save_showcase

CLASSES = ("background", *HEART)
LOSSES = ("rrw", "ce", "dice")


@pytest.fixture
def two(tmp_path: Path) -> Comparison:
    """Three losses, seeds 0 to 2, without showcases."""
    for loss in LOSSES:
        for seed in range(3):
            write_run(tmp_path, loss, seed=seed)
    return study.read(tmp_path)


def showcase(comparison: Comparison, method: str, seed: int, exhibits: list[Exhibit]) -> Path:
    runs = next(one.runs for one in comparison.methods if one.name == method)
    [folder] = [run.folder for run in runs if run.seed == seed]
    return save_showcase(folder / "figures" / "showcase.npz", exhibits, CLASSES)


def mean_dice(one: np.ndarray, other: np.ndarray) -> float:
    """From the confusion matrix."""
    matrix = np.bincount(4 * one.ravel().astype(int) + other.ravel(), minlength=16).reshape(4, 4)
    return float((2 * matrix.diagonal() / (matrix.sum(0) + matrix.sum(1)))[1:].mean())


def found(comparison: Comparison) -> SameCases:
    return same_cases(comparison.methods)


def test_the_cases_are_those_of_most_median_and_least_disagreement(two: Comparison) -> None:
    study.add_showcases(two, cases=7)
    apart = {}
    for case in range(7):
        predictions = [study.exhibit(case, place).prediction for place in range(3)]
        apart[f"{case:03}_0"] = np.mean([1 - mean_dice(*pair) for pair in combinations(predictions, 2)])
    ranked = sorted(apart, key=lambda case: -apart[case])
    cases = found(two).cases
    assert [one.exhibit.case for one in cases] == [ranked[0], ranked[3], ranked[6]]
    for one in cases:
        assert one.disagreement == pytest.approx(apart[one.exhibit.case])
        assert [shown.method for shown in one.shown] == [method.name for method in two.methods]
        assert one.title == f"{one.exhibit.case} ED, slice {one.exhibit.slice_number + 1} of 12"
        for place, shown in enumerate(one.shown):
            exhibit = study.exhibit(one.exhibit.slice_number, place)
            np.testing.assert_array_equal(shown.prediction, exhibit.prediction)
            assert shown.dice == pytest.approx(mean_dice(exhibit.reference, exhibit.prediction))
    assert found(two).remark == "Runs of seed 0; chosen from 7 cases."


def test_all_are_of_the_lowest_seed_in_common_and_who_lacks_it_is_named(two: Comparison) -> None:
    held = {"rrw": (0, 1, 2), "ce": (1, 2), "dice": (2,)}
    for place, (method, seeds) in enumerate(held.items()):
        for seed in seeds:
            showcase(two, method, seed, [study.exhibit(case, place, seed) for case in range(3)])
    assert found(two).remark.startswith("Runs of seed 2;")
    for shown in found(two).cases[0].shown:
        place = list(held).index(shown.method)
        expected = study.exhibit(found(two).cases[0].exhibit.slice_number, place, 2).prediction
        np.testing.assert_array_equal(shown.prediction, expected)
    dice = next(one.runs for one in two.methods if one.name == "dice")
    (dice[2].folder / "figures").rename(dice[0].folder / "figures")
    assert found(two).remark == "Runs of seed 0, ce of seed 1; chosen from 3 cases."


def test_runs_of_before_are_said_and_left_out(two: Comparison) -> None:
    assert found(two) == SameCases((), (), NO_SHOWCASES)
    showcase(two, "rrw", 0, [study.exhibit(0, 0)])
    assert found(two).remark == NO_SHOWCASES
    showcase(two, "ce", 0, [study.exhibit(0, 1)])
    assert [one.method for one in found(two).cases[0].shown] == ["rrw", "ce"]
    assert found(two).remark.endswith(
        "Not shown, for lack of figures/showcase.npz of the same classes: dice."
    )


def test_a_case_with_another_reference_or_another_slice_is_not_the_same(two: Comparison) -> None:
    one, other = ([study.exhibit(case, place) for case in range(3)] for place in range(2))
    other[0] = other[0]._replace(reference=np.roll(other[0].reference, 1, axis=0))
    other[1] = other[1]._replace(slice_number=7)
    showcase(two, "rrw", 0, one)
    showcase(two, "ce", 0, other)
    assert [case.exhibit.case for case in found(two).cases] == ["002_0"]
    showcase(two, "ce", 0, other[:2])
    assert found(two).remark == NO_SHOWCASES


def test_what_is_empty_everywhere_is_agreement(two: Comparison) -> None:
    empty = study.exhibit(0, 0)
    nothing = np.zeros_like(empty.reference)
    empty = empty._replace(reference=nothing, prediction=nothing, dice=np.full(3, np.nan))
    for method in LOSSES:
        showcase(two, method, 0, [empty])
    [case] = found(two).cases
    assert case.disagreement == 0
    assert all(np.isnan(shown.dice) for shown in case.shown)


def test_a_damaged_showcase_is_named(two: Comparison) -> None:
    study.add_showcases(two)
    path = two.methods[1].runs[0].folder / "figures" / "showcase.npz"
    path.write_bytes(b"PK")
    with pytest.raises(RunError, match=r"showcase\.npz: expected the showcase of a training"):
        found(two)
