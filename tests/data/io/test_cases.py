from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from rwseg.core.errors import DataError
from rwseg.data.case import IGNORE, Case, LoadedCase, Source, plain_labels
from rwseg.data.io.cases import native_image, read_case, slice_axis_of, write_labels
from rwseg.data.io.nifti import write_volume

SHAPE = (4, 6, 5)  # of the file: x, y, z
PLANES = {0: (0, 2, 1), 1: (1, 2, 0), 2: (2, 1, 0)}
"""File axes that become Z, H, W, by hand."""


def source_of(*cases: Case, channels: int = 1, classes: int = 3, **settings: object) -> Source:
    names = tuple(f"class {number}" for number in range(classes))
    channel_names = tuple(f"channel {number}" for number in range(channels))
    source = Source(cases, names, channel_names, plain_labels(classes))
    return replace(source, **settings)  # type: ignore[arg-type]


def case_of(*images: Path, label: Path | None = None, split: str = "train") -> Case:
    return Case("case", "case", "", split, images, label)


def save(path: Path, array: np.ndarray, spacing: tuple[float, float, float] = (1, 1, 1)) -> Path:
    """Write with nibabel itself; `array` has the file's axes."""
    nib.Nifti1Image(array, np.diag([*spacing, 1])).to_filename(path)
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    values = np.arange(120, dtype=np.int16).reshape(SHAPE)
    return save(tmp_path / "image.nii.gz", values, (2.0, 3.0, 5.0))


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_the_slice_axis_comes_first(image: Path, tmp_path: Path, slice_axis: int) -> None:
    values = np.arange(120).reshape(SHAPE)
    label = save(tmp_path / "label.nii", (values % 3).astype(np.uint8), (2.0, 3.0, 5.0))
    loaded = read_case(case_of(image, label=label), source_of(), slice_axis)
    order = PLANES[slice_axis]
    assert loaded.label is not None
    np.testing.assert_array_equal(loaded.image, np.transpose(values, order)[None])
    np.testing.assert_array_equal(loaded.label, np.transpose(values % 3, order))
    np.testing.assert_array_equal(native_image(image, slice_axis), loaded.image)
    assert (loaded.image.dtype, loaded.label.dtype) == (np.float32, np.uint8)
    assert loaded.image.flags.c_contiguous
    assert loaded.label.flags.c_contiguous
    assert loaded.spacing == tuple((2.0, 3.0, 5.0)[axis] for axis in order)


def test_an_axis_of_one_voxel_is_across_the_slices(tmp_path: Path) -> None:
    flat = [save(tmp_path / f"{n}.nii", np.zeros((4, 1, 5), np.uint8), (3.0, 1.0, 9.0)) for n in range(3)]
    deep = save(tmp_path / "deep.nii", np.zeros(SHAPE, np.uint8), (3.0, 1.0, 9.0))
    assert slice_axis_of(source_of(*map(case_of, flat), case_of(deep), slice_axis=None)) == 1
    assert slice_axis_of(source_of(case_of(deep), slice_axis=None)) == 2


def test_an_image_of_a_single_value_is_remarked_on(tmp_path: Path, image: Path) -> None:
    constant = save(tmp_path / "c.nii", np.full(SHAPE, 7, np.int16), (2.0, 3.0, 5.0))
    loaded = read_case(case_of(image, constant), source_of(channels=2, convert=lambda case: case), 2)
    assert loaded.remarks == (("an image of a single value", "c.nii: 7"),)


@pytest.mark.parametrize(
    ("dtype", "factor", "away"), [(np.float32, 0.9999, "2e-04"), (np.float64, 1 + 1e-12, "2e-12")]
)
def test_labels_nearly_whole_are_read_and_said(
    tmp_path: Path, image: Path, dtype: type, factor: float, away: str
) -> None:
    values = np.arange(120).reshape(SHAPE) % 3
    label = save(tmp_path / "label.nii", values.astype(dtype) * dtype(factor), (2.0, 3.0, 5.0))
    loaded = read_case(case_of(image, label=label), source_of(), 2)
    np.testing.assert_array_equal(loaded.label, values.T)
    ((kind, detail),) = loaded.remarks
    assert kind.startswith("labels that are not whole numbers")
    assert detail == f"label.nii: up to {float(away):.1g} away"


def test_a_slope_gives_the_labels_it_stands_for(tmp_path: Path, image: Path) -> None:
    values = np.arange(120).reshape(SHAPE) % 3
    stored = nib.Nifti1Image((values * 127).astype(np.uint8), np.diag([2.0, 3.0, 5.0, 1]))
    stored.header.set_slope_inter(1 / 127, 0)
    stored.to_filename(tmp_path / "label.nii")
    loaded = read_case(case_of(image, label=tmp_path / "label.nii"), source_of(), 2)
    np.testing.assert_array_equal(loaded.label, values.T)


def test_labels_too_far_from_whole_are_refused_with_their_digits(tmp_path: Path, image: Path) -> None:
    values = (np.arange(120).reshape(SHAPE) % 3) * 0.9989999
    label = save(tmp_path / "label.nii", values, (2.0, 3.0, 5.0))
    message = (
        r"label\.nii: expected the labels 0, 1, 2, got 0\.9989999, 1\.998 in 80 voxels, up to 0\.002 from"
    )
    with pytest.raises(DataError, match=message):
        read_case(case_of(image, label=label), source_of(), 2)


def test_another_axis_is_refused(image: Path) -> None:
    with pytest.raises(ValueError, match="slice_axis: expected 0, 1 or 2, got 3"):
        read_case(case_of(image), source_of(), 3)


@pytest.mark.parametrize(
    ("spacings", "axis"),
    [
        ([(1.0, 1.0, 5.0)], 2),
        ([(5.0, 1.0, 1.0), (4.0, 1.0, 1.0), (1.0, 1.0, 9.0)], 0),  # the median, not one odd case
        ([(1.0, 3.0, 1.0)], 1),
        ([(1.0, 1.0, 1.0)], 2),
        ([(3.0, 1.0, 3.0000002)], 2),
        ([(3.0000002, 1.0, 3.0)], 2),  # single precision is no difference
        ([(3.0000002, 3.0, 1.0)], 1),
    ],
)
def test_the_axis_of_the_largest_median_spacing(
    tmp_path: Path, spacings: list[tuple[float, float, float]], axis: int
) -> None:
    zeros = np.zeros(SHAPE, np.uint8)
    cases = [case_of(save(tmp_path / f"{i}.nii", zeros, mm)) for i, mm in enumerate(spacings)]
    test = [case_of(save(tmp_path / f"test{i}.nii", zeros, (9.0, 99.0, 9.0)), split="test") for i in range(9)]
    assert slice_axis_of(source_of(*cases, *test, slice_axis=None)) == axis
    assert slice_axis_of(source_of(*cases, slice_axis=1)) == 1


def test_faulty_headers_are_listed_together(tmp_path: Path, image: Path) -> None:
    missing = [case_of(tmp_path / f"{name}.nii.gz") for name in ("a", "b")]
    with pytest.raises(
        DataError, match=r"(?s)2 faults in 3 cases.*a\.nii\.gz: .*missing.*b\.nii\.gz: .*missing"
    ):
        slice_axis_of(source_of(case_of(image), *missing, slice_axis=None))
    with pytest.raises(DataError, match="no case to train on"):
        slice_axis_of(source_of(case_of(image, split="test"), slice_axis=None))


def test_pictures_have_their_slice_across_axis_2(tmp_path: Path, image: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(picture)
    assert slice_axis_of(source_of(case_of(picture), slice_axis=None)) == 2
    with pytest.raises(
        DataError, match=r"picture\.png: expected a volume with slices across axis 0, got a pict"
    ):
        native_image(picture, 0)
    with pytest.raises(DataError, match=r"picture\.png: expected a volume with slices across axis 1"):
        write_labels(tmp_path / "out.png", np.zeros((5, 1, 4), np.uint8), picture, 1)


def test_label_values_become_classes(tmp_path: Path, image: Path) -> None:
    values = np.array([0, 1, 2, 4, 9], np.int16)[np.arange(120).reshape(SHAPE) % 5]
    label = save(tmp_path / "label.nii", values, (2.0, 3.0, 5.0))
    source = source_of(label_values=((0, 2), (4,), (1,)), ignore=9)
    loaded = read_case(case_of(image, label=label), source, 2)
    meaning = {0: 0, 2: 0, 4: 1, 1: 2, 9: IGNORE}
    expected = np.vectorize(meaning.get)(values).T
    assert loaded.label is not None
    np.testing.assert_array_equal(loaded.label, expected)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, r"expected the labels 0, 1, 2, got 7 in 2 voxels"),
        (-1, r"expected the labels 0, 1, 2, got -1 in 2 voxels"),
        (1.5, r"got 1\.5 in 2 voxels"),
        (np.nan, r"got nan in 2 voxels"),
        (257, r"got 257 in 2 voxels"),  # 1 modulo 256
    ],
)
def test_a_label_value_without_a_class_is_named(
    tmp_path: Path, image: Path, value: float, message: str
) -> None:
    values = np.ones(SHAPE, np.float32)
    values[1, 2, 3] = values[0, 0, 0] = value
    label = save(tmp_path / "label.nii", values, (2.0, 3.0, 5.0))
    with pytest.raises(DataError, match=rf"label\.nii: .*{message}"):
        read_case(case_of(image, label=label), source_of(), 2)


def test_many_unknown_values_are_not_all_listed(tmp_path: Path, image: Path) -> None:
    label = save(tmp_path / "label.nii", np.arange(120, dtype=np.uint8).reshape(SHAPE), (2.0, 3.0, 5.0))
    with pytest.raises(DataError, match=r"got 3, 4, .*12, \.\.\. \(117 values\) in 117 voxels"):
        read_case(case_of(image, label=label), source_of(), 2)


def test_integers_stored_as_floats_and_a_label_without_foreground_are_taken(
    tmp_path: Path, image: Path
) -> None:
    for values in (np.full(SHAPE, 2.0, np.float32), np.zeros(SHAPE, np.float64)):
        label = save(tmp_path / "label.nii", values, (2.0, 3.0, 5.0))
        loaded = read_case(case_of(image, label=label), source_of(), 2)
        assert loaded.label is not None
        np.testing.assert_array_equal(loaded.label, values.T)


def half(loaded: LoadedCase) -> LoadedCase:
    assert loaded.label is not None
    z, y, x = loaded.spacing
    return LoadedCase(loaded.image[..., ::2], loaded.label[..., ::2], (z, y, 2 * x))


def test_a_conversion_follows_the_reading(tmp_path: Path, image: Path) -> None:
    label = save(tmp_path / "label.nii", np.ones(SHAPE, np.uint8), (2.0, 3.0, 5.0))
    case = case_of(image, label=label)
    plain, converted = (read_case(case, source_of(convert=convert), 2) for convert in (None, half))
    np.testing.assert_array_equal(converted.image, plain.image[..., ::2])
    assert converted.spacing == (5.0, 3.0, 4.0)


@pytest.mark.parametrize("channels", [1, 3])
def test_another_number_of_files_than_channels_is_refused(image: Path, channels: int) -> None:
    with pytest.raises(
        DataError, match=rf"case: expected {channels} channels \(channel 0.*\), got 2 in image"
    ):
        read_case(case_of(image, image), source_of(channels=channels), 2)
    with pytest.raises(DataError, match=r"got 0 in no image file"):
        read_case(case_of(), source_of(channels=channels), 2)


def colours(path: Path) -> Path:
    values = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    Image.fromarray(values).save(path)
    return path


def grey(path: Path) -> Path:
    Image.fromarray(np.ones((4, 5), np.uint8)).save(path)
    return path


def test_one_rgb_file_is_three_channels(tmp_path: Path) -> None:
    case = case_of(colours(tmp_path / "rgb.png"), label=grey(tmp_path / "label.png"))
    loaded = read_case(case, source_of(channels=3), 2)
    expected = np.arange(60).reshape(4, 5, 3)
    np.testing.assert_array_equal(loaded.image, np.moveaxis(expected, 2, 0)[:, None])
    assert loaded.label is not None
    np.testing.assert_array_equal(loaded.label, np.ones((1, 4, 5)))
    assert loaded.spacing == (1.0, 1.0, 1.0)


def test_rgb_where_grey_belongs_is_refused(tmp_path: Path) -> None:
    rgb, one = colours(tmp_path / "rgb.png"), grey(tmp_path / "grey.png")
    with pytest.raises(DataError, match=r"rgb\.png: expected grey values .*\(channel 0\) say, got RGB; save"):
        read_case(case_of(rgb), source_of(), 2)
    message = r"rgb\.png: expected grey values for one of the channels \(channel 0.*\), got RGB; convert"
    with pytest.raises(DataError, match=message):
        read_case(case_of(one, rgb, one), source_of(channels=3), 2)
    with pytest.raises(
        DataError, match=r"grey\.png: expected RGB .*channel 1, channel 2\) say, got grey; save"
    ):
        read_case(case_of(one), source_of(channels=3), 2)
    with pytest.raises(DataError, match=r"case: expected 3 channels .* got 2 in grey\.png, grey\.png"):
        read_case(case_of(one, one), source_of(channels=3), 2)
    with pytest.raises(
        DataError, match=r"rgb\.png: expected one label per pixel, got mode RGB; .* as grey or with a pal"
    ):
        read_case(case_of(one, label=rgb), source_of(), 2)


def test_a_label_of_another_size_is_refused(tmp_path: Path) -> None:
    image, label = grey(tmp_path / "image.png"), tmp_path / "label.png"
    Image.fromarray(np.ones((5, 4), np.uint8)).save(label)
    with pytest.raises(DataError, match=r"label\.png: expected 5 x 4 pixels .* as image\.png, got 4 x 5;"):
        read_case(case_of(image, label=label), source_of(), 2)


def test_write_volume_is_read_back_as_it_was(tmp_path: Path) -> None:
    array = np.random.default_rng(1).normal(size=(3, 5, 7)).astype(np.float32)
    write_volume(tmp_path / "volume.nii.gz", array, (10.0, 1.5, 1.25))
    loaded = read_case(case_of(tmp_path / "volume.nii.gz"), source_of(), 2)
    np.testing.assert_array_equal(loaded.image[0], array)
    assert loaded.spacing == (10.0, 1.5, 1.25)
