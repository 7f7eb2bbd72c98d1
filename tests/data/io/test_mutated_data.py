"""Damaged data sets, by the thousand: each is read as what its file says, or an error names it."""

import json
import shutil
from functools import partial
from pathlib import Path

import mutations as damage
import nibabel as nib
import numpy as np
import pytest
from nnunet_tree import folds, write_tree
from PIL import Image

from rwseg.commands.doctor import main as doctor
from rwseg.core.errors import DataError
from rwseg.data.case import Case, Source, plain_labels
from rwseg.data.datasets.acdc import load as load_acdc
from rwseg.data.datasets.nnunet import NNUNET
from rwseg.data.io.cases import read_case, slice_axis_of
from rwseg.data.preprocessing.prepared import Prepared, open_prepared

pytestmark = pytest.mark.slow

COUNT = 150
CSV = damage.either(damage.words_changed, damage.bytes_changed)
JSON = damage.either(damage.values_changed, damage.values_changed, damage.bytes_changed)
ANY_GZ = damage.either(damage.bytes_changed, damage.inside_gzip(damage.bytes_changed))

FILES: dict[str, tuple[str, damage.Mutation]] = {
    "header of an image": ("image.nii", damage.header_changed),
    "body of an image": ("image.nii", damage.bytes_changed),
    "header of a label": ("label.nii", damage.header_changed),
    "compressed header": ("image.nii.gz", damage.inside_gzip(damage.header_changed)),
    "compressed image": ("image.nii.gz", ANY_GZ),
    "header of a scaled image": ("scaled.nii", damage.header_changed),
    "PNG": ("image.png", damage.either(damage.bytes_changed, damage.inside_png)),
    "PNG with a palette": ("label.png", damage.either(damage.bytes_changed, damage.inside_png)),
    "TIFF": ("image.tif", damage.bytes_changed),
    "compressed TIFF": ("packed.tif", damage.bytes_changed),
    "BMP": ("image.bmp", damage.bytes_changed),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound file of each kind."""
    folder, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    image, label = (
        rng.integers(0, 200, (6, 5, 4)).astype(np.int16),
        rng.integers(0, 3, (6, 5, 4)).astype(np.uint8),
    )
    volume = nib.Nifti1Image(image, np.diag([1.5, 1.5, 8, 1]))
    for name in ("image.nii", "image.nii.gz"):
        volume.to_filename(folder / name)
    volume.header.set_slope_inter(0.5, -3)
    volume.to_filename(folder / "scaled.nii")
    nib.Nifti1Image(label, volume.affine).to_filename(folder / "label.nii")
    plane = Image.fromarray(image[..., 0].astype(np.uint8))
    for name in ("image.png", "image.bmp", "image.tif"):
        plane.save(folder / name)
    plane.save(folder / "packed.tif", compression="tiff_adobe_deflate")
    indices = Image.fromarray(label[..., 0]).convert("P")
    indices.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0] + [0] * 759)
    indices.save(folder / "label.png")
    return folder


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_image_is_read_or_named(folder: Path, kind: str) -> None:
    name, mutation = FILES[kind]
    label = folder / name if name.startswith("label") else None
    image = folder / f"image{Path(name).suffix}" if label else folder / name
    case = Case("case", "case", "", "train", (image,), label)
    source = Source((case,), ("background", "a", "b"), ("MRI",), plain_labels(3), slice_axis=None)

    def read() -> None:
        read_case(case, source, slice_axis_of(source))

    found = damage.outcomes(read, folder / name, mutation, COUNT)
    assert found["refused"] > COUNT // 10


@pytest.mark.parametrize("name", ["dataset.json", "splits_final.json"])
def test_a_damaged_description_is_read_or_named(tmp_path: Path, name: str) -> None:
    root = write_tree(tmp_path / "tree", channels=1)
    (root / "splits_final.json").write_text(json.dumps(folds("ab", "cd", "e")))
    found = damage.outcomes(lambda: NNUNET.load(root), root / name, JSON, COUNT)
    assert found["refused"] > COUNT // 2


def test_a_damaged_info_is_read_or_named(phantom_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "acdc"
    shutil.copytree(phantom_root, root)
    path = next(root.rglob("Info.cfg"))
    found = damage.outcomes(lambda: load_acdc(root), path, CSV, COUNT)
    assert found["refused"] > COUNT // 10


@pytest.mark.parametrize("part", ["manifest.json", "image/case0.npy", "label/case0.npy"])
def test_damaged_prepared_data_is_read_or_named(small: Prepared, part: str) -> None:
    cases = [Case(e.name, e.subject, e.phase, e.split, (), None) for e in small.entries]

    def read() -> None:
        opened = open_prepared(small.folder, small.root, cases)
        for entry in opened.entries:
            opened.image(entry), opened.label(entry), opened.reference(entry)
        opened.split("train"), opened.split_digest(), opened.has_ignored

    path = small.folder / part
    mutation = JSON if path.suffix == ".json" else partial(damage.bytes_changed, within=128)
    found = damage.outcomes(read, path, mutation, COUNT, named=small.folder.name)
    assert found["refused"] > COUNT // 10


@pytest.mark.parametrize(
    ("name", "mutation"),
    [
        ("imagesTr/a_0000.nii.gz", damage.inside_gzip(damage.header_changed)),
        ("labelsTr/a.nii.gz", ANY_GZ),
        ("dataset.json", damage.values_changed),
    ],
)
def test_the_doctor_names_what_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, mutation: damage.Mutation
) -> None:
    """The command itself, on a few; without a split to validate on it never comes to timing a training."""
    root = write_tree(tmp_path / "tree", channels=1)
    asked = ["dataset=nnunet", f"dataset.root={root}", "dataset.fold=null", "workers=1", "trainer=cpu"]
    folders = [f"{key}={tmp_path / key}" for key in ("output_root", "prepared_root")]

    def command() -> None:
        assert doctor(["-o", str(tmp_path / "sheet.png"), *asked, *folders]) == 1
        told = capsys.readouterr().out
        if told.count("fault ") > 1 or "cases:" not in told:
            raise DataError(told)

    found = damage.outcomes(command, root / name, mutation, 8)
    assert found["refused"] > 0
