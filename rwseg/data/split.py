"""Folds: which cases train and which validate, apart from the split that a dataset comes with."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from rwseg.core.errors import ConfigError, DataError
from rwseg.core.faults import some
from rwseg.data.case import Case, Source


class OfSubject(Protocol):
    """A case, or its prepared form."""

    @property
    def name(self) -> str:
        """The case."""

    @property
    def subject(self) -> str:
        """Whose it is."""


class HasSplit(Protocol):
    """A case, or its prepared form."""

    @property
    def split(self) -> str:
        """`train`, `val` or `test`."""


Member = TypeVar("Member", bound=HasSplit)
OneOf = TypeVar("OneOf", bound=OfSubject)

Fold = int | Literal["all"] | None
FOLDS = 5
"""How many are made where nothing else is asked for; every dataset's own setting is this."""


def with_fold(source: Source, fold: Fold, folds: int = FOLDS, split_seed: int = 0) -> Source:
    """`source` with its labelled cases, except those for testing, split anew; all others stay as they are.

    `fold` None: the dataset's own split. `all`: every case trains. A number: that one of `folds` validates
    and the others train. Folds are those that the dataset publishes, or else made by subject: sizes differ
    by at most one subject, within each group too (`Case.group`, where it is known for all), and depend on
    nothing but the subjects' names, their groups and `split_seed`. Published folds have their own number, for
    which `folds` may be left as it is.

    Raises `ConfigError` for a fold that there is not, for fewer subjects than folds, and where published
    folds exist but others are asked for; `DataError` for published folds that name unknown cases.
    """
    if fold is None:
        return source
    chosen = [case for case in source.cases if case.split != "test" and case.label is not None]
    if fold == "all":
        return _resplit(source, chosen, frozenset())
    if source.folds:
        return _resplit(source, chosen, _published(source, chosen, fold, folds, split_seed))
    _check_made(fold, folds, len({case.subject for case in chosen}))
    members = _members(chosen, folds, split_seed)
    return _resplit(source, chosen, {case.name for case in chosen if members[case.subject] == fold})


def of_split(items: Iterable[Member], split: str, name: str, root: Path) -> list[Member]:
    """Those of `train`, `val` or `test`; `DataError` for dataset `name` at `root` when there are none."""
    found = list(items)
    chosen = [item for item in found if item.split == split]
    if not chosen:
        counts = sorted(Counter(item.split for item in found).items())
        listed = ", ".join(f"{count} of '{other}'" for other, count in counts)
        raise DataError(
            f"dataset '{name}' in {root}: the split '{split}' is empty; expected at least one case, "
            f"found {listed or 'no case at all'}; add cases, or choose others by dataset.fold in training or "
            "split in an evaluation"
        )
    return chosen


def _check_fold(fold: int, folds: int) -> None:
    if not 0 <= fold < folds:
        known = "0, for 1 fold" if folds == 1 else f"0 to {folds - 1}, for {folds} folds"
        raise ConfigError(f"dataset.fold: expected {known}, got {fold}")


def _check_made(fold: int, folds: int, subjects: int) -> None:
    """Of folds that are made; no advice here is refused by another rule."""
    every = "dataset.fold=all, which trains on every case"
    if not subjects:
        raise ConfigError(f"dataset.fold={fold}: expected labelled cases, got none; add labels to some")
    if folds < 2:
        raise ConfigError(f"dataset.folds: expected 2 or more (none is published), got {folds}; give {every}")
    _check_fold(fold, folds)
    if subjects < folds:
        fewer = f"dataset.folds={subjects}, or " if max(fold, 1) < subjects else ""
        raise ConfigError(
            f"dataset.folds: expected at most one per subject, {subjects} here, got {folds}; "
            f"give {fewer}{every}"
        )


def _published(source: Source, chosen: list[Case], fold: int, folds: int, split_seed: int) -> frozenset[str]:
    """The validation cases of a published fold."""
    count = len(source.folds)
    if folds not in (count, FOLDS):
        raise ConfigError(
            f"dataset.folds: expected {count}, which this dataset publishes, got {folds}; leave it out"
        )
    if split_seed != 0:
        raise ConfigError(
            f"dataset.split_seed: this dataset comes with its folds, expected 0, got {split_seed}; "
            "leave it out"
        )
    _check_fold(fold, count)
    known = {case.name for case in chosen}
    unknown = sorted(set().union(*source.folds) - known)
    if unknown:
        raise DataError(
            f"published folds: expected names of labelled cases, got {len(unknown)} other(s): "
            f"{some(unknown)}; restore these cases or correct the file of the folds"
        )
    return source.folds[fold]


def _members(cases: Iterable[Case], folds: int, split_seed: int) -> dict[str, int]:
    """The fold of every subject.

    Subjects are dealt to the folds one by one, one group after another, so that no two folds differ by more
    than one in any group, nor altogether. The order within a group is that of a hash of seed and name: it is
    the same on every machine and in every version of Python and NumPy.
    """
    groups: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        groups[case.subject].add(case.group)
    grouped = all(group for found in groups.values() for group in found)

    def place(subject: str) -> tuple[str, str]:
        key = hashlib.blake2b(f"{split_seed}:{subject}".encode()).hexdigest()
        return (min(groups[subject]) if grouped else ""), key

    return {subject: index % folds for index, subject in enumerate(sorted(groups, key=place))}


def _resplit(source: Source, chosen: list[Case], validating: Iterable[str]) -> Source:
    names, moved = set(validating), {case.name for case in chosen}

    def split(case: Case) -> Case:
        if case.name not in moved:
            return case
        return replace(case, split="val" if case.name in names else "train")

    return replace(source, cases=tuple(split(case) for case in source.cases))


def spread(cases: Sequence[OneOf], number: int) -> list[OneOf]:
    """`number` of `cases`, at most all of them, in their order: from as many subjects as there are.

    A second case of a subject is taken where each one has given one. Of two phases each comes from every
    other subject. Subjects are in the order of a hash of their names, so nothing is random.
    """
    of_subject: dict[str, list[str]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: case.name):
        of_subject[case.subject].append(case.name)
    subjects = sorted(of_subject, key=lambda subject: hashlib.blake2b(subject.encode()).hexdigest())
    turns = [
        (turn, place, names[(turn + place) % len(names)])
        for place, names in enumerate(of_subject[subject] for subject in subjects)
        for turn in range(len(names))
    ]
    chosen = {name for _, _, name in sorted(turns)[:number]}
    return [case for case in cases if case.name in chosen]
