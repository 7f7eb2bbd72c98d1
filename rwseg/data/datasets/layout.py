"""Folder layouts of data sets: what is missing or faulty is told in one form by all adapters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rwseg.core.errors import DataError
from rwseg.core.faults import listed

_NAME_IT = "Then name its folder with dataset.root=..., or set RWSEG_DATA to the folder that holds it"


@dataclass(frozen=True)
class Layout:
    """A layout in words: `tree` is what is expected, `unit` what it holds, `origin` where to get it."""

    tree: str
    unit: str
    origin: str

    def check_found(self, root: Path, found: Sequence[object]) -> None:
        """`DataError` where `found` is empty; it says what is expected below `root` and where to get it."""
        if not found:
            got = f"no {self.unit} folder in it" if root.is_dir() else "no such folder"
            raise DataError(f"{root}: expected {self.tree}; got {got}. {self.origin}. {_NAME_IT}")

    def check_sound(self, root: Path, faults: Sequence[str]) -> None:
        """`DataError` with a line for each kind of fault; nothing where there are none."""
        if faults:
            head = f"{root}: expected {self.tree}; got {len(faults)} faulty {self.unit}(s):"
            advice = f"Restore their files, or move their folders elsewhere. {self.origin}"
            raise DataError("\n".join([head, *listed(faults, indent="  "), f"  {advice}"]))


def missing_files(folder: Path, needed: Iterable[Path]) -> list[str]:
    """One fault that names all `needed` files that are not there, or none."""
    missing = [str(path.relative_to(folder)) for path in needed if not path.is_file()]
    return [f"{folder}: missing {', '.join(missing)}"] if missing else []


def subfolders(parent: Path, pattern: str) -> list[Path]:
    """The folders that match `pattern` below `parent`, sorted, without hidden ones and archive leftovers."""
    found = (path for path in parent.glob(pattern) if path.is_dir())
    return sorted(path for path in found if not _left_over(path.relative_to(parent)))


def _left_over(path: Path) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
