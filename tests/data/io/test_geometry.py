"""What a header says of geometry, against nibabel's affine and sizes given by hand."""

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from rwseg.core.errors import DataError
from rwseg.data.case import Case, Dataset, LoadedCase, Source, plain_labels
from rwseg.data.io.cases import read_case
from rwseg.data.io.nifti import read_nifti, read_thickness, write_nifti_labels
from rwseg.data.oddities import oddities
from rwseg.data.preprocessing.config import PreprocessingConfig
from rwseg.data.preprocessing.prepare import prepare
from rwseg.metrics import case_metrics
from rwseg.report.doctor.survey import findings, look

SHAPE = (12, 11, 6)
SIZES = (1.5, 1.5, 8.0)
PIXDIM = "a pixdim that disagrees with the affine"
FORMS = "qform and sform that disagree"
UNITS = "units other than mm"

Nifti = Any  # nibabel is typed only in part


def image(array: np.ndarray | None = None, sizes: tuple[float, ...] = SIZES) -> Nifti:
    """Both forms alike, in mm."""
    held = np.zeros(SHAPE, np.uint8) if array is None else array
    one = nib.Nifti1Image(held, np.diag([*sizes, 1.0]))
    one.set_qform(one.affine, 1)
    one.set_sform(one.affine, 1)
    one.header.set_xyzt_units("mm")
    return one


def two_geometries(one: Nifti) -> None:
    one.set_qform(np.diag([1.5, 1.5, 4.0, 1.0]), 1)
    one.header["pixdim"][1:4] = 1.5, 1.5, 4


def qform_elsewhere(one: Nifti) -> None:
    one.header["qoffset_x"] = 5


def qform_mirrored(one: Nifti) -> None:
    one.header["pixdim"][0] = -1


def qform_of_no_rotation(one: Nifti) -> None:
    one.header["quatern_b"] = one.header["quatern_c"] = 1


def pixdim(*sizes: float) -> Callable[[Nifti], None]:
    def change(one: Nifti) -> None:
        one.header["qform_code"] = 0
        one.header["pixdim"][1 : 1 + len(sizes)] = sizes

    return change


def unit(name: str, factor: float) -> Callable[[Nifti], None]:
    def change(one: Nifti) -> None:
        affine = one.affine.copy()
        affine[:3] *= factor
        one.set_qform(affine, 1)
        one.set_sform(affine, 1)
        one.header.set_xyzt_units(name)

    return change


def unit_code(one: Nifti) -> None:
    one.header["xyzt_units"] = 5


def sheared(one: Nifti) -> None:
    affine = one.affine.copy()
    affine[0, 2] = 8 * np.tan(np.radians(10))
    affine[2, 2] = 8
    one.set_sform(affine, 1)
    one.header["qform_code"] = 0
    one.header["pixdim"][3] = 8 / np.cos(np.radians(10))


ODD: dict[str, tuple[Callable[[Nifti], None], tuple[float, float, float], str, str]] = {
    "two geometries": (
        two_geometries,
        SIZES,
        FORMS,
        "1.5 x 1.5 x 4 by qform and pixdim, of 1.5 x 1.5 x 8 by",
    ),
    "another origin": (qform_elsewhere, SIZES, FORMS, "voxels up to 5 apart; sform is taken"),
    "mirrored": (qform_mirrored, SIZES, FORMS, "voxels up to 80 apart"),
    "no rotation": (qform_of_no_rotation, SIZES, FORMS, "qform: .*; sform is taken"),
    "pixdim of 1": (
        pixdim(1, 1, 1),
        SIZES,
        PIXDIM,
        "voxels of 1 x 1 x 1 by pixdim, of 1.5 x 1.5 x 8 by sform",
    ),
    "pixdim of 0": (pixdim(0, 0, 0), SIZES, PIXDIM, "voxels of 0 x 0 x 0 by pixdim"),
    "pixdim of NaN": (pixdim(np.nan), SIZES, PIXDIM, "voxels of nan x 1.5 x 8 by pixdim"),
    "pixdim below 0": (pixdim(-1.5), SIZES, PIXDIM, "voxels of -1.5 x 1.5 x 8 by pixdim"),
    "micron": (unit("micron", 1e3), SIZES, UNITS, "1500 x 1500 x 8000 micron read as 1.5 x 1.5 x 8 mm"),
    "meter": (unit("meter", 1e-3), SIZES, UNITS, "0.0015 x 0.0015 x 0.008 meter read as 1.5 x 1.5 x 8 mm"),
    "no such unit": (unit_code, SIZES, "units that NIfTI does not know", "code 5, taken for mm"),
    "shear": (
        sheared,
        (1.5, 1.5, 8 / np.cos(np.radians(10))),
        "axes that are not perpendicular",
        "80 degrees; distances",
    ),
}


def stored(path: Path, change: Callable[[Nifti], None], one: Nifti | None = None) -> Path:
    """Save after `change`; the header as it stands then, which nibabel's own `save` would mend in part."""
    one = image() if one is None else one
    change(one)
    one.to_filename(path)
    content = bytearray(path.read_bytes())
    content[76:92] = struct.pack("<4f", *one.header["pixdim"][:4])
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("odd", ODD)
def test_the_affine_in_use_decides_and_what_contradicts_it_is_named(tmp_path: Path, odd: str) -> None:
    change, sizes, kind, detail = ODD[odd]
    path = stored(tmp_path / "odd.nii", change)
    volume = read_nifti(path)
    np.testing.assert_allclose(volume.spacing, sizes, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(volume.affine[:3, :3], axis=0), sizes, rtol=1e-6)
    np.testing.assert_allclose(read_thickness(path), sizes, rtol=1e-6)
    (text,) = [remark.detail for remark in volume.remarks if remark.kind == kind]
    assert text.startswith("odd.nii: ")
    assert re.search(detail, text), text
    assert {remark.kind for remark in volume.remarks} <= {kind, "headers that nibabel complains of"}


@pytest.mark.parametrize("written", ["mm", "unknown"])
@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (0, 1), (1, 1), (1, 4), (0, 7)])
def test_nibabels_rule_for_the_affine(tmp_path: Path, codes: tuple[int, int], written: str) -> None:
    c, s = np.cos(0.3), np.sin(0.3)
    affine = np.diag([*SIZES, 1.0])
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) * SIZES
    one = nib.Nifti1Image(np.zeros(SHAPE, np.uint8), affine)
    one.set_qform(affine, 1)
    one.set_sform(affine if codes[1] != 4 else np.diag([*SIZES, 1.0]), 1)  # 4: another space, on purpose
    one.header["qform_code"], one.header["sform_code"] = codes
    one.header.set_xyzt_units(written)
    path = tmp_path / "one.nii"
    one.to_filename(path)
    volume = read_nifti(path)
    np.testing.assert_array_equal(volume.affine, nib.load(path).affine)
    np.testing.assert_allclose(volume.spacing, SIZES, rtol=1e-6)
    assert {remark.kind for remark in volume.remarks} <= {"headers that nibabel complains of"}
    assert bool(volume.remarks) == (codes[1] == 7)  # no such code: nibabel says so and takes none


def test_a_difference_of_rounding_is_none(tmp_path: Path) -> None:
    for path, factor in ((tmp_path / "a.nii", 1.0005), (tmp_path / "b.nii", 1.002)):
        stored(path, pixdim(*(factor * size for size in SIZES)))
    assert read_nifti(tmp_path / "a.nii").remarks == ()
    assert [remark.kind for remark in read_nifti(tmp_path / "b.nii").remarks] == [PIXDIM]


def blocks(change: Callable[[Nifti], None], folder: Path, sizes: tuple[float, ...] = SIZES) -> LoadedCase:
    """A block of class 1 and its image, both changed."""
    label = np.zeros(SHAPE, np.uint8)
    label[2:8, 3:8] = 1
    paths = [
        stored(folder / name, change, image(array, sizes))
        for name, array in (("image.nii", label * np.uint8(100)), ("label.nii", label))
    ]
    case = Case("case", "case", "", "val", (paths[0],), paths[1])
    return read_case(case, Source((case,), ("background", "a"), ("MRI",), plain_labels(2)), 2)


@pytest.mark.parametrize(
    ("change", "sizes", "kind"),
    [
        (two_geometries, SIZES, FORMS),
        (pixdim(1, 1, 1), SIZES, PIXDIM),
        (unit("micron", 1e3), SIZES, UNITS),
        (unit("meter", 1e-3), SIZES, UNITS),
        (pixdim(1, 1, 1), (1.5, 1.5, 6.0), PIXDIM),
    ],
)
def test_distances_are_in_mm_whatever_the_header_says_twice(
    tmp_path: Path, change: Callable[[Nifti], None], sizes: tuple[float, ...], kind: str
) -> None:
    """Moved 3 voxels along y and 1 slice cut off: by hand, 4.5 mm in plane and one thickness along z."""
    loaded = blocks(change, tmp_path, sizes)
    assert [remark.kind for remark in loaded.remarks] == [kind] * 2  # image and label
    assert loaded.label is not None
    moved = np.roll(loaded.label, 3, axis=1)
    moved[-1] = 0
    (row,) = case_metrics(moved, loaded.label, ("background", "a"), loaded.spacing)
    np.testing.assert_allclose(row["hausdorff"], np.hypot(3 * 1.5, sizes[2]), rtol=1e-6)


def test_files_of_a_case_in_two_units_are_one_grid_and_labels_keep_the_units_of_their_image(
    tmp_path: Path,
) -> None:
    path = stored(tmp_path / "image.nii", unit("micron", 1e3))
    write_nifti_labels(tmp_path / "label.nii", np.ones(SHAPE, np.uint8), path, same_shape=True)
    written = nib.load(tmp_path / "label.nii")
    assert written.header.get_xyzt_units()[0] == "micron"
    np.testing.assert_array_equal(written.affine, nib.load(path).affine)
    image().to_filename(tmp_path / "mm.nii")
    for label in ("label.nii", "mm.nii"):
        case = Case("case", "case", "", "val", (path,), tmp_path / label)
        source = Source((case,), ("background", "a"), ("MRI",), plain_labels(2))
        np.testing.assert_allclose(read_case(case, source, 2).spacing, SIZES[::-1], rtol=1e-6)


@pytest.mark.parametrize("odd", ["two geometries", "pixdim of 1", "pixdim of 0", "pixdim of NaN", "micron"])
def test_labels_written_for_an_odd_image_lie_where_it_lies(tmp_path: Path, odd: str) -> None:
    path = stored(tmp_path / "image.nii", ODD[odd][0])
    write_nifti_labels(tmp_path / "label.nii", np.ones(SHAPE, np.uint8), path, same_shape=True)
    source, written = read_nifti(path), read_nifti(tmp_path / "label.nii")
    np.testing.assert_array_equal(written.affine, source.affine)
    assert written.spacing == source.spacing


def test_image_and_label_of_another_spacing(tmp_path: Path) -> None:
    """Refused where it moves voxels; a thickness that a single slice does not show is named."""
    for name, depth, thickness in (("a", 6, 8.0), ("b", 6, 4.0), ("c", 1, 8.0), ("d", 1, 4.0)):
        image(np.zeros((12, 11, depth), np.uint8), (1.5, 1.5, thickness)).to_filename(
            tmp_path / f"{name}.nii"
        )
    for first, second in (("a", "b"), ("c", "d")):
        case = Case("case", "case", "", "val", (tmp_path / f"{first}.nii",), tmp_path / f"{second}.nii")
        source = Source((case,), ("background", "a"), ("MRI",), plain_labels(2))
        if first == "a":
            with pytest.raises(DataError, match=r"b\.nii: expected the affine of a\.nii .*20 mm away"):
                read_case(case, source, 2)
        else:
            *_, remark = read_case(case, source, 2).remarks
            assert remark.kind == "files of a case that differ in spacing"
            assert remark.detail.startswith("d.nii: (1.5, 1.5, 4.0) mm, c.nii: (1.5, 1.5, 8.0) mm")


def test_spacing_and_remark_reach_the_doctor_and_the_prepared_data(tmp_path: Path) -> None:
    cases = []
    for name in ("a", "b"):
        label = np.zeros(SHAPE, np.uint8)
        label[2:8, 3:8] = 1
        noise = np.random.default_rng(ord(name)).integers(0, 99, SHAPE).astype(np.uint8)
        files = [
            stored(tmp_path / f"{name}_{kind}.nii", pixdim(1, 1, 1), image(array))
            for kind, array in (("image", noise), ("label", label))
        ]
        cases.append(Case(name, name, "", "train", (files[0],), files[1]))
    source = Source(tuple(cases), ("background", "organ"), ("MRI",), plain_labels(2), slice_axis=None)
    dataset = Dataset("pixdim", "", "", "", lambda root: source)
    preparation = PreprocessingConfig(False, None, None, 1.0, "spline", "zscore")
    prepared = prepare(dataset, tmp_path, tmp_path / "prepared", preparation)
    assert [entry.native_spacing for entry in prepared.entries] == [SIZES[::-1]] * 2
    line = f"{PIXDIM} in 2 case(s): a, b; a_image.nii: voxels of 1 x 1 x 1 by pixdim, "
    said = list(oddities(prepared.entries, prepared.classes, None))
    notes = [
        f.text for f in findings([look(source, 2, case) for case in cases], source, None) if f.level == "note"
    ]
    assert said == notes
    assert [text.startswith(line) for text in said] == [True]


@pytest.mark.parametrize("name", ["header.nii", "header.nii.gz"])
@pytest.mark.parametrize("endianness", ["<", ">"])
def test_the_header_alone_tells_the_spacing(tmp_path: Path, name: str, endianness: str) -> None:
    path = tmp_path / name
    header = nib.Nifti1Header(endianness=endianness)
    image = nib.Nifti1Image(np.zeros((7, 5, 3), np.int16), np.diag([-1.25, -1.5, 10, 1]), header)
    image.to_filename(path)
    assert read_thickness(path) == nib.load(path).header.get_zooms()
    content = path.read_bytes()
    path.write_bytes(content[:20])
    with pytest.raises(DataError, match=rf"{name}: expected a complete"):
        read_thickness(path)
