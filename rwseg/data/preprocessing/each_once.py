"""Work on the cases of a folder that is made once: killed, it goes on where it was (`rwseg.core.journal`)."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from rwseg.core.build_once import BESIDE
from rwseg.core.disk import check_room
from rwseg.core.journal import Journal
from rwseg.data.parallel import Workers

log = logging.getLogger(__name__)

CASES_TO_GO_BY = 16
"""So many say what the others take of the disk."""


class Named(Protocol):
    """A case, or its prepared form."""

    @property
    def name(self) -> str:
        """By which a folder holds it once."""


T = TypeVar("T", bound=Named)
R = TypeVar("R")


class Noted(NamedTuple):
    """What a journal is told of a case: its files, paths in the folder, and its result as JSON has it."""

    files: Sequence[str]
    result: Any


def each_once(
    journal: Journal,
    workers: Workers,
    work: Callable[[T], R],
    cases: Sequence[T],
    description: str,
    noted: Callable[[R], Noted],
    known: Callable[[T, Any], R],
) -> tuple[list[R], list[str]]:
    """As `Workers.each`, but `known(case, result)` stands for the work on cases that the journal has.

    `noted` is what it is told of the others. Raises `DataError` where the first of them show that the disk
    has no room for all.
    """
    before = journal.finished
    finished = {case.name: known(case, before[case.name]) for case in cases if case.name in before}
    if finished:
        log.info("%s: %d of %d cases were finished before", description, len(finished), len(cases))
    missing = [case for case in cases if case.name not in finished]
    written: list[int] = []

    def note(case: T, made: R) -> None:
        written.append(journal.add(case.name, *noted(made)))
        if len(written) == CASES_TO_GO_BY:
            more = sum(written) / len(written) * (len(missing) - len(written))
            check_room(journal.folder, more, description, BESIDE)

    others, faults = workers.each(work, missing, description, note)
    if faults:
        return others, faults
    made = finished | dict(zip((case.name for case in missing), others, strict=True))
    return [made[case.name] for case in cases], faults
