"""The tables of both experiments on weights of maps: of made-up runs, by hand."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import write_run

from benchmarks import map_weights
from benchmarks.claims import filled
from rwseg.report.comparison.runs import find_runs
from rwseg.report.pack import pack
from rwseg.statistics import compare_over_seeds

ARMS = (("acdc", "default", 0.9), ("acdc_noisy", "default", 0.7), ("acdc_noisy", "pixel_weights", 0.8))


def write_arms(root: Path) -> dict[str, list[Path]]:
    """Three seeds of each arm of label_noise."""
    found: dict[str, list[Path]] = {}
    for name, callbacks, dice in ARMS:
        weighed = {"callbacks.pixel_weights.folder": "weights"} if callbacks != "default" else {}
        found[map_weights.ARMS[name, callbacks]] = [
            write_run(
                root / name / callbacks,
                seed=seed,
                dice=dice,
                settings={"dataset.name": name, **weighed},
                choices={"callbacks": callbacks},
                facts={"data_digest": name},
            )
            for seed in range(3)
        ]
    return found


@pytest.mark.parametrize("packed", [False, True])
def test_arms_and_differences_by_hand(tmp_path: Path, packed: bool) -> None:
    arms = write_arms(tmp_path / "runs")
    place = tmp_path / "runs"
    if packed:
        place = tmp_path / "packed"
        pack(find_runs([tmp_path / "runs"]), place, map_weights.COMPARED)
    own, differences = (table.splitlines() for table in map_weights.tables([place]))
    cells: dict[str, np.ndarray] = {}
    for line, (arm, folders) in zip(own[2:], arms.items(), strict=True):
        cases = [pd.read_csv(folder / "metrics" / "cases.csv") for folder in folders]
        wide = [one.pivot_table(index="case", columns="class_name", values="dice") for one in cases]
        cells[arm] = np.stack([one.mean(axis=1) for one in wide])
        means = [one.mean(axis=0).mean() for one in wide]
        assert f"| {arm} | 3 |" in line
        assert f"| {np.mean(means):.3f} ± {np.std(means, ddof=1):.3f} |" in line
    subjects = cases[0].drop_duplicates("case").set_index("case")["subject"].loc[wide[0].index].tolist()
    assert len(differences) == 2 + 3
    for line, (before, after) in zip(differences[2:], ((0, 1), (0, 2), (1, 2)), strict=True):
        names = list(arms)
        found = compare_over_seeds(cells[names[after]], cells[names[before]], subjects)
        assert line.startswith(f"| {names[after]} | {names[before]} |")
        numbers = [float(number) for number in re.findall(r"[+-]0\.\d+", line)]
        np.testing.assert_allclose(numbers, [found.difference, found.low, found.high], atol=6e-4)


@pytest.mark.slow
def test_the_documents_hold_what_the_stored_runs_of_weights_say() -> None:
    found = map_weights.stored()
    for path in map_weights.DOCUMENTS:
        document = path.read_text(encoding="utf-8")
        assert filled(document, found, "benchmarks.map_weights") == document, (
            "python -m benchmarks.map_weights --write"
        )
