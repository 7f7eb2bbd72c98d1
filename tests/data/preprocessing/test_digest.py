import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from small_dataset import PLAIN, Scan, dataset_of

from rwseg.data.case import Dataset, LoadedCase, Source
from rwseg.data.io.nifti import write_volume
from rwseg.data.preprocessing import prepare as module
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.prepared import Prepared

MEDIAN = replace(PLAIN, spacing="median")


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below `folder` with its size and time of writing."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def source_with(dataset: Dataset, **changes: Any) -> Dataset:
    """`dataset` whose source has other facts."""
    return replace(dataset, load=lambda root: replace(dataset.load(root), **changes))


def same(loaded: LoadedCase) -> LoadedCase:
    return loaded


def other_voxel(root: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    path = root / "case1_0.nii.gz"
    array = np.asarray(nib.load(path).dataobj).T.copy()
    array[0, 0, 0] += 1
    write_volume(path, array, (5.0, 1.0, 2.0))
    return {}


def other_phase(root: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    def load(root: Path) -> Source:
        source = dataset.load(root)
        first, *others = source.cases
        return replace(source, cases=(replace(first, phase="ED"), *others))

    return {"dataset": replace(dataset, load=load)}


def other_format(root: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(module, "FORMAT", module.FORMAT + 1)
    return {}


CHANGES: dict[str, Callable[[Path, Dataset, pytest.MonkeyPatch], dict[str, Any]]] = {
    "one voxel": other_voxel,
    "a phase": other_phase,
    "the format": other_format,
    "the dataset's name": lambda root, dataset, _: {"dataset": replace(dataset, name="other")},
    **{
        f"the source's {key}": lambda root, dataset, _, key=key, value=value: {
            "dataset": source_with(dataset, **{key: value})
        }
        for key, value in {
            "classes": ("background", "ein", "two", "three"),
            "channels": ("T1", "T2"),
            "label_values": ((0,), (2,), (1,), (3,)),
            "ignore": None,
            "slice_axis": 0,
            "convert": same,
        }.items()
    },
    **{
        f"the preparation's {key}": lambda root, dataset, _, key=key, value=value: {
            "preparation": replace(PLAIN, **{key: value})
        }
        for key, value in {
            "crop": True,
            "spacing": (1.0, 1.5),
            "size": (8, 9),
            "zoom": 0.5,
            "interpolation": "area",
            "normalisation": "minmax",
            "center_crop": (8, 9),
        }.items()
    },
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_hash_and_folder_for(
    change: str, small: Prepared, sources: list[Scan], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {
        "dataset": dataset_of(sources),
        "root": small.root,
        "prepared_root": small.folder.parent,
        "preparation": PLAIN,
    }
    changed = prepare(**{**arguments, **CHANGES[change](small.root, dataset_of(sources), monkeypatch)})
    assert changed.digest != small.digest
    assert changed.folder != small.folder
    assert small.folder.is_dir()


def test_the_same_hash_for_the_same_files_elsewhere_and_later(
    small: Prepared, sources: list[Scan], tmp_path: Path
) -> None:
    elsewhere = Path(shutil.copytree(small.root, tmp_path / "moved" / "other name"))
    for path in elsewhere.iterdir():
        os.utime(path, (1, 1))
    before = files(small.folder)
    moved = prepare(dataset_of(sources), elsewhere, small.folder.parent, PLAIN, workers=3)
    assert (moved.digest, moved.folder, moved.root) == (small.digest, small.folder, elsewhere)
    assert files(small.folder) == before


def test_a_second_start_finds_the_preparation(small: Prepared, sources: list[Scan]) -> None:
    before = files(small.folder)
    assert prepare(dataset_of(sources), small.root, small.folder.parent, PLAIN) == small
    assert files(small.folder) == before
    assert sorted(path.name for path in small.folder.iterdir()) == [
        "counts.npz",
        "image",
        "label",
        "manifest.json",
    ]
    left = sorted(path.name for path in small.folder.parent.iterdir())
    assert left == [small.folder.name]


def test_folds_share_a_preparation_and_know_their_own_split(small: Prepared, sources: list[Scan]) -> None:
    before = files(small.folder)
    arguments = (dataset_of(sources), small.root, small.folder.parent, PLAIN)
    folds = [prepare(*arguments, fold=fold, folds=2, split_seed=3) for fold in (0, 1)]
    assert {fold.folder for fold in folds} == {small.folder}
    assert files(small.folder) == before
    validating = [{entry.name for entry in fold.split("val")} for fold in folds]
    assert validating[0] | validating[1] == {entry.name for entry in small.entries}
    assert not validating[0] & validating[1]
    assert len({fold.split_digest() for fold in (*folds, small)}) == 3
    everything = prepare(*arguments, fold="all")
    assert (len(everything.split("train")), everything.folder) == (4, small.folder)


def test_folds_have_their_own_preparation_where_statistics_of_training_cases_count(
    small: Prepared, sources: list[Scan]
) -> None:
    arguments = (dataset_of(sources), small.root, small.folder.parent, MEDIAN)
    folds = [prepare(*arguments, fold=fold, folds=2) for fold in (0, 1)]
    assert folds[0].folder != folds[1].folder
    for fold in folds:
        spacings = [entry.native_spacing[1:] for entry in fold.split("train")]
        np.testing.assert_allclose(fold.preprocessing.spacing, np.median(spacings, axis=0), rtol=1e-6)
