"""`rwseg.load_run` (contract C8): arrays and files of any size, predicted as evaluate.py predicts files."""

import logging
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made_run import NATIVE, make_run
from monai.data import MetaTensor
from PIL import Image

import rwseg
from rwseg.core.errors import DataError, RunError
from rwseg.data.preprocessing.config import FittedPreprocessing
from rwseg.experiments.composition import compose
from rwseg.experiments.config.schema import EvaluateConfig, TrainConfig
from rwseg.experiments.config.validation import check
from rwseg.experiments.evaluation import evaluate_run
from rwseg.models.inference.any_size import AnySizeNetwork
from rwseg.models.inference.predictor import Predictor

SPACING = (6.0, 0.8, 1.4)
RGB = {"channels": ("red", "green", "blue"), "files_per_case": 1}
IN_MM = replace(NATIVE, crop=True, spacing=(1.3, 1.1), normalisation="zscore_nonzero")


@pytest.fixture(scope="module")
def predictor_in_mm(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return rwseg.load_run(make_run(tmp_path_factory.mktemp("run"), ["model.features=4"], preprocessing=IN_MM))


def predicted_files(run: Path, images: Path, output: Path) -> Path:
    cfg, _ = compose("evaluate", [f"run_dir={run}", "trainer=cpu", f"input={images}", f"output={output}"])
    return evaluate_run(check(cfg, EvaluateConfig))


def volume(shape: tuple[int, ...] = (5, 37, 45), seed: int = 0) -> np.ndarray:
    """Smooth noise with a margin of zeros, so that predictions have regions and a crop something to cut."""
    noise = torch.rand((1, 1, *shape), generator=torch.Generator().manual_seed(seed))
    smooth = F.avg_pool3d(noise, (1, 5, 5), stride=1, padding=(0, 2, 2))[0, 0].numpy()
    smooth[:, :3] = smooth[:, :, -4:] = 0
    return smooth


@pytest.mark.parametrize(
    "preprocessing",
    [
        IN_MM,
        replace(NATIVE, zoom=0.5, interpolation="area"),
        replace(NATIVE, center_crop=(30, 60), spacing=(1.0, 1.0), normalisation="minmax"),
        replace(NATIVE, size=(41, 29)),
    ],
    ids=["mm", "half", "centre", "size"],
)
def test_an_array_is_predicted_as_the_command_predicts_its_file(
    preprocessing: FittedPreprocessing, tiny: list[str], tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run", [*tiny, "evaluation.flips=true"], preprocessing=preprocessing)
    array = volume()
    path = tmp_path / "images" / "heart.nii.gz"
    path.parent.mkdir()
    nib.save(nib.Nifti1Image(array.T, np.diag([*SPACING[::-1], 1])), path)
    written = predicted_files(run, path.parent, tmp_path / "out") / path.name
    expected = np.asarray(nib.load(written).dataobj).T
    assert len(np.unique(expected)) > 1
    predictor = rwseg.load_run(str(run))
    np.testing.assert_array_equal(predictor.predict(array[None], SPACING), expected)
    np.testing.assert_array_equal(predictor.predict(path), expected)
    if preprocessing.spacing == IN_MM.spacing:
        assert (predictor.predict(array[None], (6.0, 1.4, 0.8)) != expected).any()


def test_the_label_maps_of_a_split_are_those_of_its_arrays(
    tiny: list[str], tmp_path: Path, phantom_root: Path
) -> None:
    run = make_run(tmp_path / "run", tiny, preprocessing=IN_MM)
    cfg, _ = compose("evaluate", [f"run_dir={run}", "trainer=cpu", "overlays=0"])
    predictor = rwseg.load_run(run)
    paths = sorted((evaluate_run(check(cfg, EvaluateConfig)) / "predictions").iterdir())
    for path in paths[:2]:
        source = nib.load(phantom_root / "training" / path.name.split("_")[0] / path.name)
        z, y, x = source.header.get_zooms()[::-1]
        assert z > 2 * y
        labels = predictor.predict(np.asarray(source.dataobj).T[None], (z, y, x))
        np.testing.assert_array_equal(labels, np.asarray(nib.load(path).dataobj).T)


def test_a_picture_is_predicted_as_the_command_predicts_its_file(tiny: list[str], tmp_path: Path) -> None:
    values = (0, 80, 160, 240)
    run = make_run(tmp_path / "run", tiny, **RGB, preprocessing=replace(NATIVE, zoom=0.7), written=values)
    path = tmp_path / "images" / "cells.png"
    path.parent.mkdir()
    colours = (volume((3, 71, 53)) * 255).astype(np.uint8)
    Image.fromarray(colours.transpose(1, 2, 0)).save(path)
    written = predicted_files(run, path.parent, tmp_path / "out") / path.name
    predictor = rwseg.load_run(run)
    expected = np.asarray(Image.open(written)) // 80
    assert (len(np.unique(expected)) > 1, expected.shape) == (True, (71, 53))
    for image in (colours, path, str(path), [path], torch.from_numpy(colours), colours.astype(np.int32)):
        labels = predictor.predict(image)
        np.testing.assert_array_equal(labels, expected)
        assert labels.dtype == np.uint8


def test_one_file_per_channel_in_the_axes_of_the_run(tiny: list[str], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tiny, channels=("T1", "T2"), files_per_case=2, slice_axis=0)
    array = np.stack([volume(seed=0), volume(seed=1)])
    paths = [tmp_path / "t1.nii", tmp_path / "t2.nii"]
    for path, channel in zip(paths, array, strict=True):
        nib.save(nib.Nifti1Image(channel.transpose(0, 2, 1), np.eye(4)), path)  # slices across x
    predictor = rwseg.load_run(run)
    np.testing.assert_array_equal(predictor.predict(paths), predictor.predict(array))
    with pytest.raises(DataError, match=r"t1\.nii: expected 2 channels \(T1, T2\), got 1 in t1\.nii"):
        predictor.predict(paths[0])


def test_probabilities_sum_to_one_and_are_largest_where_predicted(tiny: list[str], tmp_path: Path) -> None:
    predictor = rwseg.load_run(make_run(tmp_path / "run", tiny, preprocessing=IN_MM))
    array = volume()
    for image, spacing in ((array[None], SPACING), (array[None, 2], SPACING[1:])):
        scores = predictor.probabilities(image, spacing)
        assert (scores.dtype, scores.shape) == (np.float32, (4, *image.shape[1:]))
        np.testing.assert_allclose(scores.sum(0), 1, atol=1e-5)
        np.testing.assert_array_equal(scores.argmax(0), predictor.predict(image, spacing))
        assert (scores[0, ..., :3, :] == 1).all()  # cut off by the preprocessing
    tensor = MetaTensor(torch.from_numpy(array[None])).requires_grad_()
    np.testing.assert_array_equal(
        predictor.probabilities(tensor, SPACING), predictor.probabilities(array[None], SPACING)
    )


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (37, 45), (64, 30), (32, 48)])
def test_the_network_takes_images_of_any_size(size: tuple[int, int], tiny: list[str], tmp_path: Path) -> None:
    network = rwseg.load_run(make_run(tmp_path / "run", tiny)).network
    assert not any(module.training for module in network.modules())
    images = torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(0))
    height, width = (side + -side % 4 for side in size)
    if (height, width) == (4, 4):  # a bottleneck of one pixel has no variance
        width = 8
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    padded = torch.zeros(2, 1, height, width)
    padded[..., top : top + size[0], left : left + size[1]] = images
    with torch.no_grad():
        logits = network(images)
        expected = network.network(padded)[0][..., top : top + size[0], left : left + size[1]]
    assert logits.shape == (2, 4, *size)
    torch.testing.assert_close(logits, expected)
    images.requires_grad_()
    assert torch.autograd.grad(network(images).square().sum(), images)[0].abs().sum() > 0


def test_any_other_network_gets_multiples_of_its_patch() -> None:
    seen = []

    class Echo(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
            seen.append(tuple(images.shape))
            return [images]

    network = AnySizeNetwork(Echo(), channels=2, patch_size=(20, 30))
    for size in ((21, 7), (5, 30)):
        images = torch.randn(1, 2, *size)
        torch.testing.assert_close(network(images), images)
    assert seen == [(1, 2, 40, 30), (1, 2, 20, 30)]


def test_what_the_run_was_is_at_hand(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = [override for override in tiny if not override.startswith(("dataset.patch", "dataset.batch"))]
    overrides = [*planned, "dataset=acdc", "model=acdc", "dataset.plan=auto", "schedule=small"]
    make_run(tmp_path / "run", overrides, pools=((2, 2), (2, 1)), patch_size=(16, 24), batch_size=7)
    monkeypatch.setenv("HOME", str(tmp_path))
    run = rwseg.load_run("~/run", checkpoint="best", device="cpu")
    assert isinstance(run.config, TrainConfig)
    assert (run.config.dataset.patch_size, run.config.dataset.batch_size) == ([16, 24], 7)
    assert run.config.model.pools == [[2, 2], [2, 1]]
    assert run.classes == ("background", "RV", "myocardium", "LV")
    assert repr(run) == f"Predictor('{tmp_path}/run': MRI -> background, RV, myocardium, LV; on cpu)"
    last = rwseg.load_run(tmp_path / "run")
    assert (run.predict(volume()[None], SPACING) != last.predict(volume()[None], SPACING)).any()


@pytest.mark.parametrize(
    ("image", "spacing", "message"),
    [
        (
            np.zeros((9, 9)),
            None,
            r"expected shape \(1, H, W\) or \(1, Z, H, W\), .* got \(9, 9\); an axis",
        ),
        (np.zeros((5, 9, 9)), None, r"with 1 channel \(MRI\), got \(5, 9, 9\)"),
        (np.zeros((1, 0, 9)), None, r"got \(1, 0, 9\)"),
        (np.zeros((1, 1, 2, 9, 9)), None, r"got \(1, 1, 2, 9, 9\)"),
        (np.full((1, 9, 9), np.nan), None, r"image: expected finite values, got 81 NaN or infinite"),
        (np.full((1, 9, 9), 1e39), None, r"image: expected finite values, got 81 NaN or infinite"),
        (np.zeros((1, 9, 9), complex), None, r"expected integer or floating values, got complex128"),
        (np.ones((1, 9, 9)), (1, 1, 1), r"spacing: expected 2 values .* got 3"),
        (np.ones((1, 2, 9, 9)), (1, 1), r"spacing: expected 3 values .* got 2"),
        (np.ones((1, 2, 9, 9)), (1, 0, 1), r"spacing: expected positive finite"),
        (
            np.ones((1, 9, 9)),
            None,
            r"mm per axis \(y, x\), because .* resamples to 1.3 x 1.1 mm, got N",
        ),
        ("heart.nii.gz", (1, 1, 1), r"spacing: expected None for a file, which has its own, got \(1, 1, 1\)"),
    ],
)
def test_arrays_that_do_not_fit_the_run_are_refused(
    image: np.ndarray | str, spacing: tuple[float, ...] | None, message: str, predictor_in_mm: Predictor
) -> None:
    with pytest.raises(ValueError, match=message):
        predictor_in_mm.predict(image, spacing)


def test_what_is_no_image_is_refused(
    predictor_in_mm: Predictor, tiny: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for nothing, name in (([[1.0]], "list"), (None, "NoneType"), ([], "list")):
        with pytest.raises(TypeError, match=f"a file or one file per channel, got {name}"):
            predictor_in_mm.predict(nothing)
    with pytest.raises(DataError, match=r"none\.nii\.gz: this file is missing"):
        predictor_in_mm.predict(tmp_path / "none.nii.gz")
    with pytest.raises(DataError, match="got an image of 0 everywhere"):
        predictor_in_mm.predict(np.zeros((1, 9, 9)), (1, 1))
    with pytest.raises(ValueError, match=r"images: expected a floating tensor \(B, 1, H, W\), got .*int64"):
        predictor_in_mm.network(torch.zeros(1, 1, 8, 8, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"images: expected .* got torch.float32 \(1, 2, 8, 8\)"):
        predictor_in_mm.network(torch.zeros(1, 2, 8, 8))
    with pytest.raises(ValueError, match="checkpoint: expected one of last, best, got 'first'"):
        rwseg.load_run(tmp_path, checkpoint="first")
    converted = rwseg.load_run(make_run(tmp_path / "converted", tiny, converted=True))
    with pytest.raises(RunError, match="converted: was trained on cases that 'phantom' rewrote"):
        converted.predict(tmp_path / "heart.nii.gz")
    assert converted.predict(volume()[None]).shape == (5, 37, 45)
    flat = tmp_path / "flat.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((9, 8, 2)), np.eye(4)), flat)
    with caplog.at_level(logging.WARNING):
        assert predictor_in_mm.predict(flat).shape == (2, 8, 9)
    assert "odd data: an image of a single value in 1 case(s): flat.nii.gz" in caplog.text


def test_the_package_gives_what_it_names_and_nothing_else() -> None:
    assert set(rwseg.__all__) <= set(dir(rwseg))
    for name in rwseg.__all__:
        assert getattr(rwseg, name) is not None
    with pytest.raises(AttributeError, match="module 'rwseg' has no attribute 'load'"):
        rwseg.load  # type: ignore[attr-defined]  # noqa: B018
