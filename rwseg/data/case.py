"""What a dataset is: a function from a folder to cases, with the facts a reader needs beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One volume to train on or to evaluate: its files and where it belongs.

    `images` holds one file per channel; `label` is None where no reference exists; `split` is
    `train`, `val` or `test`; `phase` is empty where a dataset has none.
    """

    name: str
    subject: str
    phase: str
    split: str
    images: tuple[Path, ...]
    label: Path | None


@dataclass(frozen=True)
class Dataset:
    """A dataset: class names (index 0 is background), provenance, and the function that lists its cases.

    `load(root)` raises `DataError` that names every faulty file and what was expected.
    """

    name: str
    classes: tuple[str, ...]
    licence: str
    reference: str
    homepage: str
    load: Callable[[Path], list[Case]]
