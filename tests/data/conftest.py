"""Fixtures of small datasets."""

from pathlib import Path

import pytest
from small_dataset import PLAIN, Scan, small_scans, write_dataset

from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.prepared import Prepared


@pytest.fixture(scope="session")
def sources() -> list[Scan]:
    """What `small` is made of: three cases to train, one to validate."""
    return small_scans()


@pytest.fixture
def small(tmp_path: Path, sources: list[Scan]) -> Prepared:
    """The prepared form of `sources`, without distances."""
    dataset = write_dataset(tmp_path / "small", sources)
    return prepare(dataset, tmp_path / "small", tmp_path / "prepared", PLAIN)
