"""Copies of prepared arrays on a disk of the node."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rwseg.core.errors import DataError
from rwseg.data.preprocessing import local_copy as local
from rwseg.data.preprocessing.distances import ensure_distances
from rwseg.data.preprocessing.local_copy import local_copy
from rwseg.data.preprocessing.prepared import Prepared


def content(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.parametrize(("map_name", "kind"), [("rrw", "inside"), ("boundary", "signed")])
def test_the_copy_holds_the_same_and_is_read_without_the_source(
    small: Prepared, tmp_path: Path, map_name: str, kind: str
) -> None:
    ensure_distances(small, map_name)
    copy = local_copy(small, tmp_path / "cache", map_name)
    assert copy.folder == tmp_path / "cache" / small.folder.name
    assert content(copy.folder) == content(small.folder)
    assert (copy.digest, copy.entries, copy.root) == (small.digest, small.entries, small.root)
    expected = [np.array(small.distance(kind, entry)) for entry in small.entries]
    shutil.rmtree(small.folder)
    for entry, distance in zip(copy.entries, expected, strict=True):
        assert copy.image(entry).shape == (2, *entry.shape)
        assert copy.label(entry).shape == entry.shape
        assert copy.reference(entry).shape == entry.native_shape
        np.testing.assert_array_equal(copy.distance(kind, entry), distance)


def test_it_is_made_once_and_other_maps_are_added(small: Prepared, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    copy = local_copy(small, cache, None)
    assert not (copy.folder / "inside").exists()
    before = {path: path.stat().st_mtime_ns for path in copy.folder.rglob("*.npy")}
    assert local_copy(small, cache, "rrw") == copy
    assert (copy.folder / "inside").is_dir()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert sorted(path.name for path in cache.iterdir()) == [copy.folder.name]


def test_a_copy_with_other_bytes_is_refused_and_removed(
    small: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(source: Path, target: Path) -> None:  # a disk that turns a bit over
        data = bytearray(source.read_bytes())
        data[-1] ^= 1
        target.write_bytes(data)

    monkeypatch.setattr(local.shutil, "copyfile", faulty)
    with pytest.raises(DataError, match=r"image.case0\.npy: expected the bytes of .*dataset\.cache="):
        local_copy(small, tmp_path / "cache", None)
    monkeypatch.undo()
    assert not list((tmp_path / "cache").iterdir())
    assert content(local_copy(small, tmp_path / "cache", None).folder) == content(small.folder)


def test_a_folder_that_cannot_be_written_is_named(small: Prepared, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=rf"{tmp_path}/file: expected a folder to write .*dataset\.cache="):
        local_copy(small, tmp_path / "file", None)


def test_what_is_written_beside_the_source_later_changes_no_copy(small: Prepared, tmp_path: Path) -> None:
    copy = local_copy(small, tmp_path / "cache", None)
    before = content(copy.folder)
    (small.folder / "plan-train.json").write_text("{}")
    os.utime(small.folder / "image" / "case0.npy", (1, 1))
    assert content(local_copy(small, tmp_path / "cache", None).folder) == before


@pytest.mark.parametrize("has_distances", [False, True])
def test_a_source_that_can_only_be_read_is_enough(
    has_distances: bool, small: Prepared, tmp_path: Path, read_only: Callable[[Path], None]
) -> None:
    ensure_distances(small, "rrw")
    expected = [np.array(small.distance("inside", entry)) for entry in small.entries]
    if not has_distances:
        shutil.rmtree(small.folder / "inside")
    before = content(small.folder)
    read_only(small.folder.parent)
    copy = local_copy(small, tmp_path / "cache", "rrw")
    for entry, distance in zip(copy.entries, expected, strict=True):
        np.testing.assert_array_equal(copy.distance("inside", entry), distance)
    assert content(small.folder) == before


def test_a_cache_that_can_only_be_read_is_named(
    small: Prepared, tmp_path: Path, read_only: Callable[[Path], None]
) -> None:
    local_copy(small, tmp_path / "cache", None)
    read_only(tmp_path / "cache")
    local_copy(small, tmp_path / "cache", None)
    with pytest.raises(DataError, match=r"to write inside into, got: Read-only .* \(dataset\.cache=\.\.\.\)"):
        local_copy(small, tmp_path / "cache", "rrw")
