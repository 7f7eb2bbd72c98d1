"""The table of benchmarks/growth.py, by hand: what it calls linear, and what not."""

from pathlib import Path

import pytest

from benchmarks.growth import FACTORS, _copy, table


def samples(seconds: dict[int, float]) -> dict[int, list[dict[str, float]]]:
    """Three samples of each size, the middle one as given."""
    return {
        factor: [{"seconds": own * noise, "peak_mib": 100.0 + noise} for noise in (0.5, 1.0, 3.0)]
        for factor, own in seconds.items()
    }


def test_a_fixed_cost_and_a_cost_per_case_are_on_the_line() -> None:
    rows = table("preparation", samples({factor: 2.0 + 0.5 * factor for factor in FACTORS}))
    assert [row["name"] for row in rows] == ["1x", "2x", "4x", "8x"]
    assert [row["of_line"] for row in rows] == pytest.approx([1.0] * 4)
    assert (rows[3]["volumes"], rows[3]["seconds"], rows[3]["ms_each"]) == (64, 6.0, pytest.approx(93.75))
    assert rows[0]["peak_mib"] == 101.0


def test_a_quadratic_cost_is_far_from_it() -> None:
    rows = table("report", samples({factor: 1.0 * factor**2 for factor in FACTORS}))
    assert max(abs(row["of_line"] - 1) for row in rows) > 0.15
    assert rows[0]["runs"] == 6


def test_copies_of_a_run_differ_in_their_seed_alone(tmp_path: Path) -> None:
    run = tmp_path / "seed0"
    run.mkdir()
    (run / "config.yaml").write_text("dataset:\n  split_seed: 0\nseed: 0\n")
    _copy(run, 3)
    assert (tmp_path / "seed3" / "config.yaml").read_text() == "dataset:\n  split_seed: 0\nseed: 3\n"
