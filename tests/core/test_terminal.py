"""Long names on a terminal keep one line, and both of their ends."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.table import Table

from rwseg.core.terminal import Shortened, console, shortened

RUN = "outputs/phantom_quick/phantom/rw_boundary/gradual_dice/schedule.learning_rate=0.003/seed12"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "M"]), max_size=60), st.integers(1, 80))
def test_a_shortened_text_fits_and_keeps_its_ends(text: str, width: int) -> None:
    found = shortened(text, width)
    assert cell_len(found) <= width
    if cell_len(text) <= width:
        assert found == text
    elif width >= 3:
        head, _, tail = found.partition("…") if "…" not in text else ("", "", "")
        assert text.startswith(head.rstrip(" "))
        assert text.endswith(tail)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_table_has_a_line_per_row_at_any_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    table = Table("run", "status", "epoch")
    for seed in range(3):
        table.add_row(Shortened(RUN[:-1] + str(seed)), "running", "3/6")
    told = io.StringIO()
    console(told).print(table)
    lines = told.getvalue().splitlines()
    assert len(lines) == 3 + 4  # heading and three rules
    assert all(cell_len(line) <= width for line in lines)
    rows = [line for line in lines if "running" in line]
    assert all("outputs" in row and f"seed1{seed} " in row for seed, row in enumerate(rows))


def test_what_goes_to_a_file_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    table = Table("run", "reason")
    table.add_row(Shortened(RUN), "no space " * 50)
    told = io.StringIO()
    console(told).print(table)
    assert RUN in told.getvalue()
    assert len(told.getvalue().splitlines()) == 5
