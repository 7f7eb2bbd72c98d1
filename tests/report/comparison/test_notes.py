"""What a report says before its tables."""

from pathlib import Path

import pytest
from small_report import report
from synthetic import write_run, write_unfinished


def test_runs_that_have_not_finished_are_left_out_with_a_note(tmp_path: Path) -> None:
    write_run(tmp_path, "rrw")
    write_unfinished(tmp_path, "failed", loss="rrw", seed=1, facts={"reason": "OutOfMemoryError: 3 GB\nmore"})
    write_unfinished(tmp_path, "interrupted", loss="ce")
    result = report(tmp_path)
    assert [(method.name, len(method.runs)) for method in result.methods] == [("rrw", 1)]
    assert result.notes[1] == "In no table, because no run of it has finished: ce."
    note = result.notes[0]
    assert "2 runs (1 failed, 1 interrupted)" in note
    assert "rrw/alone/seed1: failed, OutOfMemoryError: 3 GB." in note
    assert not [one for one in result.notes if str(tmp_path) in one]
    assert "more" not in note


NOTES = [
    ("Only one method, rrw", lambda root: write_run(root, seed=0)),
    ("One run only of rrw", lambda root: write_run(root, seed=0)),
    ("8 cases come from 4 subjects", lambda root: write_run(root, seed=0)),
    ("different numbers of runs: rrw: 1; ce: 2", lambda root: [
        write_run(root), *(write_run(root, "ce", seed=seed) for seed in range(2))]),
    ("With 2 subjects and 4 tests no Holm p can fall below 1, ", lambda root: [
        write_run(root, loss, cases=4) for loss in ("rrw", "ce")]),
    ("different machines", lambda root: [
        write_run(root, seed=seed, facts={"host": f"node {seed}"}) for seed in range(2)]),
    ("a-dirty: uncommitted", lambda root: write_run(root, facts={"git_commit": "a-dirty"})),
    ("Tests are against ce (", lambda root: [write_run(root, loss) for loss in ("focal", "ce")]),
    ("Missed structures (in the reference alone): 0; spurious structures (in the prediction alone): 0, "
     "over all runs; missed and spurious structures have Dice 0 and no", lambda root: write_run(root)),
]  # fmt: skip


@pytest.mark.parametrize(("said", "write"), NOTES, ids=[said[:20] for said, _ in NOTES])
def test_notes_say_what_to_know_before_believing(tmp_path: Path, said: str, write: object) -> None:
    assert callable(write)
    write(tmp_path)
    assert sum(said in note for note in report(tmp_path).notes) == 1


def test_notes_are_silent_where_all_is_well(tmp_path: Path) -> None:
    for loss in ("rrw", "ce"):
        for seed in range(2):
            write_run(tmp_path, loss, seed=seed, phases=(), cases=10)
    notes = " ".join(report(tmp_path, reference="rrw").notes)
    for said, _ in NOTES[:8]:
        assert said.split(":")[0] not in notes
