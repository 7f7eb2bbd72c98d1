"""Which cases an evaluation predicts: a split that none of the runs trained on, in data that fits them."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

from rwseg.core.errors import DataError, RunError
from rwseg.data.case import Case, Source
from rwseg.data.split import of_split
from rwseg.experiments.prepared_run import source_of
from rwseg.models.inference.predictor import Predictor

MOST_NAMED = 10


def cases_to_evaluate(members: Sequence[Predictor], root: Path, split: str) -> tuple[Source, list[Case]]:
    """The cases of `split` in the data at `root`, by the dataset and the fold of the first run.

    Raises `DataError` for faulty data, other classes or channels than the run's, and an empty split;
    `RunError` where runs have different datasets, or one of them trained on a case of `val` or `test`.
    """
    first = members[0]
    source = _source(first, root)
    for what, asked, found in (
        ("classes", first.data.classes, source.classes),
        ("channels", first.data.channels, source.channels),
    ):
        if asked != found:
            raise DataError(
                f"{root}: expected the {what} that {first.folder} was trained with, {', '.join(asked)}; "
                f"got {', '.join(found)}"
            )
    cases = of_split(source.cases, split, first.data.dataset, root)
    if split != "train":
        _check_unseen(members[1:], cases, first, root)
    return source, cases


def _source(member: Predictor, root: Path) -> Source:
    config = deepcopy(member.config)
    config.dataset.root = str(root)
    return source_of(config)


def _check_unseen(others: Sequence[Predictor], cases: Sequence[Case], first: Predictor, root: Path) -> None:
    """The members of an ensemble may come from different folds: then each saw what others validate on."""
    names = {case.name for case in cases}
    for member in others:
        if member.config.dataset.adapter != first.config.dataset.adapter:
            raise RunError(
                f"{member.folder}: expected a run on '{first.data.dataset}' as {first.folder}, found one on "
                f"'{member.data.dataset}'; predict the images with input=... instead"
            )
        seen = sorted(names & {case.name for case in _source(member, root).cases if case.split == "train"})
        if seen:
            more = f" and {len(seen) - MOST_NAMED} more" if len(seen) > MOST_NAMED else ""
            raise RunError(
                f"{member.folder}: expected a run that did not train on the cases to evaluate, but it did on "
                f"{', '.join(seen[:MOST_NAMED])}{more}; use split=test, or runs of one fold"
            )
