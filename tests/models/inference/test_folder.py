"""New images from a folder: what is a case, what is written, what is refused, and whose geometry it has."""

import logging
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_run import DATA, NATIVE
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor, nn

from rwseg.core.errors import ConfigError, DataError, RunError
from rwseg.models.inference.any_size import AnySizeNetwork
from rwseg.models.inference.folder import new_cases, predict_folder
from rwseg.models.inference.inference_spec import InferenceSpec
from rwseg.models.inference.predictor import Predictor

CLASSES = 4
ORACLE = replace(DATA, preprocessing=replace(NATIVE, crop=True, normalisation="minmax"), patch_size=(8, 6))


class Oracle(nn.Module):
    """Sees the label in the first channel, of values 0 to 1: class k where it is nearest to k / 3."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, image: Tensor) -> list[Tensor]:
        values = image[:, :1] * self.scale
        return [torch.cat([-((values - k) ** 2) * 100 for k in range(CLASSES)], dim=1)]


def oracle(data: InferenceSpec = ORACLE, flips: bool = True) -> Predictor:
    network = AnySizeNetwork(Oracle(), len(data.channels), data.patch_size).eval()
    return Predictor(Path("somewhere"), OmegaConf.create(), data, network, flips)


def blob(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Labels with all classes, and background around a box inside."""
    labels = np.zeros(shape, np.uint8)
    box = tuple(slice(rng.integers(0, side // 3), side - rng.integers(0, side // 3)) for side in shape)
    labels[box] = rng.integers(0, CLASSES, labels[box].shape)
    centre = tuple(side // 2 for side in shape)
    labels[centre] = CLASSES - 1
    labels[centre[0] - 1, *centre[1:]] = 0  # so that the crop holds both ends of the scale
    return labels


def rotation(rng: np.random.Generator) -> np.ndarray:
    orthogonal, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return np.asarray(orthogonal)  # with a reflection in half of the draws


def write(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> nib.Nifti1Image:
    image = nib.Nifti1Image(array, np.diag([1.5, 1.5, 8.0, 1.0]) if affine is None else affine)
    nib.save(image, path)
    return image


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    axis=st.integers(0, 2),
    spacing=st.tuples(*[st.floats(0.3, 9)] * 3),
    shape=st.tuples(*[st.integers(3, 14)] * 3),
    kind=st.sampled_from(["<i2", ">i2", "<f4", "u1"]),
    ending=st.sampled_from([".nii", ".nii.gz"]),
    flips=st.booleans(),
)
def test_what_the_network_returns_comes_back_in_the_files_own_geometry(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    axis: int,
    spacing: tuple[float, ...],
    shape: tuple[int, ...],
    kind: str,
    ending: str,
    flips: bool,
) -> None:
    """Oblique, flipped and anisotropic headers, any slice axis, any crop: same grid, Dice 1."""
    folder, out = tmp_path_factory.mktemp("in"), tmp_path_factory.mktemp("out")
    rng = np.random.default_rng(seed)
    labels = blob(shape, rng)
    affine = np.eye(4)
    affine[:3, :3] = rotation(rng) * spacing
    affine[:3, 3] = rng.normal(0, 100, 3)
    image = nib.Nifti1Image(labels.astype(kind), affine)
    if seed % 2:
        image.set_qform(affine, code=1)
    nib.save(image, folder / f"head{ending}")
    image = nib.load(folder / f"head{ending}")
    predict_folder([oracle(replace(ORACLE, slice_axis=axis), flips)], folder, out, "last", force=False)
    written = nib.load(out / "head.nii.gz")
    assert written.get_data_dtype() == np.uint8
    assert written.shape == image.shape
    np.testing.assert_array_equal(written.affine, image.affine)
    assert written.header.get_zooms() == image.header.get_zooms()
    np.testing.assert_array_equal(written.get_qform(), image.get_qform())
    for code in ("qform_code", "sform_code", "xyzt_units"):
        assert written.header[code] == image.header[code]
    np.testing.assert_array_equal(np.asarray(written.dataobj), labels)


@pytest.mark.parametrize("zoom", [0.5, 1.7])
def test_another_resolution_changes_the_grid_of_no_file(tmp_path: Path, zoom: float) -> None:
    (tmp_path / "in").mkdir()
    labels = np.zeros((30, 40, 4), np.uint8)
    labels[6:24, 8:30] = 1
    labels[20:24, 8:30, 2] = 3
    write(tmp_path / "in" / "a.nii.gz", labels.astype(np.int16))
    preprocessing = replace(ORACLE.preprocessing, zoom=zoom, crop=False)
    predict_folder(
        [oracle(replace(ORACLE, preprocessing=preprocessing))],
        tmp_path / "in",
        tmp_path / "out",
        "last",
        False,
    )
    found = np.asarray(nib.load(tmp_path / "out" / "a.nii.gz").dataobj)
    assert found.shape == labels.shape
    assert (found == labels).mean() > 0.9


@pytest.mark.parametrize("ending", [".png", ".tif", ".bmp"])
def test_pictures_come_back_as_pictures(tmp_path: Path, ending: str) -> None:
    (tmp_path / "in").mkdir()
    labels = blob((20, 13), np.random.default_rng(1))
    Image.fromarray(labels * 80).save(tmp_path / "in" / f"cell_0000{ending}")
    predict_folder([oracle()], tmp_path / "in", tmp_path / "out", "last", force=False)
    written = np.asarray(Image.open(tmp_path / "out" / f"cell{ending}"))
    assert written.dtype == np.uint8
    np.testing.assert_array_equal(written, labels)


def test_channels_of_a_case_are_files_with_suffixes_or_colours(tmp_path: Path) -> None:
    labels = blob((6, 9, 5), np.random.default_rng(2))
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "b_0000.nii.gz", labels.astype(np.int16))
    write(tmp_path / "in" / "b_0001.nii.gz", 7 - labels.astype(np.int16))
    two = replace(ORACLE, channels=("T1", "T2"), files_per_case=2)
    predict_folder([oracle(two)], tmp_path / "in", tmp_path / "out", "last", force=False)
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "out" / "b.nii.gz").dataobj), labels)
    (tmp_path / "rgb").mkdir()
    plane = labels[..., 0]
    plane[0, :4] = range(4)
    Image.fromarray(np.stack([plane * 85, plane, plane], axis=-1)).save(tmp_path / "rgb" / "c.png")
    colours = replace(
        ORACLE, channels=("red", "green", "blue"), preprocessing=replace(ORACLE.preprocessing, crop=False)
    )
    predict_folder([oracle(colours)], tmp_path / "rgb", tmp_path / "out2", "last", force=False)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out2" / "c.png")), plane)


@pytest.mark.parametrize(
    ("names", "files", "expected"),
    [
        (["a.nii.gz", "b_0000.nii", "c_0007.nii.gz", "d_1.nii"], 1, ["a", "b", "c_0007", "d_1"]),
        (["a_0000.nii.gz", "a_0001.nii.gz", "b_0001.nii", "b_0000.nii"], 2, ["a", "b"]),
        (["a_0000.png", "NOTES.txt", ".hidden.png"], 1, ["a"]),
    ],
)
def test_names_make_cases(
    tmp_path: Path, names: list[str], files: int, expected: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    for name in names:
        (tmp_path / name).touch()
    with caplog.at_level(logging.INFO):
        cases = new_cases(tmp_path, replace(DATA, channels=("T1", "T2")[:files], files_per_case=files))
    assert [case.name for case in cases] == expected
    assert all(len(case.images) == files and case.label is None for case in cases)
    assert ("NOTES.txt" in caplog.text) == ("NOTES.txt" in names)
    for case in cases:
        assert [path.name for path in case.images] == sorted(path.name for path in case.images)


@pytest.mark.parametrize(
    ("names", "files", "message"),
    [
        ([], 1, r"expected images \(\.nii, .*\), found none"),
        (["notes.txt"], 1, "expected images"),
        (["a_0000.nii", "a_0001.nii"], 1, r"a: expected the channels _0000 MRI, found _0000, _0001"),
        (["a.nii", "a.nii.gz"], 1, r"a: expected one file of channel 0, found a\.nii, a\.nii\.gz"),
        (["a.png", "a_0000.png"], 1, "a: expected one file of channel 0"),
        (["a_0000.nii", "b_0001.nii"], 2, r"(?s)2 faults:.*a: .*_0000 T1, _0001 T2, found _0000.*b: .*_0001"),
        (["a_0000.nii", "a_0001.nii", "a_0002.nii"], 2, "found _0000, _0001, _0002"),
        (["a.nii"], 2, r"a\.nii: expected a channel before the ending as in a_0000"),
    ],
)
def test_files_that_make_no_case_are_listed(
    tmp_path: Path, names: list[str], files: int, message: str
) -> None:
    for name in names:
        (tmp_path / name).touch()
    channels = ("MRI",) if files == 1 else ("T1", "T2")
    with pytest.raises(DataError, match=message):
        new_cases(tmp_path, replace(DATA, channels=channels, files_per_case=files))


def test_faulty_files_are_listed_and_stop_no_other(tmp_path: Path) -> None:
    images, out = tmp_path / "in", tmp_path / "out"
    images.mkdir()
    write(images / "good.nii.gz", blob((6, 9, 5), np.random.default_rng(3)).astype(np.int16))
    write(images / "four.nii.gz", np.ones((3, 4, 5, 2), np.int16))
    whole = (images / "good.nii.gz").read_bytes()
    (images / "cut.nii.gz").write_bytes(whole[:-20])
    with pytest.raises(
        DataError,
        match=r"(?s)predicted 1 of 3 cases; 2 faults:.*cut\.nii\.gz.*four\.nii\.gz: expected a 3D volume",
    ):
        predict_folder([oracle()], images, out, "last", force=False)
    assert sorted(path.name for path in out.iterdir()) == ["good.nii.gz", "predictions.json"]


def test_a_case_that_cannot_be_prepared_stops_no_other(tmp_path: Path) -> None:
    images, out = tmp_path / "in", tmp_path / "out"
    images.mkdir()
    write(images / "a_empty.nii.gz", np.zeros((4, 5, 6), np.int16))
    write(images / "good.nii.gz", blob((6, 9, 5), np.random.default_rng(3)).astype(np.int16))
    with pytest.raises(DataError, match=r"(?s)predicted 1 of 2 cases; 1 faults:.*a_empty: .*0 everywhere"):
        predict_folder([oracle()], images, out, "last", force=False)
    assert sorted(path.name for path in out.iterdir()) == ["good.nii.gz", "predictions.json"]


def test_what_is_odd_about_new_images_is_said_in_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "abc":
        write(tmp_path / f"{name}.nii.gz", np.full((6, 9, 5), 7 if name != "b" else np.arange(5), np.int16))
    caplog.set_level(logging.WARNING)
    predict_folder([oracle()], tmp_path, tmp_path / "out", "last", force=False)
    assert [record.getMessage() for record in caplog.records] == [
        "odd data: an image of a single value in 2 case(s): a, c; a.nii.gz: 7"
    ]


def test_a_file_that_is_no_image_or_two_of_one_case_are_told(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "b.png"):
        Image.new("L", (9, 6)).save(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"notes\.txt: expected an image"):
        new_cases(tmp_path / "notes.txt", DATA)
    with pytest.raises(DataError, match=r"a: expected one file of channel 0, found a\.bmp, a\.png"):
        new_cases(tmp_path / "a.png", DATA)
    assert [case.name for case in new_cases(tmp_path / "b.png", DATA)] == ["b"]


def test_what_cannot_be_predicted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="output: expected another folder than input"):
        predict_folder([oracle()], tmp_path, tmp_path / ".", "last", force=False)
    with pytest.raises(RunError, match="trained on cases that 'phantom' rewrote"):
        predict_folder([oracle(replace(ORACLE, converted=True))], tmp_path, tmp_path / "out", "last", False)
    with pytest.raises(DataError, match="expected an image or a folder of images, found none"):
        predict_folder([oracle()], tmp_path / "nowhere", tmp_path / "out", "last", force=False)
