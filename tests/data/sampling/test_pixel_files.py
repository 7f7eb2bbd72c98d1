"""A user's numbers for each pixel: prepared with the image, and moved with it in every batch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import mine
import numpy as np
import pytest
import torch
from augmentation_samples import NNUNET
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from small_dataset import PLAIN, Scan, write_dataset

from rwseg.core.errors import DataError
from rwseg.data.augmentation.batches import warped_batch
from rwseg.data.augmentation.draws import Warps
from rwseg.data.augmentation.own import NOTHING, OwnAugmentation
from rwseg.data.augmentation.spatial import transforms_of
from rwseg.data.datamodule import SliceDataModule
from rwseg.data.io.nifti import write_volume
from rwseg.data.preprocessing.pixel_files import ensure_pixel_files
from rwseg.data.preprocessing.prepare import prepare
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.data.sampling.patches import Boxes
from rwseg.data.sampling.residency import PLACES, Residency
from rwseg.data.sampling.stores import load_slices

CPU = torch.device("cpu")
Volume = NDArray[np.float32]


def write_files(prepared: Prepared, make: Callable[[tuple[int, ...]], Volume]) -> None:
    for entry in prepared.split("train"):
        path = prepared.root / "weights" / f"{entry.name}.nii.gz"
        write_volume(path, make(entry.native_shape), entry.native_spacing)


def random_volume(shape: Sequence[int]) -> Volume:
    return np.random.default_rng(sum(shape)).uniform(0, 2, shape).astype(np.float32)


def ones(shape: Sequence[int]) -> Volume:
    return np.ones(shape, np.float32)


def module(
    prepared: Prepared, pixels: str | None, place: Residency = "device", **more: object
) -> SliceDataModule:
    settings = {
        "map_name": "boundary",
        "rectified": False,
        "patch_size": (12, 10),
        "batch_size": 8,
        "batches_per_epoch": 2,
        "foreground": 0.33,
        "augment": NNUNET,
        "source": "cached",
        "seed": 4,
        **more,
    }
    data = SliceDataModule(prepared, residency=place, pixels=pixels, **settings)  # type: ignore[arg-type]
    data.prepare_data()
    return data


def ready(prepared: Prepared) -> str:
    return ensure_pixel_files(prepared, prepared.split("train"), "weights")


def test_warped_numbers_are_what_scipy_makes_of_the_numbers_alone(small: Prepared) -> None:
    write_files(small, random_volume)
    cache, _ = load_slices(small, small.split("train"), None, False, CPU, True, ready(small))
    planes = [plane for entry in small.split("train") for plane in random_volume(entry.native_shape)]
    rng, count, patch = np.random.default_rng(1), len(planes), (9, 14)
    flips = rng.random((count, 2)) < 0.5
    boxes = Boxes(np.arange(count), rng.integers(-4, 5, count), rng.integers(-4, 5, count), flips)
    warps = Warps(np.arange(count), rng.uniform(-3, 3, count), rng.choice([0.7, 1.0, 1.4], count))
    transforms = transforms_of(boxes, warps, patch, patch)
    batch = warped_batch(cache, transforms, patch, masked=False).batch
    assert batch.region_map is None
    assert batch.pixels is not None
    grid = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in patch), indexing="ij")).reshape(2, -1)
    for i, plane in enumerate(planes):
        where = transforms.centre[i][:, None] + transforms.matrix[i] @ grid
        expected = map_coordinates(plane.astype(float), where, order=1, mode="nearest").reshape(patch)
        np.testing.assert_allclose(batch.pixels[i].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("place", [place for place in PLACES if place != "auto"])
@pytest.mark.parametrize(
    ("map_name", "rectified", "source"),
    [
        ("rrw", True, "cached"),
        ("boundary", False, "cached"),
        ("boundary", True, "cached"),
        ("rrw", True, "online"),
    ],
)
def test_files_of_ones_are_ones_and_change_nothing_else(
    small: Prepared, place: Residency, map_name: str, rectified: bool, source: str
) -> None:
    write_files(small, ones)
    settings = {"map_name": map_name, "rectified": rectified, "source": source}
    plain, with_files = (module(small, pixels, place, **settings) for pixels in (None, ready(small)))
    try:
        for step in range(3):
            a, b = (data.training_batch(step, CPU) for data in (plain, with_files))
            assert b.pixels is not None
            assert torch.equal(b.pixels, torch.ones(b.labels.shape))
            assert torch.equal(a.image, b.image)
            assert torch.equal(a.labels, b.labels)
            maps = (a.region_map, b.region_map)
            if maps[0] is None:
                assert maps[1] is None
            else:
                pairs = zip(*(m if isinstance(m, tuple) else [m] for m in maps), strict=True)  # type: ignore[arg-type]
                assert all(torch.equal(*pair) for pair in pairs)
            np.testing.assert_array_equal(a.cases, b.cases)
    finally:
        for data in (plain, with_files):
            data.teardown("fit")


def test_where_slices_live_changes_no_number(small: Prepared) -> None:
    write_files(small, random_volume)
    modules = [module(small, ready(small), place) for place in ("device", "host", "disk")]
    try:
        for step in range(2):
            first, *others = (data.training_batch(step, CPU) for data in modules)
            for other in others:
                assert first.pixels is not None
                assert other.pixels is not None
                torch.testing.assert_close(first.pixels, other.pixels)
                np.testing.assert_array_equal(first.cases, other.cases)
    finally:
        for data in modules:
            data.teardown("fit")


def test_cases_are_those_that_the_samples_show(tmp_path: Path) -> None:
    """Each case has one grey value; the patch is within every slice."""
    rng = np.random.default_rng(0)
    scans = [
        Scan(
            split,
            np.full((1, 3, 20, 20), value, np.float32),
            rng.integers(0, 4, (3, 20, 20), np.uint8),
            (5, 1, 1),
        )
        for split, value in (("train", 10), ("train", 20), ("val", 30), ("train", 40))
    ]
    for number, scan in enumerate(scans):
        scan.image[0, 0, 0, 0] += number  # an image of one value has no standard deviation
    dataset = write_dataset(tmp_path / "data", scans)
    how = replace(PLAIN, normalisation="minmax")
    prepared = prepare(dataset, tmp_path / "data", tmp_path / "prepared", how)
    write_files(prepared, lambda shape: np.full(shape, 0.0, np.float32))
    for number, entry in enumerate(prepared.split("train")):
        path = prepared.root / "weights" / f"{entry.name}.nii.gz"
        write_volume(path, np.full(entry.native_shape, number, np.float32), entry.native_spacing)
    data = module(prepared, ready(prepared))
    seen = set()
    for step in range(4):
        batch = data.training_batch(step, CPU)
        assert batch.pixels is not None
        assert batch.cases is not None
        for number, pixels in zip(batch.cases.tolist(), batch.pixels, strict=True):
            assert torch.equal(pixels, torch.full_like(pixels, number))
            seen.add(number)
    assert seen == {0, 1, 2}


@pytest.mark.parametrize(
    ("map_name", "rectified", "source"),
    [("rrw", True, "cached"), ("boundary", False, "cached"), ("rrw", True, "online")],
)
def test_an_augmentation_of_the_users_moves_the_numbers(
    small: Prepared, map_name: str, rectified: bool, source: str
) -> None:
    write_files(small, random_volume)
    settings = {"map_name": map_name, "rectified": rectified, "source": source, "augment": NOTHING}
    own = OwnAugmentation(mine.Flip(), "mine.Flip", len(small.classes), maps_are_cached=True)
    plain, moved = (
        module(small, ready(small), own_augmentation=one, **settings).training_batch(0, CPU)
        for one in (None, own)
    )
    assert plain.pixels is not None
    assert moved.pixels is not None
    assert torch.equal(moved.pixels, plain.pixels.flip(-1))
    assert torch.equal(moved.labels, plain.labels.flip(-1))
    assert (moved.region_map is None) == (source == "online")
    np.testing.assert_array_equal(moved.cases, plain.cases)


@pytest.mark.parametrize("interpolation", ["area", "spline"])
def test_files_are_cut_padded_and_resampled_as_the_image(
    tmp_path: Path, sources: list[Scan], interpolation: str
) -> None:
    """The numbers are the image's own, whose path to the prepared grid is known to be right."""
    scans = [scan._replace(image=np.abs(scan.image[:1])) for scan in sources]
    dataset = write_dataset(tmp_path / "data", scans)
    how = replace(PLAIN, interpolation=interpolation, zoom=0.5, center_crop=(11, 16), normalisation="minmax")
    prepared = prepare(dataset, tmp_path / "data", tmp_path / "prepared", how)
    for entry, scan in zip(prepared.entries, scans, strict=True):
        write_volume(prepared.root / "weights" / f"{entry.name}.nii.gz", scan.image[0], scan.spacing)
    kind = ready(prepared)
    for entry in prepared.split("train"):
        image, numbers = prepared.image(entry)[0], prepared.pixels(kind, entry)
        outside = numbers == 1  # padded: 1 for the numbers, 0 for the image
        assert (image[outside] == 0).all()
        inside = ~outside
        slope, start = np.polyfit(numbers[inside], image[inside], 1)
        np.testing.assert_allclose(image[inside], slope * numbers[inside] + start, atol=5e-3)


def faulty(name: str, shape: tuple[int, ...]) -> Volume:
    volume = np.ones(shape, np.float32)
    volume[0, 0, 0] = {"negative": -1.0, "nan": np.nan}[name]
    return volume


@pytest.mark.parametrize(("name", "said"), [("negative", "0 or more, got -1"), ("nan", "finite")])
def test_numbers_that_are_no_weights_are_refused(small: Prepared, name: str, said: str) -> None:
    write_files(small, lambda shape: faulty(name, shape))
    with pytest.raises(DataError, match=said):
        ready(small)


def test_missing_files_and_files_of_another_grid_are_named(small: Prepared) -> None:
    write_files(small, ones)
    first, second = small.split("train")[:2]
    file = small.root / "weights" / f"{first.name}.nii.gz"
    file.unlink()
    with pytest.raises(DataError, match=rf"{first.name}\.nii\.gz: expected a file for each training case"):
        ready(small)
    write_volume(file, np.ones((2, 5, 6), np.float32), (1, 1, 1))
    moved = small.root / "weights" / f"{second.name}.nii.gz"
    write_volume(moved, np.ones(second.native_shape, np.float32), (9.0, 9.0, 9.0))
    with pytest.raises(DataError, match=r"expected shape.*\n.*expected the affine"):
        ready(small)


def test_other_files_have_another_name(small: Prepared) -> None:
    write_files(small, ones)
    first = ready(small)
    assert ready(small) == first
    write_files(small, random_volume)
    assert ready(small) != first
