import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from augmentation_samples import scans_with_gaps
from numpy.typing import NDArray
from small_dataset import PLAIN, write_dataset

from rwseg.core.errors import DataError
from rwseg.data.case import IGNORE
from rwseg.data.preprocessing.distances import ensure_distances
from rwseg.data.preprocessing.local_copy import local_copy
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.prepared import Entry, Prepared
from rwseg.data.preprocessing.tables import COUNTS, LARGEST, largest_distances, slice_counts

K = 4


@pytest.fixture
def gaps(tmp_path: Path) -> Prepared:
    """Cases with ignored voxels, one of them without class 2, and a slice without foreground."""
    dataset = write_dataset(tmp_path / "data", scans_with_gaps())
    prepared = prepare(dataset, tmp_path / "data", tmp_path / "prepared", PLAIN)
    ensure_distances(prepared, "rrw")
    return prepared


def counted(prepared: Prepared, entries: list[Entry]) -> NDArray[np.int64]:
    """Class by class."""
    labels = [np.asarray(prepared.label(entry)) for entry in entries]
    return np.concatenate([np.stack([(one == k).sum((1, 2)) for k in range(K)], axis=1) for one in labels])


def deepest(prepared: Prepared, entries: list[Entry]) -> NDArray[np.float32]:
    rows = []
    for entry in entries:
        label, distance = (
            np.asarray(one) for one in (prepared.label(entry), prepared.distance("inside", entry))
        )
        rows.append([distance[label == k].max(initial=0) for k in range(K)])
    return np.array(rows, np.float32)


TABLES = pytest.mark.parametrize(
    ("table", "reference", "path"),
    [(slice_counts, counted, COUNTS), (largest_distances, deepest, LARGEST)],
    ids=["counts", "largest"],
)
Table = Callable[[Prepared, list[Entry]], NDArray[Any]]


@TABLES
def test_a_table_says_what_the_volumes_say_whether_it_is_stored_or_not(
    gaps: Prepared, table: Table, reference: Table, path: str
) -> None:
    chosen = [gaps.entries[i] for i in (2, 0, 3)]
    assert any((np.asarray(gaps.label(entry)) == IGNORE).any() for entry in chosen)
    expected = reference(gaps, chosen)
    assert (expected == 0).any()
    stored = gaps.folder / path
    assert stored.is_file()
    np.testing.assert_array_equal(table(gaps, chosen), expected)
    stored.unlink()
    np.testing.assert_array_equal(table(gaps, chosen), expected)


@TABLES
def test_a_stored_table_is_read_instead_of_the_volumes(
    gaps: Prepared, table: Table, reference: Table, path: str
) -> None:
    entries = list(gaps.entries)
    expected = reference(gaps, entries)
    shutil.rmtree(gaps.folder / "label")
    np.testing.assert_array_equal(table(gaps, entries), expected)


@TABLES
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"\x93NUMPY\x01\x00"])
def test_a_damaged_table_is_a_sentence(
    gaps: Prepared, table: Table, reference: Table, path: str, content: bytes
) -> None:
    (gaps.folder / path).write_bytes(content)
    with pytest.raises(DataError, match=rf"{path}: expected a table of 4 prepared volumes, found"):
        table(gaps, list(gaps.entries))


def test_a_local_copy_has_the_tables(gaps: Prepared, tmp_path: Path) -> None:
    copy = local_copy(gaps, tmp_path / "cache", "rrw")
    for path in (COUNTS, LARGEST):
        assert (copy.folder / path).read_bytes() == (gaps.folder / path).read_bytes()
