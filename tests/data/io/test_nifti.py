import gzip
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from rwseg.core.errors import DataError
from rwseg.data.case import Case, LoadedCase, Source, plain_labels
from rwseg.data.io.cases import read_case
from rwseg.data.io.nifti import read_thickness, write_volume

SHAPE = (3, 5, 7)
SPACING = (10.0, 1.5, 1.25)
DIM, PIXDIM_X, VOX_OFFSET, SFORM_CODE, SROW_X = 40, 80, 108, 254, 280
"""Where the NIfTI-1 header holds dim[0], pixdim[1], vox_offset, sform_code, srow_x."""


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A small sound case: 3x5x7, all four classes."""
    rng = np.random.default_rng(0)
    image, label = tmp_path / "case.nii.gz", tmp_path / "case_gt.nii.gz"
    write_volume(image, rng.integers(0, 200, SHAPE).astype(np.int16), SPACING)
    write_volume(label, rng.integers(0, 4, SHAPE).astype(np.uint8), SPACING)
    return Case("case", "case", "", "train", (image,), label)


def read(case: Case) -> LoadedCase:
    """Read with four classes and as many channels as the case has files."""
    channels = tuple(f"channel {number}" for number, _ in enumerate(case.images))
    return read_case(case, Source((case,), ("background", "a", "b", "c"), channels, plain_labels(4)), 2)


def label_of(case: Case) -> Path:
    assert case.label is not None
    return case.label


def poke(path: Path, offset: int, content: bytes) -> None:
    """Overwrite bytes of the decompressed file."""
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[offset : offset + len(content)] = content
    path.write_bytes(gzip.compress(bytes(raw)))


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> None:
    """Write with nibabel itself; `array` has the file's axes (x, y, z)."""
    nib.Nifti1Image(array, np.diag([-1.25, -1.5, 10, 1]) if affine is None else affine).to_filename(path)


def test_read_gives_zyx_float32_and_uint8(case: Case) -> None:
    loaded = read(case)
    image, label = nib.load(case.images[0]), nib.load(label_of(case))
    assert (loaded.image.dtype, loaded.image.shape) == (np.float32, (1, *SHAPE))
    assert loaded.label is not None
    assert (loaded.label.dtype, loaded.label.shape) == (np.uint8, SHAPE)
    np.testing.assert_array_equal(loaded.image[0, 2, 4, 1], image.get_fdata()[1, 4, 2])
    np.testing.assert_array_equal(loaded.label, label.get_fdata().T)
    assert loaded.spacing == SPACING
    assert loaded.image.flags.c_contiguous
    assert loaded.label.flags.c_contiguous


def test_read_applies_the_slope_and_takes_integers_stored_as_floats(case: Case) -> None:
    stored = np.arange(105, dtype=np.int16).reshape(7, 5, 3)
    image = nib.Nifti1Image(stored, np.diag([-1.25, -1.5, 10, 1]))
    image.header.set_slope_inter(0.5, -3)
    image.to_filename(case.images[0])
    save(label_of(case), (stored % 4).astype(np.float32))
    loaded = read(case)
    np.testing.assert_allclose(loaded.image[0], 0.5 * stored.T - 3)
    np.testing.assert_array_equal(loaded.label, (stored % 4).T)


def test_channels_are_stacked_in_order_and_a_label_is_optional(case: Case, tmp_path: Path) -> None:
    second = tmp_path / "second.nii"
    write_volume(second, np.full(SHAPE, 5, dtype=np.int16), SPACING)
    loaded = read(replace(case, images=(case.images[0], second), label=None))
    assert loaded.label is None
    assert loaded.image.shape == (2, *SHAPE)
    assert (loaded.image[1] == 5).all()


@pytest.mark.parametrize("length", [0, 1, 2, 9, 15, 40, 0.5, 0.9, -9, -8, -4, -1])
@pytest.mark.parametrize("which", ["image", "label"])
def test_a_truncated_gzip_file_is_named(case: Case, which: str, length: float) -> None:
    path = case.images[0] if which == "image" else label_of(case)
    content = path.read_bytes()
    path.write_bytes(content[: int(length * len(content)) if 0 < length < 1 else int(length)])
    with pytest.raises(DataError, match=f"{path.name}: expected a complete .*fetch this file again"):
        read(case)


@pytest.mark.parametrize("length", [0, 3, 347, 348, 352, 353, -1])
def test_a_truncated_plain_file_is_named(case: Case, tmp_path: Path, length: int) -> None:
    path = tmp_path / "plain.nii"
    path.write_bytes(gzip.decompress(case.images[0].read_bytes())[:length])
    with pytest.raises(DataError, match=r"plain\.nii: expected a complete NIfTI-1 file"):
        read(replace(case, images=(path,)))


def test_every_changed_byte_of_the_payload_is_noticed_or_harmless(case: Case) -> None:
    path, sound = label_of(case), read(case)
    content, noticed = path.read_bytes(), 0
    for index in range(10, len(content)):
        path.write_bytes(content[:index] + bytes([content[index] ^ 0x10]) + content[index + 1 :])
        try:
            loaded = read(case)
        except DataError:
            noticed += 1
        else:
            np.testing.assert_array_equal(loaded.label, sound.label)
    assert noticed > 0.9 * (len(content) - 10)


def grid_shift(case: Case) -> None:
    affine = np.diag([-1.25, -1.5, 10, 1])
    affine[0, 3] = 0.1
    save(label_of(case), np.ones(SHAPE[::-1], dtype=np.uint8), affine)


def two_frames(case: Case) -> None:
    save(case.images[0], np.ones((7, 5, 3, 2), dtype=np.float32))


def colours(case: Case) -> None:
    save(case.images[0], np.zeros(SHAPE[::-1], dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]))


def put(value: float) -> Callable[[Case], None]:
    def change(case: Case) -> None:
        array = np.ones(SHAPE[::-1], dtype=np.float64)
        array[6, 3, 2] = value
        array[5, 4, 2] = value
        save(case.images[0], array)

    return change


def voxel_size(value: float, sform: bool = False) -> Callable[[Case], None]:
    """In pixdim, without an sform; or in the sform."""

    def change(case: Case) -> None:
        poke(case.images[0], SROW_X if sform else PIXDIM_X, struct.pack("<f", value))
        if not sform:
            poke(case.images[0], SFORM_CODE, struct.pack("<h", 0))

    return change


FAULTS: dict[str, tuple[Callable[[Case], None], str]] = {
    "missing image": (lambda case: case.images[0].unlink(), r"case\.nii\.gz: this file is missing"),
    "missing label": (lambda case: label_of(case).unlink(), r"case_gt\.nii\.gz: this file is missing"),
    "no gzip": (
        lambda case: case.images[0].write_bytes(b"hello" * 99),
        r"case\.nii\.gz: .*Not a gzipped file",
    ),
    "not NIfTI": (
        lambda case: case.images[0].write_bytes(gzip.compress(b"x" * 999)),
        r"case\.nii\.gz: expected a complete NIfTI-1 file",
    ),
    "4D": (two_frames, r"case\.nii\.gz: expected a 3D volume or .*, got shape \(7, 5, 3, 2\)"),
    "1D": (lambda case: save(case.images[0], np.ones(7)), r"case\.nii\.gz: .*, got shape \(7,\)"),
    "an endless offset": (
        lambda case: poke(case.images[0], VOX_OFFSET, struct.pack("<f", np.inf)),
        r"case\.nii\.gz: expected a complete NIfTI-1 file, got one with: cannot convert float infinity",
    ),
    "an offset beyond the end": (
        lambda case: poke(case.images[0], VOX_OFFSET, struct.pack("<f", 1e6)),
        r"case\.nii\.gz: .*: 562 bytes, too few for shape \(7, 5, 3\) from byte 1000000 on",
    ),
    "an affine that is not finite": (
        lambda case: poke(case.images[0], SROW_X, struct.pack("<f", np.nan)),
        r"case\.nii\.gz: expected a finite affine, got \[\[nan",
    ),
    "more voxels than bytes": (
        lambda case: poke(case.images[0], DIM, struct.pack("<4h", 3, 30000, 30000, 30000)),
        r"case\.nii\.gz: .* too few for shape \(30000, 30000, 30000\)",
    ),
    "colours": (colours, r"case\.nii\.gz: expected integer or floating voxels"),
    "shape": (
        lambda case: save(label_of(case), np.ones((7, 5, 4), dtype=np.uint8)),
        r"case_gt\.nii\.gz: expected shape \(x, y, z\) \(7, 5, 3\) as case\.nii\.gz, got \(7, 5, 4\)",
    ),
    "affine": (grid_shift, r"case_gt\.nii\.gz: expected the affine of case\.nii\.gz .*up to 0\.1 mm away"),
    "NaN": (put(np.nan), r"case\.nii\.gz: .* got 2 NaN or infinite, the first at \(x, y, z\) = \(5, 4, 2\)"),
    "infinity": (put(-np.inf), r"case\.nii\.gz: expected finite values, got 2 NaN or infinite"),
    "beyond float32": (put(1e300), r"case\.nii\.gz: expected finite values, got 2 NaN or infinite"),
    "spacing 0": (
        voxel_size(0),
        r"case\.nii\.gz: expected positive voxel sizes \(pixdim\), got \[0\.0,",
    ),
    "spacing -1": (
        voxel_size(-1),
        r"case\.nii\.gz: expected positive voxel sizes \(pixdim\), got \[-1\.0",
    ),
    "spacing NaN": (voxel_size(np.nan), r"case\.nii\.gz: expected positive voxel sizes .*nan"),
    "sform of 0": (
        voxel_size(0, sform=True),
        r"case\.nii\.gz: expected positive voxel sizes \(columns of sform\), got \[0\.0, 1\.5, 10\.0\]",
    ),
}


HEADER_FAULTS = (
    "missing image",
    "no gzip",
    "not NIfTI",
    "spacing 0",
    "spacing -1",
    "spacing NaN",
    "sform of 0",
)


@pytest.mark.parametrize("fault", HEADER_FAULTS)
def test_a_faulty_header_is_named_when_it_is_read_alone(case: Case, fault: str) -> None:
    break_it, message = FAULTS[fault]
    break_it(case)
    with pytest.raises(DataError, match=message):
        read_thickness(case.images[0])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_named_with_expected_and_got(case: Case, fault: str) -> None:
    break_it, message = FAULTS[fault]
    break_it(case)
    with pytest.raises(DataError, match=message):
        read(case)


def test_what_nibabel_says_of_a_header_is_a_remark_and_not_on_standard_error(
    case: Case, capfd: pytest.CaptureFixture[str]
) -> None:
    poke(case.images[0], 0, struct.pack("<i", 7))
    (remark,) = read(case).remarks
    assert remark.kind == "headers that nibabel complains of"
    assert remark.detail.startswith("case.nii.gz: sizeof_hdr should be 348")
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("trailing", [(1,), (1, 1)])
def test_trailing_axes_of_length_1_are_none(case: Case, trailing: tuple[int, ...]) -> None:
    sound = read(case)
    for path in (case.images[0], label_of(case)):
        values = np.asanyarray(nib.load(path).dataobj)
        save(path, values.reshape(*values.shape, *trailing))
    loaded = read(case)
    assert loaded.remarks == ()
    np.testing.assert_array_equal(loaded.image, sound.image)
    np.testing.assert_array_equal(loaded.label, sound.label)
    assert read_thickness(case.images[0]) == SPACING[::-1]


@pytest.mark.parametrize("thickness", [0, 5])
def test_a_file_of_two_axes_is_one_slice(case: Case, tmp_path: Path, thickness: float) -> None:
    values = np.arange(35, dtype=np.int16).reshape(7, 5)
    path = tmp_path / "flat.nii.gz"
    save(path, values, np.diag([-1.25, -1.5, 1, 1]))
    poke(path, PIXDIM_X + 8, struct.pack("<f", thickness))  # says nothing: there is no such axis
    loaded = read(replace(case, images=(path,), label=None))
    np.testing.assert_array_equal(loaded.image[0, 0], values.T)
    assert loaded.spacing == (1, 1.5, 1.25)
    assert read_thickness(path) == (1.25, 1.5, np.inf)  # so the one slice lies across axis 2


def test_a_difference_within_the_geometry_tolerance_is_accepted(case: Case) -> None:
    affine = np.diag([-1.25, -1.5, 10, 1])
    affine[0, 3] = 0.01
    save(label_of(case), np.ones(SHAPE[::-1], dtype=np.uint8), affine)
    assert read(case).label is not None


def test_a_channel_of_another_grid_is_refused(case: Case, tmp_path: Path) -> None:
    other = tmp_path / "other.nii"
    write_volume(other, np.ones((3, 5, 6), dtype=np.int16), SPACING)
    with pytest.raises(DataError, match=r"other\.nii: expected shape"):
        read(replace(case, images=(case.images[0], other)))


def test_what_cannot_be_read_is_named(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "folder.nii.gz"
    folder.mkdir()
    with pytest.raises(DataError, match=r"folder\.nii\.gz: cannot be read: Is a directory"):
        read(replace(case, images=(folder,)))
    with pytest.raises(DataError, match=r"case\.mha: expected a file ending in \.nii, \.nii\.gz, \.png"):
        read(replace(case, images=(tmp_path / "case.mha",)))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read and write everything")
def test_missing_permissions_are_named(case: Case, tmp_path: Path) -> None:
    case.images[0].chmod(0)
    with pytest.raises(DataError, match=r"case\.nii\.gz: cannot be read: Permission denied"):
        read(case)
