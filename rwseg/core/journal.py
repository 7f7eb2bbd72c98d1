"""What work on many items has finished in a folder, a line each: killed, it goes on where it was.

A line is written after the files of its item, which appear whole (`rwseg.core.files.save_array`). An item
without a line, or with a file of another size, which a machine that went down may leave, is made again.
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

log = logging.getLogger(__name__)

NAME = "finished.jsonl"


class Finished(NamedTuple):
    """An item's name, the bytes of its files by their paths in the folder, and its result as JSON has it."""

    name: str
    files: Mapping[str, int]
    result: Any


class Journal:
    """The lines of `folder`, to which one process adds.

    `finished` are the results that were there at first, by the names of their items.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.finished = {line.name: line.result for line in _lines(folder)}

    def add(self, name: str, files: Iterable[str], result: Any) -> int:
        """Note an item whose `files`, paths in the folder, are written; `result` is what JSON can hold.

        Returns the bytes of the files.
        """
        sizes = {path: (self.folder / path).stat().st_size for path in files}
        with open(self.folder / NAME, "a", encoding="utf-8") as file:
            file.write(json.dumps(Finished(name, sizes, result)) + "\n")
        return sum(sizes.values())

    def remove(self) -> None:
        """Nothing is missing any more."""
        (self.folder / NAME).unlink(missing_ok=True)


def take_over(left: Path, folder: Path) -> None:
    """Give `folder` what was finished in `left`, which stays as it is: somebody may still write there.

    Files are linked and take no space. A file system without links is a line of the log.
    """
    journal = Journal(folder)
    for line in _lines(left):
        if line.name in journal.finished or not _is_whole(left, line):
            continue
        try:
            for path in line.files:
                _link(left / path, folder / path)
        except OSError as error:
            log.warning("%s: cannot be linked (%s), all of it is made again", left, error.strerror)
            return
        journal.add(line.name, line.files, line.result)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    os.link(source, target)


def _is_whole(folder: Path, line: Finished) -> bool:
    try:
        return all((folder / path).stat().st_size == size for path, size in line.files.items())
    except FileNotFoundError:
        return False


def _lines(folder: Path) -> Iterator[Finished]:
    """The whole lines; the last one of a process that was killed may not be."""
    path = folder / NAME
    if not path.is_file():
        return
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                yield Finished(*json.loads(line))
            except (ValueError, TypeError):
                continue
