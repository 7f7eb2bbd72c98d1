import gzip
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rwseg.core.errors import DataError
from rwseg.data.case import Case, Source, plain_labels
from rwseg.data.io.cases import label_ending, read_case, write_labels
from rwseg.data.io.nifti import write_nifti_labels, write_volume

SHAPE = (3, 5, 7)
PLANES = {0: (0, 2, 1), 1: (1, 2, 0), 2: (2, 1, 0)}
"""File axes that become Z, H, W, by hand."""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.int16)
    write_volume(tmp_path / "image.nii.gz", values, (10.0, 1.5, 1.25))
    return tmp_path / "image.nii.gz"


def picture(path: Path) -> Path:
    """Four rows of five pixels in colour."""
    Image.fromarray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3)).save(path)
    return path


def oblique(tmp_path: Path, endianness: str) -> Path:
    """An int16 image with its own qform and sform, odd codes, units, slope, window and extension."""
    c, s = np.cos(0.3), np.sin(0.3)
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rotation * [1.25, 1.5, 10]
    affine[:3, 3] = -120.5, 33.25, 7
    header = nib.Nifti1Header(endianness=endianness)
    image = nib.Nifti1Image(np.arange(105, dtype=np.int16).reshape(7, 5, 3), affine, header)
    image.set_qform(affine, code=3)
    sform = affine.copy()
    sform[:3, 3] += 0.5
    image.set_sform(sform, code=4)
    image.header.set_xyzt_units("mm", "sec")
    image.header["cal_max"] = 2000
    image.header.set_slope_inter(2.0, 1.0)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"name of the patient"))
    image.to_filename(tmp_path / "source.nii.gz")
    return tmp_path / "source.nii.gz"


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("name", ["prediction.nii.gz", "prediction.nii"])
def test_written_labels_keep_the_geometry_of_their_source(tmp_path: Path, name: str, endianness: str) -> None:
    source = oblique(tmp_path, endianness)
    labels = np.random.default_rng(1).integers(0, 4, SHAPE).astype(np.uint8)
    write_labels(tmp_path / name, labels, like=source, slice_axis=2)
    got, want = nib.load(tmp_path / name), nib.load(source)
    np.testing.assert_array_equal(np.asanyarray(got.dataobj).T, labels)
    assert got.get_data_dtype() == np.uint8
    for kind in ("get_qform", "get_sform"):
        (got_affine, got_code), (want_affine, want_code) = getattr(got, kind)(True), getattr(want, kind)(True)
        np.testing.assert_array_equal(got_affine, want_affine)
        assert got_code == want_code
    assert got.header.get_zooms() == want.header.get_zooms()
    assert got.header.get_xyzt_units() == want.header.get_xyzt_units()
    assert (got.header["cal_max"], len(got.header.extensions)) == (0, 0)
    stored = (tmp_path / name).read_bytes()
    assert len(gzip.decompress(stored) if name.endswith(".gz") else stored) == 352 + labels.size
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, source.name])


def test_writing_twice_gives_the_same_bytes_and_replaces_the_file(image: Path, tmp_path: Path) -> None:
    labels = np.ones(SHAPE, dtype=np.uint8)
    path = tmp_path / "out.nii.gz"
    path.write_bytes(b"older")
    write_labels(path, labels, like=image, slice_axis=2)
    first = path.read_bytes()
    write_labels(path, labels, like=image, slice_axis=2)
    assert path.read_bytes() == first
    assert gzip.decompress(first)[352:] == b"\x01" * 105


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.ones(SHAPE, dtype=np.int64), r"labels: expected uint8 \(Z, H, W\), got int64"),
        (
            np.ones(SHAPE[::-1], dtype=np.uint8),
            r"labels: expected shape \(x, y, z\) \(7, 5, 3\) .* got \(3, 5, 7\)",
        ),
    ],
)
def test_labels_of_another_type_or_shape_are_refused(
    image: Path, tmp_path: Path, labels: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_labels(tmp_path / "out.nii.gz", labels, like=image, slice_axis=2)
    assert not (tmp_path / "out.nii.gz").exists()


def test_a_failed_write_is_named_and_leaves_nothing(image: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.nii.gz"
    target.mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match=r"out\.nii\.gz: cannot be written"):
        write_labels(target, np.ones(SHAPE, dtype=np.uint8), like=image, slice_axis=2)
    assert sorted(tmp_path.iterdir()) == before
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"out\.nii\.gz: cannot be written"):
        write_labels(
            tmp_path / "file" / "out.nii.gz",
            np.ones(SHAPE, dtype=np.uint8),
            like=image,
            slice_axis=2,
        )


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif", ".tiff"])
def test_labels_of_a_picture_are_a_picture(tmp_path: Path, ending: str) -> None:
    like = picture(tmp_path / f"image{ending}")
    labels = np.arange(20, dtype=np.uint8).reshape(1, 4, 5)
    path = tmp_path / f"label{label_ending(like)}"
    write_labels(path, labels, like, 2)
    assert path.suffix == ending
    with Image.open(path) as written:
        assert written.mode == "L"
        np.testing.assert_array_equal(np.asarray(written), labels[0])
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([path.name, like.name])


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("out.png", (1, 5, 4), r"labels: expected shape \(x, y, z\) \(5, 4, 1\)"),
        ("out.png", (2, 4, 5), r"labels: expected shape"),
        ("out.png", (4, 5), r"labels: expected uint8 \(Z, H, W\), got uint8 of shape \(4, 5\)"),
        ("out.nii.gz", (1, 4, 5), r"path: expected .*\.png"),
    ],
)
def test_labels_that_do_not_fit_the_picture_are_refused(
    tmp_path: Path, name: str, shape: tuple[int, ...], message: str
) -> None:
    like = picture(tmp_path / "image.png")
    with pytest.raises(ValueError, match=message):
        write_labels(tmp_path / name, np.zeros(shape, np.uint8), like, 2)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("slice_axis", [0, 2])
def test_converted_labels_keep_their_shape_and_the_affine(
    tmp_path: Path, image: Path, slice_axis: int
) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (2, 8, 9)).astype(np.uint8)
    path = tmp_path / "out.nii.gz"
    with pytest.raises(ValueError, match="labels: expected shape"):
        write_labels(path, labels, image, slice_axis)
    write_labels(path, labels, image, slice_axis, converted=True)
    written = nib.load(path)
    order = PLANES[slice_axis]
    np.testing.assert_array_equal(np.transpose(np.asanyarray(written.dataobj), order), labels)
    np.testing.assert_array_equal(written.affine, nib.load(image).affine)


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    """Product of the rotations about x, y and z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        first, second = (other for other in range(3) if other != axis)
        turn = np.eye(3)
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


angle = st.floats(-np.pi, np.pi)
size = st.floats(0.1, 12)
sign = st.sampled_from([-1.0, 1.0])
offset = st.floats(-500, 500)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    angles=st.tuples(*[angle] * 3),
    sizes=st.tuples(*[size] * 3),
    signs=st.tuples(*[sign] * 3),
    origin=st.tuples(*[offset] * 3),
    codes=st.sampled_from([(0, 1), (1, 0), (1, 1), (2, 4), (0, 0)]),
    slice_axis=st.sampled_from([0, 1, 2]),
    ending=st.sampled_from([".nii", ".nii.gz"]),
    seed=st.integers(0, 999),
)
def test_labels_come_back_in_the_grid_of_any_image(
    shape: tuple[int, int, int],
    angles: tuple[float, float, float],
    sizes: tuple[float, float, float],
    signs: tuple[float, float, float],
    origin: tuple[float, float, float],
    codes: tuple[int, int],
    slice_axis: int,
    ending: str,
    seed: int,
) -> None:
    """Oblique, flipped and anisotropic headers, whichever of qform and sform holds them."""
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles) * np.multiply(sizes, signs)
    affine[:3, 3] = origin
    qform_code, sform_code = codes
    written = nib.Nifti1Image(np.zeros(shape, np.int16), affine)
    written.set_qform(affine if qform_code else None, qform_code)
    written.set_sform(affine if sform_code else None, sform_code)
    labels = np.random.default_rng(seed).integers(0, 3, np.take(shape, PLANES[slice_axis])).astype(np.uint8)
    with TemporaryDirectory() as folder:
        image, path = Path(folder, "image.nii.gz"), Path(folder, f"label{ending}")
        written.to_filename(image)
        write_labels(path, labels, image, slice_axis)
        got, want = nib.load(path), nib.load(image)
        assert (got.shape, got.get_data_dtype()) == (shape, np.uint8)
        np.testing.assert_allclose(got.affine, want.affine, rtol=0, atol=1e-6)
        assert [int(got.header[key]) for key in ("qform_code", "sform_code")] == [*codes]
        case = Case("case", "case", "", "train", (image,), path)
        loaded = read_case(case, Source((case,), ("a", "b", "c"), ("image",), plain_labels(3)), slice_axis)
    assert loaded.label is not None
    np.testing.assert_array_equal(loaded.label, labels)
    np.testing.assert_allclose(loaded.spacing, np.take(sizes, PLANES[slice_axis]), rtol=1e-5)


def test_another_file_type_is_refused(image: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"out\.mha: expected a file ending in \.nii or \.nii\.gz"):
        write_labels(tmp_path / "out.mha", np.ones(SHAPE, np.uint8), image, 2)
    assert not (tmp_path / "out.mha").exists()


@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 1), (7, 5, 3, 1)])
def test_labels_are_written_in_the_shape_of_their_image(tmp_path: Path, shape: tuple[int, ...]) -> None:
    image, path = tmp_path / "image.nii", tmp_path / "label.nii"
    nib.Nifti1Image(np.zeros(shape, np.int16), np.eye(4)).to_filename(image)
    labels = np.arange(np.prod(shape)).reshape(*shape, 1)[:, :, :3].reshape(7, 5, -1).astype(np.uint8)
    write_nifti_labels(path, labels, image, same_shape=True)
    assert nib.load(path).shape == shape
    np.testing.assert_array_equal(np.asanyarray(nib.load(path).dataobj).reshape(labels.shape), labels)
