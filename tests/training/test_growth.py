"""The table of benchmarks/growth.py, by hand: what it calls linear, and what not."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.curves import growth_curves
from benchmarks.growth import PARTS, STEPS, Part, _copy, table


def samples(seconds: dict[int, float]) -> dict[int, list[dict[str, float]]]:
    """Three samples of each size, the middle one as given."""
    return {
        size: [
            {"seconds": own * noise, "clock": 3 * own, "peak_mib": 100.0 + noise, "readers_peak_mib": 0.0}
            for noise in (0.5, 1.0, 3.0)
        ]
        for size, own in seconds.items()
    }


def rows_of(name: str, seconds: Any) -> list[dict[str, Any]]:
    return table(PARTS[name], samples({size: seconds(size) for size in PARTS[name].sizes}))


def test_sizes_go_to_64_times_the_data_and_a_thousand_runs() -> None:
    assert {part.sizes[-1] // part.sizes[0] for name, part in PARTS.items() if name != "report"} == {64}
    assert PARTS["report"].sizes == (10, 100, 1000)
    assert [name for name in PARTS if "steps" in name] == ["steps, device", "steps, host", "steps, disk"]


def test_a_fixed_cost_and_a_cost_per_case_are_on_the_line() -> None:
    rows = rows_of("preparation", lambda volumes: 2.0 + 0.0625 * volumes)
    assert [row["name"] for row in rows] == ["1x", "8x", "64x"]
    assert [row["of_line"] for row in rows] == pytest.approx([1.0] * 3)
    assert (rows[1]["volumes"], rows[1]["seconds"], rows[1]["ms_each"]) == (64, 6.0, pytest.approx(93.75))
    assert (rows[0]["peak_mib"], rows[0]["clock"]) == (101.0, 7.5)


def test_milliseconds_of_steps_are_those_of_one() -> None:
    rows = rows_of("steps, disk", lambda pictures: 0.5)
    assert [row["ms_a_step"] for row in rows] == pytest.approx([1e3 * 0.5 / STEPS] * 3)


def test_a_quadratic_cost_is_far_from_it() -> None:
    part = Part(PARTS["report"].begin, "runs", (1, 2, 4, 8))
    rows = table(part, samples({size: 1.0 * size**2 for size in part.sizes}))
    assert max(abs(row["of_line"] - 1) for row in rows) > 0.15
    assert rows[0]["runs"] == 1


def test_copies_of_a_run_differ_in_their_seed_alone(tmp_path: Path) -> None:
    run = tmp_path / "trained" / "seed0"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text("dataset:\n  split_seed: 0\nseed: 0\n")
    _copy(run, tmp_path / "copied" / "seed0", 3)
    copied = tmp_path / "copied" / "seed3"
    assert (copied / "config.yaml").read_text() == "dataset:\n  split_seed: 0\nseed: 3\n"
    assert [path.name for path in copied.iterdir()] == ["config.yaml"]


def test_the_figure_has_a_line_for_each_place(tmp_path: Path) -> None:
    tables = {name: rows_of(name, lambda size: 0.1 * size) for name in PARTS if "steps" in name}
    growth_curves(tables, tmp_path / "growth.svg")
    drawn = (tmp_path / "growth.svg").read_text()
    for text in ("device", "host", "disk", "data.residency", "Peak memory (MiB)", "512"):
        assert f">{text}</text>" in drawn
