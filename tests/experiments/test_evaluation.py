"""evaluate.py on splits: its metrics are the run's own, its maps have the source's geometry, ensembles."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from made_run import NATIVE, make_run

from rwseg.core.errors import ConfigError, DataError, RunError
from rwseg.data.case import LoadedCase
from rwseg.data.datasets.acdc import ACDC
from rwseg.data.io.nifti import read_nifti
from rwseg.experiments.composition import compose
from rwseg.experiments.config.schema import EvaluateConfig
from rwseg.experiments.config.validation import check
from rwseg.experiments.evaluation import evaluate_run
from rwseg.experiments.run import train_run
from rwseg.metrics import case_metrics
from rwseg.models.inference.whole_volumes import COLUMNS

CLASSES = ("background", "RV", "myocardium", "LV")


def evaluate(run: Path | list[Path], *overrides: str) -> Path:
    folders = f"[{','.join(str(folder) for folder in run)}]" if isinstance(run, list) else str(run)
    cfg, _ = compose("evaluate", [f"run_dir={folders}", "trainer=cpu", *overrides])
    return evaluate_run(check(cfg, EvaluateConfig))


def labels_of(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


@pytest.mark.filterwarnings(r"ignore:The `srun` command is available")  # Lightning, on a SLURM machine
def test_evaluation_repeats_the_runs_own_metrics(tiny: list[str]) -> None:
    cfg, choices = compose("train", [*tiny, "schedule.epochs=1", "dataset.zoom=0.5"])
    folder = train_run(check(cfg), choices)
    results = evaluate(folder, "overlays=0")
    assert results == folder / "evaluation" / "val"
    assert (results / "cases.csv").read_text() == (folder / "metrics" / "cases.csv").read_text()


def test_maps_have_the_geometry_and_metrics_of_their_source(
    tiny: list[str], tmp_path: Path, phantom_root: Path
) -> None:
    results = evaluate(
        make_run(tmp_path / "run", tiny, preprocessing=replace(NATIVE, zoom=0.5)), "overlays=2"
    )
    assert len(list((results / "overlays").glob("*.png"))) == 2
    cases = pd.read_csv(results / "cases.csv")
    assert tuple(cases.columns) == COLUMNS
    paths = sorted((results / "predictions").glob("*.nii.gz"))
    assert len(paths) == 4
    for path in paths:
        folder = phantom_root / "training" / path.name.split("_")[0]
        source, prediction = nib.load(folder / path.name), nib.load(path)
        np.testing.assert_array_equal(prediction.affine, source.affine)
        assert prediction.shape == source.shape
        reference = labels_of(folder / path.name.replace(".nii", "_gt.nii")).astype(np.uint8).T
        spacing = tuple(float(step) for step in source.header.get_zooms()[::-1])
        rows = case_metrics(labels_of(path).T, reference, CLASSES, spacing)
        own = cases[cases["case"] == path.name.removesuffix(".nii.gz")]
        np.testing.assert_allclose(own["dice"], [row["dice"] for row in rows])
        np.testing.assert_allclose(own["hausdorff"], [row["hausdorff"] for row in rows], rtol=1e-6)


def test_other_splits_checkpoints_and_data(tiny: list[str], tmp_path: Path, phantom_root: Path) -> None:
    run = make_run(tmp_path / "run", ["dataset=acdc", "model=small", "schedule=small", *tiny])
    best = evaluate(run, "split=train", "checkpoint=best", "overlays=0")
    assert best.name == "train-best"
    other = tmp_path / "elsewhere"
    shutil.copytree(phantom_root, other)
    shutil.rmtree(other / "training" / "patient001")
    results = evaluate(run, f"dataset.root={other}", "overlays=0", "missed=diagonal")
    assert results.name == "val-elsewhere"
    assert len(list((results / "predictions").iterdir())) == 2
    assert pd.read_csv(results / "cases.csv")["hausdorff"].notna().all()
    record = json.loads((results / "evaluation.json").read_text())
    assert (record["root"], record["cases"], record["missed"]) == (str(other), 2, "diagonal")
    (other / "training").rename(other / "testing")
    for path in other.rglob("*_gt.nii.gz"):
        path.unlink()
    test = evaluate(run, f"dataset.root={other}", "split=test", "name=heart")
    assert sorted(path.name for path in test.iterdir()) == ["evaluation.json", "predictions"]
    assert test.name == "heart"
    with pytest.raises(DataError, match=r"the split 'val' is empty; .* found \d of 'test'; add cases"):
        evaluate(run, f"dataset.root={other}")


def test_the_data_digest_is_that_of_images_and_references(tiny: list[str], tmp_path: Path) -> None:
    digests = [
        json.loads((evaluate(run, "overlays=0", *more) / "evaluation.json").read_text())["data_digest"]
        for run, more in (
            (make_run(tmp_path / "one", tiny), ()),
            (make_run(tmp_path / "two", tiny, seed=1, preprocessing=replace(NATIVE, zoom=0.5)), ()),
            (tmp_path / "one", ("split=train",)),
        )
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.slow
def test_an_ensemble_of_one_network_twice_is_that_network(tiny: list[str], tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, tiny, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 5))]
    alone = evaluate(runs[0], "overlays=0")
    same = evaluate(runs[:2], "overlays=0")
    assert same == runs[0] / "evaluation" / "val-ensemble-2"
    assert (same / "cases.csv").read_text() == (alone / "cases.csv").read_text()
    other = evaluate([runs[0], runs[2]], "overlays=0", f"output={tmp_path / 'out'}")
    assert other == tmp_path / "out"
    assert (other / "cases.csv").read_text() != (alone / "cases.csv").read_text()
    assert json.loads((other / "evaluation.json").read_text())["runs"] == [str(runs[0]), str(runs[2])]
    assert not list(tmp_path.rglob(".building-*"))


def test_an_ensemble_is_not_evaluated_on_what_a_member_trained_on(tiny: list[str], tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / f"fold{fold}", [*tiny, f"dataset.fold={fold}", "dataset.folds=2"], seed=fold)
        for fold in range(2)
    ]
    with pytest.raises(RunError, match=r"fold1: expected a run that did not train on .* patient\d+_frame"):
        evaluate(runs)
    assert not (runs[0] / "evaluation" / "val-ensemble-2").exists()
    assert evaluate(runs, "split=train", "overlays=0").name == "train-ensemble-2"
    acdc = make_run(tmp_path / "acdc", ["dataset=acdc", "model=small", "schedule=small", *tiny])
    with pytest.raises(RunError, match=r"expected a run on 'phantom' as .*; predict the images with input"):
        evaluate([runs[0], acdc])


def test_unlabelled_voxels_count_for_nobody(
    tiny: list[str], tmp_path: Path, phantom_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked = tmp_path / "marked"
    shutil.copytree(phantom_root, marked)
    for path in marked.rglob("*_gt.nii.gz"):
        image = nib.load(path)
        labels = labels_of(path).copy()
        labels[: labels.shape[0] // 2] = 7
        nib.save(nib.Nifti1Image(labels, image.affine, image.header), path)
    dataset = replace(ACDC, load=lambda root: replace(ACDC.load(root), ignore=7))
    monkeypatch.setattr("rwseg.data.datasets.acdc.ACDC", dataset)
    run = make_run(tmp_path / "run", ["dataset=acdc", "model=small", "schedule=small", *tiny])
    cases = pd.read_csv(evaluate(run, f"dataset.root={marked}", "overlays=1") / "cases.csv")
    for (case, label), row in cases.set_index(["case", "label"]).iterrows():
        path = marked / "training" / case.split("_")[0] / f"{case}_gt.nii.gz"
        assert row["reference_voxels"] == (read_nifti(path).array == label).sum()


def test_converted_cases_are_evaluated_on_the_grid_that_they_got(
    tiny: list[str], tmp_path: Path, phantom_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_the_first_slice(loaded: LoadedCase) -> LoadedCase:
        assert loaded.label is not None
        return replace(loaded, image=loaded.image[:, 1:], label=loaded.label[1:])

    dataset = replace(ACDC, load=lambda root: replace(ACDC.load(root), convert=without_the_first_slice))
    monkeypatch.setattr("rwseg.data.datasets.acdc.ACDC", dataset)
    overrides = ["dataset=acdc", "model=small", "schedule=small", *tiny]
    results = evaluate(make_run(tmp_path / "run", overrides, converted=True), "overlays=1")
    cases = pd.read_csv(results / "cases.csv").set_index(["case", "label"])
    assert len(list((results / "overlays").iterdir())) == 1
    for path in (results / "predictions").iterdir():
        case = path.name.removesuffix(".nii.gz")
        native = labels_of(phantom_root / "training" / case.split("_")[0] / f"{case}_gt.nii.gz")
        assert labels_of(path).shape == (*native.shape[:2], native.shape[2] - 1)
        for label in (1, 2, 3):
            row = cases.loc[(case, label)]
            assert row["reference_voxels"] == (native[..., 1:] == label).sum()
            assert row["predicted_voxels"] == (labels_of(path) == label).sum()


def test_faulty_cases_are_listed_and_nothing_is_written(
    tiny: list[str], tmp_path: Path, phantom_root: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(phantom_root, other)
    faulty = sorted((other / "training" / "patient001").glob("*_frame??.nii.gz"))
    for path in faulty:
        path.write_bytes(path.read_bytes()[:-30])
    run = make_run(tmp_path / "run", ["dataset=acdc", "model=small", "schedule=small", *tiny])
    with pytest.raises(DataError, match=rf"(?s)2 faults:.*{faulty[0].name}.*{faulty[1].name}"):
        evaluate(run, f"dataset.root={other}")
    assert not list((run / "evaluation").glob("*"))


def test_data_of_other_classes_are_refused(tiny: list[str], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tiny, classes=("background", "a", "b", "c"))
    with pytest.raises(
        DataError, match=r"expected the classes that .*run was trained with, background, a, b, c"
    ):
        evaluate(run)


def test_new_images_are_predicted_without_the_data(
    tiny: list[str], tmp_path: Path, phantom_root: Path
) -> None:
    run = make_run(tmp_path / "run", [*tiny, f"dataset.root={tmp_path / 'gone'}"])
    images, out = tmp_path / "new", tmp_path / "out"
    images.mkdir()
    source = next((phantom_root / "training" / "patient001").glob("*_frame??.nii.gz"))
    shutil.copy(source, images / "somebody.nii.gz")
    assert evaluate(run, f"input={images}", f"output={out}") == out
    known = make_run(tmp_path / "known", tiny)
    predictions = evaluate(known, "overlays=0") / "predictions"
    np.testing.assert_array_equal(labels_of(out / "somebody.nii.gz"), labels_of(predictions / source.name))
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["input=somewhere"], "expected a folder for the predictions, got none; give output"),
        (["input=a", "output=b", "dataset.root=c"], "expected new images or dataset.root, got both"),
        (["force=true"], "force=true: expected together with input"),
    ],
)
def test_what_does_not_go_together_is_said(tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate(tmp_path, *overrides)


def test_a_folder_of_other_files_is_not_replaced(tiny: list[str], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tiny)
    out = tmp_path / "out"
    out.mkdir()
    evaluate(run, "overlays=0", f"output={out}")
    evaluate(run, "overlays=0", f"output={out}")  # an older evaluation is
    (out / "evaluation.json").unlink()
    with pytest.raises(ConfigError, match="expected a new folder, or an older evaluation to replace"):
        evaluate(run, "overlays=0", f"output={out}")
    assert (out / "cases.csv").is_file()


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"expected a run directory .* found no config\.yaml"):
        evaluate(tmp_path)
