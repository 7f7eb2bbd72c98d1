import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from small_dataset import PLAIN, UNLABELLED, Scan, dataset_of, write_dataset

from rwseg.core.errors import DataError
from rwseg.data.case import IGNORE, LoadedCase
from rwseg.data.datasets.acdc import ACDC
from rwseg.data.oddities import oddities
from rwseg.data.preprocessing.config import PreprocessingConfig
from rwseg.data.preprocessing.local_copy import local_copy
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.prepared import Prepared

ALL_RULES = PreprocessingConfig(True, "median", None, 1.5, "spline", "ct")


def native(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj).T


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def without_first_slice(loaded: LoadedCase) -> LoadedCase:
    """A conversion as an adapter has it: the first slice goes, and spacing says otherwise."""
    assert loaded.label is not None
    return LoadedCase(loaded.image[:, 1:], loaded.label[1:], (1.0, 2.0, 3.0))


def test_images_are_standardised_per_volume_and_channel(tmp_path: Path, sources: list[Scan]) -> None:
    flat = sources[0].image.copy()
    flat[1] = 5.0
    scans = [sources[0], sources[1]._replace(image=flat, label=sources[0].label)]
    prepared = prepare(write_dataset(tmp_path, scans), tmp_path, tmp_path / "prepared", PLAIN)
    for entry, image in zip(prepared.entries, (sources[0].image, flat), strict=True):
        stored = np.asarray(prepared.image(entry), np.float64)
        assert (stored.shape, prepared.image(entry).dtype) == (image.shape, np.float32)
        for channel, raw in zip(stored, image.astype(np.float64), strict=True):
            if raw.std() == 0:
                assert (channel == 0).all(), "a constant channel"
                continue
            standard = (raw - raw.mean()) / raw.std()
            np.testing.assert_allclose(channel, standard, atol=1e-5 + np.ptp(standard) / 2**17)


def test_on_their_own_grid_labels_and_geometry_are_those_of_the_files(
    phantom_root: Path, tmp_path: Path
) -> None:
    prepared = prepare(ACDC, phantom_root, tmp_path, PLAIN)
    source = ACDC.load(phantom_root)
    assert (prepared.classes, prepared.channels) == (source.classes, source.channels)
    for entry, case in zip(prepared.entries, source.cases, strict=True):
        label = native(case.label)  # type: ignore[arg-type]
        assert (entry.name, entry.subject) == (case.name, case.subject)
        assert (entry.phase, entry.split) == (case.phase, case.split)
        np.testing.assert_array_equal(prepared.label(entry), label)
        np.testing.assert_array_equal(prepared.reference(entry), label)
        assert entry.shape == entry.native_shape == label.shape
        assert (entry.is_native, entry.slice_axis) == (True, 2)
        np.testing.assert_allclose(entry.spacing, nib.load(case.images[0]).header.get_zooms()[::-1])
        assert entry.spacing == entry.native_spacing
        assert entry.voxels == tuple((label == k).sum() for k in range(4))
        assert prepared.source(entry) == case.images[0]
    assert not prepared.has_ignored


def test_what_is_odd_is_kept_with_the_data_and_said_of_it_later(tmp_path: Path, sources: list[Scan]) -> None:
    constant = sources[1]._replace(image=np.full_like(sources[1].image, 7))
    scans = [sources[0], constant, sources[2]._replace(spacing=(8.0, 0.8, 2.4)), sources[3]]
    dataset = write_dataset(tmp_path / "root", scans)
    first, again = (prepare(dataset, tmp_path / "root", tmp_path / "out", PLAIN) for _ in range(2))
    assert again == first
    assert list(oddities(again.entries, again.classes, subjects=5)) == [
        "4 of the 5 labelled subjects of a complete download are here",
        "split 'val': no voxel of class 'two' in any reference",
        "in-plane spacing differs by more than a factor 2 in 1 case(s): case2; is the slice axis right?",
        "an image of a single value in 1 case(s): case1; case1_0.nii.gz: 7",
    ]


@pytest.mark.parametrize("interpolation", ["spline", "area"])
def test_at_half_size_the_field_of_view_and_the_volumes_stay(
    phantom_root: Path, tmp_path: Path, interpolation: str
) -> None:
    half = replace(PLAIN, zoom=0.5, interpolation=interpolation)
    prepared = prepare(ACDC, phantom_root, tmp_path, half)
    millilitres = np.zeros((2, 4))  # prepared, native
    for entry in prepared.entries:
        depth, height, width = entry.native_shape
        assert entry.shape == (depth, round(height / 2), round(width / 2))
        field = np.multiply(entry.native_shape, entry.native_spacing)
        np.testing.assert_allclose(np.multiply(entry.shape, entry.spacing), field, rtol=1e-12)
        assert prepared.image(entry).shape == (1, *entry.shape)
        assert prepared.label(entry).shape == entry.shape
        reference = prepared.reference(entry)
        label_file = prepared.source(entry).with_name(f"{entry.name}_gt.nii.gz")
        np.testing.assert_array_equal(reference, native(label_file))
        assert entry.voxels == tuple((prepared.label(entry) == k).sum() for k in range(4))
        millilitres[0] += np.multiply(entry.voxels, np.prod(entry.spacing) / 1000)
        native_voxels = np.bincount(reference.ravel(), minlength=4)
        millilitres[1] += native_voxels * np.prod(entry.native_spacing) / 1000
    np.testing.assert_allclose(*millilitres, rtol=0.03)


def test_all_volumes_come_to_the_median_spacing(phantom_root: Path, tmp_path: Path) -> None:
    prepared = prepare(ACDC, phantom_root, tmp_path, replace(PLAIN, spacing="median"))
    spacings = [entry.native_spacing[1:] for entry in prepared.split("train")]
    target = np.median(spacings, axis=0)
    np.testing.assert_allclose(prepared.preprocessing.spacing, target)
    for entry in prepared.entries:
        assert abs(np.subtract(entry.spacing[1:], target)).max() <= target.max() * 0.5 / min(entry.shape[1:])
        assert (entry.shape[0], entry.spacing[0]) == (entry.native_shape[0], entry.native_spacing[0])


def test_a_crop_that_happens_to_get_the_old_size_back_keeps_the_reference_apart(
    tmp_path: Path, sources: list[Scan]
) -> None:
    scan = sources[0]
    image = scan.image.copy()
    image[:, :, :2] = 0
    prepared = prepare(
        write_dataset(tmp_path, [scan._replace(image=image)]),
        tmp_path,
        tmp_path / "prepared",
        replace(PLAIN, crop=True, size=(17, 12)),
    )
    [entry] = prepared.entries
    assert entry.shape == entry.native_shape == (3, 17, 12)
    assert (entry.crop, entry.is_native) == (((0, 3), (2, 17), (0, 12)), False)
    np.testing.assert_array_equal(prepared.reference(entry), scan.label)
    assert (np.asarray(prepared.label(entry)) != scan.label).any()


def test_a_case_without_label_is_prepared_without(tmp_path: Path, sources: list[Scan]) -> None:
    dataset = write_dataset(tmp_path, [sources[0], sources[1]._replace(label=None, split="test")])
    prepared = prepare(dataset, tmp_path, tmp_path / "prepared", replace(PLAIN, zoom=0.5))
    [entry] = prepared.split("test")
    assert (entry.has_label, entry.voxels) == (False, ())
    assert prepared.image(entry).shape == (2, *entry.shape)
    assert names(prepared.folder / "label") == names(prepared.folder / "reference") == ["case0.npy"]
    assert not prepared.has_ignored


def test_what_nobody_labelled_stays_so_and_is_not_counted(tmp_path: Path, sources: list[Scan]) -> None:
    label = sources[0].label
    assert label is not None
    holes = label.copy()
    holes[:, 6:12, 4:8] = UNLABELLED
    dataset = write_dataset(tmp_path, [sources[0]._replace(label=holes)])
    prepared = prepare(dataset, tmp_path, tmp_path / "prepared", replace(PLAIN, zoom=2.0))
    [entry] = prepared.entries
    stored = np.asarray(prepared.label(entry))
    assert set(np.unique(stored)) == {0, 1, 2, 3, IGNORE}
    assert (stored[:, 13:23, 9:15] == IGNORE).all()
    assert entry.voxels == tuple((stored == k).sum() for k in range(4))
    assert prepared.has_ignored
    expected = np.where(holes == UNLABELLED, IGNORE, holes)
    np.testing.assert_array_equal(prepared.reference(entry), expected)


def test_the_slice_axis_of_the_source_comes_first(small: Prepared, sources: list[Scan]) -> None:
    dataset = dataset_of(sources)
    sideways = replace(dataset, load=lambda root: replace(dataset.load(root), slice_axis=0))
    prepared = prepare(sideways, small.root, small.folder.parent, PLAIN)
    for entry, upright, scan in zip(prepared.entries, small.entries, sources, strict=True):
        z, y, x = upright.shape
        assert (entry.slice_axis, entry.shape) == (0, (x, z, y))
        np.testing.assert_allclose(entry.spacing, np.array(upright.spacing)[[2, 0, 1]])
        assert scan.label is not None
        np.testing.assert_array_equal(prepared.label(entry), scan.label.transpose(2, 0, 1))


def test_the_native_grid_is_what_a_conversion_returns(small: Prepared, sources: list[Scan]) -> None:
    dataset = dataset_of(sources)
    converted = replace(dataset, load=lambda root: replace(dataset.load(root), convert=without_first_slice))
    median = replace(PLAIN, spacing="median")
    prepared = prepare(converted, small.root, small.folder.parent, median)
    assert prepared.preprocessing.spacing == (2.0, 3.0)
    for entry, scan in zip(prepared.entries, sources, strict=True):
        assert scan.label is not None
        assert entry.native_spacing == entry.spacing == (1.0, 2.0, 3.0)
        np.testing.assert_array_equal(prepared.reference(entry), scan.label[1:])


@pytest.mark.slow
def test_any_number_of_processes_makes_the_same_arrays(tmp_path: Path, sources: list[Scan]) -> None:
    plain = write_dataset(tmp_path / "data", sources)
    dataset = replace(plain, load=lambda root: replace(plain.load(root), convert=without_first_slice))
    alone, together = (
        prepare(dataset, tmp_path / "data", tmp_path / f"{workers}", ALL_RULES, workers=workers)
        for workers in (1, 2)
    )
    assert replace(together, folder=alone.folder) == alone
    paths = sorted(path.relative_to(alone.folder) for path in alone.folder.rglob("*") if path.is_file())
    assert paths == sorted(p.relative_to(together.folder) for p in together.folder.rglob("*") if p.is_file())
    assert len(paths) == 14  # image, label, reference of four cases, the manifest, and counts
    for path in paths:
        assert (alone.folder / path).read_bytes() == (together.folder / path).read_bytes(), path


def test_the_manifest_holds_the_recipe_and_no_split(tmp_path: Path, sources: list[Scan]) -> None:
    dataset = write_dataset(tmp_path / "data", sources)
    prepared = prepare(dataset, tmp_path / "data", tmp_path / "prepared", ALL_RULES)
    content = json.loads((prepared.folder / "manifest.json").read_text())
    assert content["preprocessing"] == json.loads(json.dumps(asdict(prepared.preprocessing)))
    assert len(content["preprocessing"]["intensities"]) == len(content["channels"]) == 2
    assert all("split" not in entry for entry in content["entries"])


@pytest.mark.parametrize("exists", [False, True])
def test_what_a_read_only_prepared_root_lacks_is_made_in_the_cache(
    exists: bool, sources: list[Scan], tmp_path: Path, read_only: Callable[[Path], None]
) -> None:
    root, cache = tmp_path / "small", tmp_path / "cache"
    dataset = write_dataset(root, sources)
    if exists:
        (tmp_path / "prepared").mkdir()
    read_only(tmp_path / "prepared")
    with pytest.raises(
        DataError, match=r"prepared: expected a folder to write .* \(dataset\.cache=\.\.\. or prep"
    ):
        prepare(dataset, root, tmp_path / "prepared", PLAIN)
    data = prepare(dataset, root, tmp_path / "prepared", PLAIN, cache=cache)
    assert data.folder.parent == cache
    assert [entry.name for entry in data.entries] == [case.name for case in dataset.load(root).cases]
    assert local_copy(data, cache, "rrw").folder == data.folder
    assert (data.folder / "inside").is_dir()
    assert prepare(dataset, root, tmp_path / "prepared", PLAIN, cache=cache).folder == data.folder
