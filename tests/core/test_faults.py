"""Many faults of one kind are one line; different ones, and few, stay as they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rwseg.core.faults import FEW, MOST_LISTED, MOST_NAMED, grouped, listed, some

TEMPLATES = (
    "/data/masks/{name}.png: expected the labels 0, 128, 255, got {many} in {number} voxels; correct them",
    "/data/masks/{name}.png: expected 52 x 40 pixels as {name}.jpg, got {number} x 37; export again",
    "{name}: expected the channels 0000, 0001, got {many}",
    "{name}: '/data/{name} 1.nii.gz' is damaged",
)


def fault(template: str, number: int) -> str:
    many = ", ".join(str(value) for value in range(1, number % 20 + 2))
    return template.format(name=f"case_{number}", number=number, many=f"{many}, ... ({number} values)")


@given(st.lists(st.tuples(st.sampled_from(TEMPLATES), st.integers(0, 999)), unique=True, max_size=90))
def test_there_are_no_more_lines_than_kinds_and_few(drawn: list[tuple[str, int]]) -> None:
    lines = grouped(fault(*one) for one in drawn)
    for template in TEMPLATES:
        own = [fault(*one) for one in drawn if one[0] == template]
        here = [line for line in lines if line.startswith(tuple(own))] if own else []
        assert len(here) == (len(own) if len(own) <= FEW else 1)
        if len(own) > FEW:
            assert here[0].startswith(f"{own[0]} (the same of {len(own) - 1} more: ")
    assert len(lines) <= FEW * len(TEMPLATES)


def test_sixty_of_one_kind_are_a_line_that_names_some() -> None:
    (line,) = grouped(fault(TEMPLATES[0], number) for number in range(60))
    assert line.endswith(
        "(the same of 59 more: case_1.png, "
        + ", ".join(f"case_{n}.png" for n in range(2, 9))
        + " and 51 more)"
    )


def test_files_of_one_name_are_named_with_their_folders() -> None:
    (line,) = grouped(f"/data/p{number}/Info.cfg: this file is missing" for number in range(5))
    assert line.endswith("(the same of 4 more: p1/Info.cfg, p2/Info.cfg, p3/Info.cfg, p4/Info.cfg)")


def test_different_words_are_different_faults() -> None:
    faults = [f"{name}: is {word}" for word in ("cut", "empty", "turned", "gone") for name in ("a", "b", "c")]
    assert grouped(faults) == faults


def test_only_so_many_kinds_are_listed() -> None:
    lines = list(listed(f"a: {'x' * n}" for n in range(1, MOST_LISTED + 4)))
    assert lines[0] == "  - a: x"
    assert (len(lines), lines[-1]) == (MOST_LISTED + 1, "  and 3 more")
    assert list(listed([])) == []


@pytest.mark.parametrize(
    ("count", "end"), [(0, ""), (1, "0"), (MOST_NAMED, "7"), (MOST_NAMED + 2, "7 and 2 more")]
)
def test_some_names(count: int, end: str) -> None:
    assert some(map(str, range(count))).endswith(end)
