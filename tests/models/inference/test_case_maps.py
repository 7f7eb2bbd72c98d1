"""Maps of an ensemble, by hand; as files in the images' own grids; and what the command's words mean."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from PIL import Image
from scipy.stats import entropy
from test_folder import ORACLE, blob, oracle, write

from rwseg.commands.predict import as_settings
from rwseg.data.case import LoadedCase
from rwseg.data.io.cases import write_share_map
from rwseg.models.inference.case_maps import case_maps
from rwseg.models.inference.folder import Extras, predict_folder
from rwseg.models.inference.predictor import Predictor, predict_case

NAMED = ['run_dir=["A","B"]', 'input="in put"', 'output="o"']


def member(scale: float) -> Predictor:
    """One that sees classes at other values."""
    predictor = oracle()
    with torch.no_grad():
        predictor.network.network.scale.fill_(scale)
    return predictor


def loaded(seed: int = 0) -> LoadedCase:
    image = np.random.default_rng(seed).random((1, 3, 17, 11), dtype=np.float32) + 0.01
    return LoadedCase(image, None, (5.0, 1.0, 2.0))


def test_maps_of_an_ensemble_are_what_numpy_makes_of_its_members() -> None:
    members = [member(3.0), member(2.4), member(3.3)]
    maps = case_maps(members, loaded())
    each = np.stack([case_maps([one], loaded()).probabilities for one in members])  # (M, K, Z, H, W)
    mean = each.mean(0)
    np.testing.assert_allclose(maps.probabilities, mean, atol=1e-6)
    np.testing.assert_array_equal(maps.labels, predict_case(members, loaded()))
    np.testing.assert_allclose(maps.entropy, entropy(mean, axis=0, base=4), atol=1e-5)
    differs = each.argmax(1) != maps.labels
    np.testing.assert_allclose(maps.disagreement, differs.mean(0), atol=1e-6)
    assert 0 < differs.mean() < 1
    assert case_maps(members[:1], loaded()).disagreement is None


def test_certain_and_uniform_pixels_have_entropy_0_and_1() -> None:
    certain = case_maps(
        [member(3.0)], LoadedCase(np.eye(9, 7, dtype=np.float32)[None, None] + 0, None, (1, 1, 1))
    )
    assert certain.entropy.min() == pytest.approx(0, abs=1e-6)
    flat = member(0.0)
    flat.network.network.forward = lambda image: [torch.zeros(len(image), 4, *image.shape[2:])]
    assert case_maps([flat], loaded()).entropy == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_map_has_the_grid_of_its_image(tmp_path: Path, axis: int) -> None:
    affine = np.diag([1.5, -0.7, 8.0, 1.0])
    write(tmp_path / "a.nii.gz", np.ones((4, 6, 5), np.int16), affine)
    shape = np.moveaxis(np.empty((4, 6, 5)), axis, -1).T.shape
    values = np.random.default_rng(0).random(shape, dtype=np.float32)
    write_share_map(tmp_path / "map.nii.gz", values, tmp_path / "a.nii.gz", axis)
    found = nib.load(tmp_path / "map.nii.gz")
    np.testing.assert_array_equal(found.affine, nib.load(tmp_path / "a.nii.gz").affine)
    np.testing.assert_array_equal(np.moveaxis(found.get_fdata(dtype=np.float32), axis, -1).T, values)


def test_a_map_of_a_picture_is_a_grey_png(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((5, 8), np.uint8)).save(tmp_path / "a.bmp")
    values = np.linspace(0, 1, 40, dtype=np.float32).reshape(1, 5, 8)
    write_share_map(tmp_path / "map.png", values, tmp_path / "a.bmp", 2)
    np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "map.png")) / 255, values[0], atol=0.5 / 255)


def test_extras_are_written_before_the_labels_that_say_a_case_is_done(tmp_path: Path) -> None:
    write(tmp_path / "a.nii.gz", np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    seen = []

    def extras(case: object, image: LoadedCase, maps: object) -> None:
        seen.append((tmp_path / "out" / "a.nii.gz").exists())

    wanted = Extras(extras, lambda case: [])
    predict_folder([oracle(ORACLE)], tmp_path, tmp_path / "out", "last", force=False, extras=wanted)
    assert seen == [False]
    assert (tmp_path / "out" / "a.nii.gz").exists()


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["RUN", "in", "-o", "out"], ['run_dir="RUN"', 'input="in"', 'output="out"']),
        (
            ["A", "B", "in put", "--overlays", "-o", "o", "checkpoint=best", "--force"],
            [
                'run_dir=["A","B"]',
                'input="in put"',
                'output="o"',
                "overlays=true",
                "force=true",
                "checkpoint=best",
            ],
        ),
        (["run_dir=A", "input=B", "output=C"], ["run_dir=A", "input=B", "output=C"]),
        (
            ["--overlays", "RUN", "in", "--output=out"],
            ['run_dir="RUN"', 'input="in"', 'output="out"', "overlays=true"],
        ),
        (["RUN", "in", "-o", "a=1"], ['run_dir="RUN"', 'input="in"', 'output="a=1"']),
        (
            ["RUN", "in", "-o", "o", "--cfg", "job"],
            ['run_dir="RUN"', 'input="in"', 'output="o"', "--cfg", "job"],
        ),
        (["--help"], ["--help"]),
        ([], []),
    ],
)
def test_paths_without_names_are_settings(words: list[str], settings: list[str]) -> None:
    found = as_settings(words)
    assert found == settings
    OmegaConf.from_dotlist([word for word in found if "=" in word])


@pytest.mark.parametrize("name", ["Zoë/käfer", "a b", 'say "so"', "back\\slash", "${x}", "[a,b]"])
def test_hydra_reads_any_path_as_it_is(name: str) -> None:
    found = OverridesParser.create().parse_overrides(as_settings([name, "B", name, "-o", name]))
    values = {one.key_or_group: one.value() for one in found}
    assert values == {"run_dir": [name, "B"], "input": name, "output": name}


def test_a_path_apart_from_the_others_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        as_settings(["R1", "R2", "-o", "out", "images"])
    assert "expected RUN [RUN ...] INPUT in a row, got images apart from them" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["RUN", "in"], ["RUN", "-o", "out"]])
def test_what_is_missing_is_said(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        as_settings(words)
    assert "the following arguments are required" in capsys.readouterr().err


def test_an_image_alone_is_predicted_with_its_other_channels(tmp_path: Path) -> None:
    images, out = tmp_path / "in", tmp_path / "out"
    images.mkdir()
    labels = {name: blob((6, 9, 5), np.random.default_rng(seed)) for seed, name in enumerate("ab")}
    for name, label in labels.items():
        write(images / f"{name}_0000.nii.gz", label.astype(np.int16))
        write(images / f"{name}_0001.nii.gz", np.ones((6, 9, 5), np.int16))
    (images / "c_0000.nii.gz").touch()  # a case without its second file is no matter
    data = replace(ORACLE, channels=("T1", "T2"), files_per_case=2)
    for name in ("b_0000.nii.gz", "b_0001.nii.gz"):
        predict_folder([oracle(data)], images / name, out, "last", force=True)
        assert sorted(path.name for path in out.iterdir()) == ["b.nii.gz", "predictions.json"]
        np.testing.assert_array_equal(np.asarray(nib.load(out / "b.nii.gz").dataobj), labels["b"])
