import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from small_dataset import PLAIN, Scan, dataset_of, write_dataset

from rwseg.core.errors import ConfigError, DataError
from rwseg.data.case import Case, LoadedCase
from rwseg.data.datasets.acdc import ACDC
from rwseg.data.io.cases import read_case
from rwseg.data.io.nifti import write_volume
from rwseg.data.preprocessing import prepare as preparation
from rwseg.data.preprocessing.config import PreprocessingConfig
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.prepared import Prepared


def native(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj).T


@pytest.fixture
def phantom(phantom_root: Path, tmp_path: Path) -> Path:
    """A copy of the phantom that a test may change."""
    return Path(shutil.copytree(phantom_root, tmp_path / "data" / "phantom"))


def truncate(image: Path, label: Path) -> None:
    image.write_bytes(image.read_bytes()[:-100])


def put_nan(image: Path, label: Path) -> None:
    array = native(image).astype(np.float32)
    array[1, 2, 3] = np.nan
    write_volume(image, array, (9.0, 1.5, 1.5))


def put_class_7(image: Path, label: Path) -> None:
    array = native(label).copy()
    array[0, 0, 0] = 7
    nib.Nifti1Image(array.T, nib.load(label).affine).to_filename(label)


def cut_a_slice(image: Path, label: Path) -> None:
    nib.Nifti1Image(native(label)[1:].T, nib.load(label).affine).to_filename(label)


def blank(image: Path, label: Path) -> None:
    nib.Nifti1Image(np.zeros_like(native(image)).T, nib.load(image).affine).to_filename(image)


CROPPED = replace(PLAIN, crop=True)

FAULTS: list[tuple[Callable[[Path, Path], None], str]] = [
    (truncate, r"{image}: expected a complete gzip file"),
    (put_nan, r"{image}: expected finite values, got 1 NaN"),
    (put_class_7, r"{label}: expected .*, got 7 in 1 voxels"),
    (cut_a_slice, r"{label}: expected shape"),
    (blank, r"{name}: expected voxels other than 0, got an image of 0 everywhere"),
]


@pytest.mark.parametrize(
    ("preparation", "workers", "found"),
    [
        (CROPPED, 1, 5),
        (CROPPED, 2, 5),
        (replace(CROPPED, spacing="median"), 1, 4),  # the first look finds all but the last
    ],
)
def test_all_faulty_cases_are_listed_together_and_nothing_is_left_behind(
    phantom: Path, tmp_path: Path, preparation: PreprocessingConfig, workers: int, found: int
) -> None:
    expected = []
    for case, (damage, message) in zip(ACDC.load(phantom).cases[1:], FAULTS, strict=False):
        [image], label = case.images, case.label
        assert label is not None
        damage(image, label)
        expected.append(message.format(image=image, label=label, name=case.name))
    with pytest.raises(DataError, match=f"dataset 'acdc' in {phantom}: {found} faults in 8 cases:") as caught:
        prepare(ACDC, phantom, tmp_path / "prepared", preparation, workers=workers)
    lines = str(caught.value).splitlines()[1:]
    assert len(lines) == found
    for message in expected[:found]:
        assert any(re.match(rf"  - {message}", line) for line in lines), message
    assert not list((tmp_path / "prepared").iterdir())


def test_a_fault_of_many_cases_is_a_line(tmp_path: Path, sources: list[Scan]) -> None:
    empty = sources[0]._replace(image=np.zeros_like(sources[0].image))
    dataset = write_dataset(tmp_path, [empty] * 23)
    with pytest.raises(DataError, match="23 faults in 23 cases") as caught:
        prepare(dataset, tmp_path, tmp_path / "prepared", CROPPED)
    _, line = str(caught.value).splitlines()
    assert line.startswith("  - case0: expected voxels other than 0")
    assert line.endswith(
        "(the same of 22 more: case1, case2, case3, case4, case5, case6, case7, case8 and 14 more)"
    )


def test_files_that_cannot_be_opened_are_listed(small: Prepared, sources: list[Scan]) -> None:
    lost = [small.root / "case0_1.nii.gz", small.root / "case2_gt.nii.gz"]
    for path in lost:
        path.unlink()
    lost[1].mkdir()
    with pytest.raises(DataError, match="2 faults in 4 cases") as caught:
        prepare(dataset_of(sources), small.root, small.folder.parent, PLAIN)
    for path, reason in zip(lost, ("No such file", "Is a directory"), strict=True):
        assert f"{path}: expected a readable file, got: {reason}" in str(caught.value)


def test_two_cases_of_one_name_are_refused(small: Prepared, sources: list[Scan]) -> None:
    dataset = dataset_of(sources)
    source = dataset.load(small.root)
    twice = replace(source, cases=(*source.cases, source.cases[2]))
    with pytest.raises(
        DataError, match="1 faults in 5 cases:\n  - case2: expected one case of this name, got 2"
    ):
        prepare(replace(dataset, load=lambda root: twice), small.root, small.folder.parent, PLAIN)


def test_a_fold_that_there_is_not_is_refused(small: Prepared, sources: list[Scan]) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.fold: expected 0 to 1"):
        prepare(dataset_of(sources), small.root, small.folder.parent, PLAIN, fold=2, folds=2)


def test_a_disk_without_room_for_all_cases_is_told_after_a_few(
    tmp_path: Path, sources: list[Scan], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = write_dataset(tmp_path, [sources[0]] * 20)
    whole = prepare(dataset, tmp_path, tmp_path / "whole", PLAIN)
    size = sum(path.stat().st_size for path in whole.folder.rglob("case1*.npy")) / 11 * 4  # what 4 take
    read = list[str]()

    def counted(case: Case, *more: Any) -> LoadedCase:
        read.append(case.name)
        return read_case(case, *more)

    monkeypatch.setattr(preparation, "read_case", counted)
    for free, cases in ((size + 1, 20), (size - 1, 16)):
        read.clear()
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        if cases == 20:
            prepare(dataset, tmp_path, tmp_path / "fits", PLAIN)
        else:
            with pytest.raises(DataError, match=r"preparing small wants about .* more of the disk, .* got "):
                prepare(dataset, tmp_path, tmp_path / "none", PLAIN)
            assert not list((tmp_path / "none").iterdir())
        assert len(read) == cases
