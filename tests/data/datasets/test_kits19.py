import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from challenge_trees import nested, noise, write_kits19
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation

from rwseg.core.errors import DataError
from rwseg.data.case import Dataset, LoadedCase
from rwseg.data.datasets.kits19 import KITS19, KITS19_PAPER, as_the_paper
from rwseg.data.io.cases import read_case, slice_axis_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_kits19(tmp_path / "kits19", (210, 3, 0, 12))


@pytest.mark.parametrize("dataset", [KITS19, KITS19_PAPER], ids=lambda dataset: dataset.name)
def test_even_cases_train_odd_ones_validate_and_later_ones_are_for_testing(
    root: Path, dataset: Dataset
) -> None:
    (root / "case_00005").with_suffix(".txt").touch()
    (root / ".git").mkdir()
    (root / "notes").mkdir()
    source = dataset.load(root)
    assert [(case.name, case.split, case.label is not None) for case in source.cases] == [
        ("case_00000", "train", True),
        ("case_00003", "val", True),
        ("case_00012", "train", True),
        ("case_00210", "test", False),
    ]
    first = source.cases[0]
    assert first.images == (root / "case_00000" / "imaging.nii.gz",)
    assert first.label == root / "case_00000" / "segmentation.nii.gz"
    assert (source.classes, source.channels) == (("background", "kidney", "tumor"), ("CT",))
    assert (source.convert is None) == (dataset is KITS19)


def test_slices_lie_along_the_first_axis_of_the_file(root: Path) -> None:
    source = KITS19.load(root)
    case = source.cases[1]
    loaded = read_case(case, source, slice_axis_of(source))
    image, label = nib.load(case.images[0]), nib.load(case.label)
    assert (loaded.image.shape[1], loaded.spacing) == (6, pytest.approx((3.0, 0.8, 0.8)))
    for z in range(6):
        # rows and columns may be swapped, slices not
        np.testing.assert_array_equal(loaded.image[0, z], image.get_fdata()[z].astype(np.float32).T)
        np.testing.assert_array_equal(loaded.label[z], np.asanyarray(label.dataobj)[z].T)


def test_the_paper_version_is_converted_as_it_is_read(root: Path) -> None:
    source = KITS19_PAPER.load(root)
    loaded = read_case(source.cases[0], source, slice_axis_of(source))
    assert loaded.image.shape == (1, 4, 256, 256), "the two outermost slices show no foreground"
    assert loaded.label is not None
    assert loaded.label.any(axis=(1, 2)).all()
    assert loaded.spacing == pytest.approx((3.0, 0.8, 0.8)), "the spacing is not updated"
    unlabelled = read_case(source.cases[3], source, slice_axis_of(source))
    assert (unlabelled.image.shape, unlabelled.label) == ((1, 6, 256, 256), None)


def cubic_weights(size: int) -> NDArray[np.float64]:
    """Anti-aliased cubic convolution (a = -1/2) from `size` to 256 samples, one row per output sample."""
    scale = size / 256
    stretch = max(scale, 1.0)
    rows = np.zeros((256, size))
    for i in range(256):
        centre = (i + 0.5) * scale
        first = max(int(centre - 2 * stretch + 0.5), 0)
        last = min(int(centre + 2 * stretch + 0.5), size)
        x = np.abs((np.arange(first, last) + 0.5 - centre) / stretch)
        near, far = (1.5 * x - 2.5) * x * x + 1, -0.5 * (((x - 5) * x + 8) * x - 4)
        rows[i, first:last] = np.where(x < 1, near, np.where(x < 2, far, 0))
    return rows / rows.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("shape", [(4, 310, 520), (3, 200, 256), (3, 512, 796)])
def test_images_and_labels_are_resized_by_anti_aliased_cubic_convolution(shape: tuple[int, int, int]) -> None:
    label = nested(shape, (1, 2))
    label[:, 40:43, 50:55] = 2
    loaded = LoadedCase(noise(label, 1)[None], label, (3.0, 0.8, 0.8))
    made = as_the_paper(loaded)
    down, across = cubic_weights(shape[1]), cubic_weights(shape[2])
    assert (made.image.dtype, made.label.dtype) == (np.float32, np.uint8)
    for z in range(len(made.label)):
        np.testing.assert_allclose(made.image[0, z], down @ loaded.image[0, z] @ across.T, rtol=0, atol=1e-3)
        # 8-bit images are rounded and clipped after each axis; rows of the file, our columns, come first.
        halfway = np.clip(np.floor(down @ loaded.label[z] + 0.5), 0, 255)
        expected = np.clip(np.floor(halfway @ across.T + 0.5), 0, 255)
        assert (made.label[z] != expected).mean() < 1e-4  # Pillow calculates in fixed point


def test_only_slices_with_foreground_stay_and_the_case_is_not_changed() -> None:
    label = np.zeros((5, 300, 300), np.uint8)
    label[1, 100:150, 100:140] = 1
    label[3, 20:90, 100:140] = 2
    image = np.arange(5, dtype=np.float32)[None, :, None, None].repeat(300, 2).repeat(300, 3)
    loaded = LoadedCase(image, label.copy(), (5.0, 0.7, 0.7))
    made = as_the_paper(loaded)
    np.testing.assert_allclose(made.image[0, :, 0, 0], [1, 3], atol=1e-6)
    assert made.label is not None
    assert [np.unique(slice_).tolist() for slice_ in made.label] == [[0, 1], [0, 1, 2]], (
        "kidney around the tumour"
    )
    assert made.spacing == loaded.spacing
    np.testing.assert_array_equal(loaded.label, label)


def test_a_case_without_foreground_is_refused() -> None:
    nothing = LoadedCase(np.zeros((1, 3, 64, 64), np.float32), np.zeros((3, 64, 64), np.uint8), (3, 1, 1))
    with pytest.raises(DataError, match=r"got background only: .*dataset=kits19"):
        as_the_paper(nothing)
    assert as_the_paper(replace(nothing, label=None)).image.shape == (1, 3, 256, 256)


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no image": (lambda folder: (folder / "imaging.nii.gz").unlink(), r"missing imaging\.nii\.gz$"),
    "no label": (lambda folder: (folder / "segmentation.nii.gz").unlink(), r"missing segmentation\.nii\.gz$"),
    "nothing": (
        lambda folder: [path.unlink() for path in folder.iterdir()],
        r"missing imaging\.nii\.gz, segmentation\.nii\.gz$",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_case_is_named(root: Path, fault: str) -> None:
    break_it, message = FAULTS[fault]
    break_it(root / "case_00003")
    with pytest.raises(DataError, match=r"got 1 faulty case\(s\)") as caught:
        KITS19.load(root)
    assert re.search(rf"^  \S+case_00003: {message}", str(caught.value), re.MULTILINE)


def test_faults_are_listed_together_with_a_folder_of_another_name(root: Path) -> None:
    (root / "case_7").mkdir()
    (root / "case_00210" / "imaging.nii.gz").unlink()
    with pytest.raises(DataError, match=r"got 2 faulty case\(s\)") as caught:
        KITS19.load(root)
    assert "case_00210: missing imaging.nii.gz" in str(caught.value)
    assert "case_7: expected a folder name such as case_00000" in str(caught.value)


@pytest.mark.parametrize("state", ["no such folder", "no case folder in it"])
def test_an_empty_root_says_where_to_get_kits(tmp_path: Path, state: str) -> None:
    root = tmp_path / "kits19"
    if state == "no case folder in it":
        root.mkdir()
    with pytest.raises(DataError, match=f"expected root/case_XXXXX/.*; got {state}") as caught:
        KITS19.load(root)
    for help_text in (str(root), "github.com/neheller/kits19", "imaging.nii.gz", "dataset.root="):
        assert help_text in str(caught.value)


def test_real_label_maps_show_what_the_script_does_to_them() -> None:
    root = Path(__file__).parents[4] / "shared" / "data" / "kits19"
    if not root.is_dir():
        pytest.skip(f"real KiTS19 label maps are not at {root}")
    for path in sorted(root.glob("case_*/segmentation.nii.gz")):
        label = np.asanyarray(nib.load(path).dataobj).astype(np.uint8)
        made = as_the_paper(LoadedCase(np.zeros((1, *label.shape), np.float32), label, (1, 1, 1))).label
        shown = np.flatnonzero((label > 0).any(axis=(1, 2)))
        assert made is not None
        assert made.shape == (len(shown), 256, 256)
        assert len(shown) == shown[-1] - shown[0] + 1, "the slices with foreground are contiguous"
        assert np.unique(made).tolist() == [0, 1, 2]
        nearest = np.stack(
            [
                np.asarray(Image.fromarray(label[z]).resize((256, 256), Image.Resampling.NEAREST))
                for z in shown
            ]
        )
        for k, low in ((1, 0.96), (2, 0.94)):
            both = 2 * ((made == k) & (nearest == k)).sum() / ((made == k).sum() + (nearest == k).sum())
            assert low < both < 0.995
        halved = (label[shown] == 1).reshape(len(shown), 256, 2, 256, 2).any(axis=(2, 4))
        beside = binary_dilation(halved, np.ones((1, 3, 3), bool))
        assert ((made == 1) & ~beside).sum() > 50, "kidney where there is none: a ring around the tumour"
