"""The tables of composed maps, from made-up runs."""

from pathlib import Path

import pytest
from synthetic import write_run

from benchmarks import map_effects
from benchmarks.claims import filled
from rwseg.losses.theory import AnnealedShares
from rwseg.report.comparison.compare import compare
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.runs import find_runs

ANNEALED = ["boundary", {"anneal": 0.5}]


@pytest.fixture
def found(tmp_path: Path) -> Comparison:
    for seed in range(3):
        write_run(tmp_path, "rrw", seed=seed, dice=0.9)
        write_run(tmp_path, "rw_boundary", seed=seed, dice=0.05 if seed else 0.7)
        for name, parts, dice in (("half", ANNEALED, 0.8), ("thin", ["skeleton"], 0.85)):
            write_run(tmp_path / name, "rw", seed=seed, dice=dice, settings={"loss.map": parts})
    return compare(find_runs([tmp_path]), "rrw")


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_a_row_per_map_beside_rrw(found: Comparison) -> None:
    rows = {row[0]: row[1:] for row in cells(map_effects.effects(found))}
    assert list(rows) == [method.name for method in found.methods]
    assert rows["rrw"][-1] == ""
    assert all(row[0] == "3" for row in rows.values())
    mean, difference = float(rows["rw(skeleton)"][-3]), float(rows["rw(skeleton)"][-1].split()[0])
    assert mean - float(rows["rrw"][-3]) == pytest.approx(difference, abs=0.0011)
    assert rows["rw_boundary"][-2].startswith("2 of 3 ")
    assert rows["rw(skeleton)"][-2].startswith("0 of 3 ")


def test_annealing_goes_by_t_with_what_the_shares_foretell(found: Comparison) -> None:
    shares = {t: AnnealedShares(t, 0.1 - t / 10, 0.3 - t / 5, 0.2 + t / 5) for t in (0.0, 0.5)}
    rows = cells(map_effects.annealing(found, shares, map_effects.seeds_lost(found)))
    assert [row[0] for row in rows] == ["0", "0.5"]
    assert rows[0][2].startswith("2 of 3 ")
    assert [row[3] for row in rows] == ["2 of 2", "0 of 2"]
    assert rows[1][4:] == ["5.0 %", "20.0 %", "30.0 %"]
    without = cells(map_effects.annealing(found, {}, {0.0: (0, 0)}))
    assert [len(row) for row in without] == [4, 4]
    assert [row[3] for row in without] == ["", ""]


@pytest.mark.slow
def test_the_document_holds_what_the_stored_runs_of_maps_say() -> None:
    document = map_effects.DOCUMENT.read_text(encoding="utf-8")
    found = map_effects.tables()  # without the labels, whose shares stand in the table of annealing
    measured = {name: found[name] for name in ("effects", "phantom")}
    again = filled(document, measured, "benchmarks.map_effects")
    assert again == document, "python -m benchmarks.map_effects --write dataset.root=..."
