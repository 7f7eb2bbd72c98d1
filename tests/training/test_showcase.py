"""The showcase of a run: which cases, which part of them, and a small file that gives them back."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from trainings import run

from rwseg import load_run
from rwseg.core.errors import RunError
from rwseg.data.preprocessing.prepared import Entry
from rwseg.training.planes import fullest_slice, levels, window_of
from rwseg.training.showcase import (
    LONGEST_SIDE,
    MOST_CASES,
    Exhibit,
    dice_by_class,
    exhibit,
    exhibited,
    load_showcase,
    save_showcase,
)

CLASSES = ("background", "wall", "core")
ENTRY = Entry(
    name="a", subject="a", phase="ES", split="val", images=("a.nii.gz",), has_label=True, shape=(5, 90, 120),
    spacing=(8.0, 1.5, 1.0), native_shape=(5, 90, 120), native_spacing=(8.0, 1.5, 1.0),
    crop=((0, 5), (0, 90), (0, 120)), slice_axis=2, voxels=(100, 3, 4),
)  # fmt: skip


def ellipse(shape: tuple[int, int], centre: tuple[int, int], radius: int) -> np.ndarray:
    y, x = np.ogrid[: shape[0], : shape[1]]
    far = ((y - centre[0]) / radius) ** 2 + ((x - centre[1]) / radius / 1.5) ** 2
    return (far < 1).astype(np.uint8) + (far < 0.4)


def shown(seed: int = 0, shape: tuple[int, int] = (90, 120), coloured: bool = False) -> Exhibit:
    rng = np.random.default_rng(seed)
    image = rng.uniform(0, 255, (*shape, 3) if coloured else shape).astype(np.float32)
    reference, prediction = (ellipse(shape, (shape[0] // 2, x), 20) for x in (50, 55))
    return exhibit(ENTRY, 2, image, reference, prediction, len(CLASSES))


def test_cases_are_evenly_spaced_by_size_and_follow_from_the_data_alone() -> None:
    entries = [replace(ENTRY, name=f"c{i:02}", voxels=(9, i, 2 * i)) for i in range(70)]
    found = [entry.name for entry in exhibited(entries)]
    assert found == [entry.name for entry in exhibited(entries[::-1])]
    assert found == [f"c{round(i):02}" for i in np.linspace(0, 69, MOST_CASES)]
    assert [entry.name for entry in exhibited(entries[:3])] == ["c00", "c01", "c02"]


def test_the_part_that_is_shown_depends_on_the_reference_alone() -> None:
    rng = np.random.default_rng(0)
    reference = ellipse((90, 120), (45, 50), 20)
    image = rng.normal(size=(90, 120)).astype(np.float32)
    one, other = (
        exhibit(ENTRY, 2, image, reference, prediction.astype(np.uint8), 3)
        for prediction in (np.zeros((90, 120)), np.ones((90, 120)))
    )
    np.testing.assert_array_equal(one.image, other.image)
    window = window_of(reference > 0)
    np.testing.assert_array_equal(one.reference, reference[window])
    np.testing.assert_array_equal(one.image, levels(image[window][None])[0])
    assert one.reference.shape < reference.shape
    assert one.aspect == 1.5
    nothing = exhibit(ENTRY, 0, image, np.zeros_like(reference), reference, 3)
    assert nothing.reference.shape == (90, 120)


def test_dice_is_that_of_the_whole_slice_also_where_it_is_not_shown() -> None:
    reference, prediction = np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)
    reference[20:30, 20:30] = 1
    prediction[20:30, 25:30] = 1
    prediction[50:60, 70:80] = 1  # outside of the picture
    found = exhibit(ENTRY, 0, reference.astype(np.float32), reference, prediction, 3)
    assert found.dice[0] == pytest.approx(2 * 50 / (100 + 150))
    assert np.isnan(found.dice[1])
    assert dice_by_class(found.prediction, found.reference, 3)[0] == pytest.approx(2 * 50 / (100 + 50))


def test_large_pictures_are_shrunk_in_proportion_and_keep_their_classes() -> None:
    shape = (600, 900)
    reference = ellipse(shape, (300, 450), 200)
    found = exhibit(ENTRY, 0, reference.astype(np.float32), reference, reference, 3)
    height, width = found.reference.shape
    assert max(height, width) == LONGEST_SIDE
    rows, columns = window_of(reference > 0)
    whole = (rows.stop - rows.start) / (columns.stop - columns.start)
    assert height / width == pytest.approx(whole, abs=0.01)
    assert set(np.unique(found.reference)) == {0, 1, 2}
    share = (found.reference > 0).mean()
    assert share == pytest.approx((reference[rows, columns] > 0).mean(), abs=0.01)


@pytest.mark.parametrize("coloured", [False, True])
def test_what_is_written_is_read_again(tmp_path: Path, coloured: bool) -> None:
    smooth = [shown(seed, coloured=coloured) for seed in range(3)]
    smooth = [
        one._replace(case=f"{seed:03}", image=gaussian_filter(one.image, (6, 6, 0)[: one.image.ndim]))
        for seed, one in enumerate(smooth)
    ]
    found, classes = load_showcase(save_showcase(tmp_path / "showcase.npz", smooth, CLASSES))
    assert classes == CLASSES
    for before, after in zip(smooth, found, strict=True):
        assert after[:5] == before[:5]
        for name in ("dice", "reference", "prediction"):
            np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
        assert after.image.shape == before.image.shape
        assert np.abs(after.image.astype(float) - before.image).mean() < 4
    again = save_showcase(tmp_path / "again.npz", smooth, CLASSES)
    assert again.read_bytes() == (tmp_path / "showcase.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.npz", "showcase.npz"]


def test_the_file_is_small_and_holds_no_objects(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    side = LONGEST_SIDE
    reference = ellipse((side, side), (side // 2, side // 2), side // 3)
    exhibits = []
    for _ in range(MOST_CASES):
        soft = gaussian_filter(rng.normal(size=(side, side, 3)), (1.5, 1.5, 0)) * 350 + 128
        exhibits.append(exhibit(ENTRY, 0, soft.astype(np.float32), reference, reference, 3))
    path = save_showcase(tmp_path / "showcase.npz", exhibits, CLASSES)
    assert path.stat().st_size < 400_000
    with np.load(path, allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "UuifI" for name in file.files)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = save_showcase(tmp_path / "showcase.npz", [shown()], CLASSES)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match=r"showcase\.npz: expected the showcase of a training, got: "):
        load_showcase(path)
    save_showcase(path, [shown()._replace(prediction=np.zeros((3, 4), np.uint8))], CLASSES)
    with pytest.raises(RunError, match="arrays that do not fit together"):
        load_showcase(path)


@pytest.mark.slow
@pytest.mark.usefixtures("with_figures")
def test_runs_of_the_same_data_show_the_same_slices_and_what_they_predict(
    tiny: list[str], phantom_root: Path
) -> None:
    short = [*tiny, "schedule.epochs=1"]
    folders = [run([*short, f"loss={loss}"]) for loss in ("rrw", "ce")]
    (first, classes), (second, _) = (load_showcase(f / "figures" / "showcase.npz") for f in folders)
    assert len(first) == 4
    for one, other in zip(first, second, strict=True):
        assert one[:5] == other[:5]
        np.testing.assert_array_equal(one.reference, other.reference)
        np.testing.assert_array_equal(one.image, other.image)
    predictor = load_run(folders[0])
    for one in first:
        [path] = phantom_root.rglob(f"{one.case}.nii.gz")
        reference = np.asarray(nib.load(path.with_name(f"{one.case}_gt.nii.gz")).dataobj)  # type: ignore[attr-defined]
        reference = reference.transpose(2, 1, 0).astype(np.uint8)
        z = fullest_slice(reference)
        window = window_of(reference[z] > 0)
        expected = predictor.predict(path)[z]
        assert one.slice_number == z
        np.testing.assert_array_equal(one.reference, reference[z][window])
        assert (one.prediction != expected[window]).mean() < 0.01  # windows share other batches
        np.testing.assert_allclose(one.dice, dice_by_class(expected, reference[z], len(classes)), atol=0.02)
