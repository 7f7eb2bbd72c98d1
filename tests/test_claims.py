"""The tables of the stored study: what is in the documents is what its command prints, and what it claims."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import claims
from rwseg.report.comparison.comparison import Comparison, Method, Run
from rwseg.report.comparison.convergence import oscillation


@pytest.mark.slow
def test_the_documents_hold_what_the_stored_runs_say() -> None:
    found = claims.tables()
    for path in claims.DOCUMENTS:
        document = path.read_text(encoding="utf-8")
        assert claims.filled(document, found) == document, "python -m benchmarks.claims --write"


def test_a_table_takes_its_place_and_no_other() -> None:
    document = "a\n<!-- python -m benchmarks.claims: rates -->\nold\n<!-- rates end -->\nb\n"
    filled = claims.filled(document, {"rates": "| new |", "claims": "| none |"})
    assert filled == document.replace("old", "| new |")


def collapses(counts: dict[str, tuple[int, int]]) -> Comparison:
    """A comparison that has nothing but numbers of collapsed runs and of all."""
    rows = [{"method": name, "collapsed": lost, "runs": runs} for name, (lost, runs) in counts.items()]
    return made(convergence=pd.DataFrame(rows))


def pair(low: float, high: float, seeds: int = 10) -> Comparison:
    """A comparison of rrw and another by the interval of their difference."""
    names = {"method": "rrw", "other": "ce", "class_name": "mean", "metric": "dice"}
    numbers = {"seeds": seeds, "subjects": 30, "difference": (low + high) / 2, "low": low, "high": high}
    return made(over_seeds=pd.DataFrame([{**names, **numbers, "probability": 0.5}]))


def made(methods: tuple[Method, ...] = (), **tables: pd.DataFrame) -> Comparison:
    nothing = dict.fromkeys(field.name for field in fields(Comparison))
    return Comparison(**{**nothing, "methods": methods, **tables})  # type: ignore[arg-type]


@pytest.mark.parametrize(("lost", "runs", "holds"), [(0, 50, "yes"), (0, 5, "cannot be told"), (1, 50, "no")])
def test_no_collapse_is_claimed_only_where_a_tenth_would_have_shown(lost: int, runs: int, holds: str) -> None:
    row = claims._never_collapses(collapses({"rrw": (lost, runs)}))
    assert row.holds == holds
    assert f"{lost} of {runs} runs lost a class [" in row.measured


@pytest.mark.parametrize(
    ("boundary", "rrw", "holds"),
    [((12, 50), (0, 50), "yes"), ((0, 50), (0, 50), "no"), ((1, 50), (0, 50), "cannot be told")],
)
def test_the_boundary_map_collapses(boundary: tuple[int, int], rrw: tuple[int, int], holds: str) -> None:
    assert claims._boundary_collapses(collapses({"rw_boundary": boundary, "rrw": rrw})).holds == holds


@pytest.mark.parametrize(
    ("cured", "before", "holds"),
    [
        ((0, 20), (20, 50), "yes"),
        ((1, 20), (25, 50), "in part"),
        ((0, 5), (10, 50), "cannot be told"),
        ((18, 20), (10, 50), "no"),
    ],
)
def test_what_cures_a_collapse(cured: tuple[int, int], before: tuple[int, int], holds: str) -> None:
    found = collapses({"rw_boundary": before, "cure": cured})
    assert claims._cured(found, "a cure", ["cure"]).holds == holds


@pytest.mark.parametrize(
    ("low", "high", "alike", "not_worse", "ahead"),
    [
        (-0.005, 0.005, "yes", "yes", "cannot be told"),
        (0.02, 0.04, "no", "yes", "yes"),
        (-0.04, -0.02, "no", "no", "no"),
        (-0.02, 0.02, "cannot be told", "cannot be told", "cannot be told"),
        (-0.008, 0.03, "cannot be told", "yes", "cannot be told"),
    ],
)
def test_similar_and_better_follow_from_the_interval(
    low: float, high: float, alike: str, not_worse: str, ahead: str
) -> None:
    found = pair(low, high)
    assert claims._alike(found, "alike", "rrw", "ce").holds == alike
    assert claims._alike(found, "not worse", "rrw", "ce", only_worse=True).holds == not_worse
    row = claims._ahead(found, "ahead", "rrw", "ce")
    assert row.holds == ahead
    assert row.measured == (
        f"{(low + high) / 2:+.3f} [{low:+.3f}, {high:+.3f}] Dice over 10 seeds and 30 patients"
    )


def test_two_seeds_claim_nothing() -> None:
    found = pair(0.02, 0.04, seeds=2)
    assert claims._ahead(found, "ahead", "rrw", "ce").holds == "cannot be told"
    assert claims._alike(found, "alike", "rrw", "ce").holds == "cannot be told"


def test_oscillation_is_compared_between_runs_of_a_seed() -> None:
    rng = np.random.default_rng(0)
    calm, wild = (
        tuple(run(name, seed, size, rng) for seed in range(6)) for name, size in (("rrw", 0.01), ("b", 0.2))
    )
    found = made(methods=(Method("rrw", calm), Method("rw_boundary", wild)))
    row = claims._less(found, "less", "rw_boundary", oscillation, 4)
    assert row.holds == "yes"
    assert row.measured.endswith("over 6 seeds")
    swapped = made(methods=(Method("rrw", wild), Method("rw_boundary", calm)))
    assert claims._less(swapped, "less", "rw_boundary", oscillation, 4).holds == "no"


def run(name: str, seed: int, size: float, rng: np.random.Generator) -> Run:
    epochs = pd.DataFrame({"epoch": range(10), "seconds": 1.0, "val/dice": 0.5 + size * rng.random(10)})
    return Run(
        folder=Path(name), status="finished", reason="", seed=seed, seconds=1.0, device="cpu", host="h",
        processor="p", commit="c", data_digest="d", split_digest="s", choices={}, settings={}, cases=None,
        epochs=epochs,
    )  # fmt: skip
