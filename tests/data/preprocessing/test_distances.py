from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from small_dataset import PLAIN, UNLABELLED, Scan, write_dataset

from rwseg.core.errors import DataError
from rwseg.data.case import IGNORE
from rwseg.data.preprocessing.distances import KIND_OF_MAP, ensure_distances
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.prepared import Entry, Prepared


def inside(label: NDArray[np.uint8], entry: Entry) -> NDArray[np.float64]:
    """By SciPy: mm to the nearest voxel of another class."""
    distance = np.zeros(label.shape)
    for k in np.unique(label):
        distance[label == k] = distance_transform_edt(label == k, sampling=entry.spacing)[label == k]
    return distance


def signed(label: NDArray[np.uint8], entry: Entry) -> NDArray[np.float64]:
    """By SciPy: minus the distance inside each class, plus outside; 0 for an absent class."""
    channels = np.zeros((4, *label.shape))
    for k in np.unique(label):
        outside = distance_transform_edt(label != k, sampling=entry.spacing)
        channels[k] = outside - distance_transform_edt(label == k, sampling=entry.spacing)
    return channels


@pytest.mark.parametrize("zoom", [1.0, 0.5])
def test_distances_are_those_of_the_volume_in_mm(tmp_path: Path, sources: list[Scan], zoom: float) -> None:
    scaled = replace(PLAIN, zoom=zoom)
    prepared = prepare(write_dataset(tmp_path, sources), tmp_path, tmp_path / "prepared", scaled)
    for name, reference in (("rrw", inside), ("boundary", signed)):
        ensure_distances(prepared, name)
        for entry in prepared.entries:
            found = prepared.distance(KIND_OF_MAP[name], entry)
            label = np.asarray(prepared.label(entry))
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, reference(label, entry), rtol=1e-5)


def test_what_nobody_labelled_stands_as_background(tmp_path: Path, sources: list[Scan]) -> None:
    label = sources[0].label
    assert label is not None
    holes = label.copy()
    holes[:, 6:12, 4:8] = UNLABELLED
    prepared = prepare(
        write_dataset(tmp_path, [sources[0]._replace(label=holes)]), tmp_path, tmp_path / "prepared", PLAIN
    )
    [entry] = prepared.entries
    filled = np.where(holes == UNLABELLED, 0, holes).astype(np.uint8)
    for name, reference in (("rrw", inside), ("boundary", signed)):
        ensure_distances(prepared, name)
        found = prepared.distance(KIND_OF_MAP[name], entry)
        np.testing.assert_allclose(found, reference(filled, entry), rtol=1e-5)
    assert (prepared.label(entry) == IGNORE).any(), "the stored label still says so"


@pytest.mark.slow
def test_several_processes_make_the_same_distances(small: Prepared) -> None:
    for workers, kept in ((1, "alone"), (2, "together")):
        ensure_distances(small, "rrw", workers, seconds_here=0)
        (small.folder / "inside").rename(small.folder / kept)
    for entry in small.entries:
        np.testing.assert_array_equal(small.distance("together", entry), small.distance("alone", entry))


def test_distances_are_made_once_and_only_those_asked_for(small: Prepared) -> None:
    for without in (None, "active_contour"):
        ensure_distances(small, without)
    assert not any((small.folder / kind).exists() for kind in KIND_OF_MAP.values())
    ensure_distances(small, "rrw")
    made = {path: path.stat().st_mtime_ns for path in (small.folder / "inside").iterdir()}
    assert sorted(path.name for path in made) == [".largest.npz", *(f"case{i}.npy" for i in range(4))]
    ensure_distances(small, "rrw")
    assert {path: path.stat().st_mtime_ns for path in (small.folder / "inside").iterdir()} == made
    assert not (small.folder / "signed").exists()


def test_volumes_without_a_label_are_left_out(small: Prepared) -> None:
    first, *others = small.entries
    ensure_distances(replace(small, entries=(replace(first, has_label=False), *others)), "rrw")
    assert {path.stem for path in (small.folder / "inside").glob("*.npy")} == {"case1", "case2", "case3"}


def test_a_failure_in_the_middle_leaves_nothing_half_made(small: Prepared) -> None:
    path = small.folder / "label" / "case2.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    before = sorted(path.name for path in small.folder.iterdir())
    with pytest.raises(DataError, match=r"case2\.npy: expected a prepared array"):
        ensure_distances(small, "boundary")
    assert sorted(path.name for path in small.folder.iterdir()) == before
    path.write_bytes(content)
    ensure_distances(small, "boundary")
    assert small.distance("signed", small.entries[2]).shape == (4, *small.entries[2].shape)


def test_a_folder_that_can_only_be_read_serves_what_it_has(
    small: Prepared, read_only: Callable[[Path], None]
) -> None:
    ensure_distances(small, "rrw")
    read_only(small.folder.parent)
    ensure_distances(small, "rrw")
    with pytest.raises(
        DataError, match=r"write signed into, got: Read-only .*dataset\.cache=.* or prepared_root="
    ):
        ensure_distances(small, "boundary")
