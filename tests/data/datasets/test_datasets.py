"""Every dataset trains and is evaluated by the documented commands: a few iterations, files to figures."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from challenge_trees import SMALL
from nnunet_tree import write_tree

from rwseg.experiments.composition import compose
from rwseg.experiments.config.schema import EvaluateConfig
from rwseg.experiments.config.validation import check
from rwseg.experiments.evaluation import evaluate_run
from rwseg.experiments.run import train_run

SHARED = Path(__file__).parents[4] / "shared" / "data"
FEW = [
    "trainer=cpu",
    "model.features=4",
    "model.pools=[[2,2],[2,1]]",
    "schedule.epochs=1",
    "schedule.batches_per_epoch=2",
    "dataset.patch_size=[16,16]",
    "dataset.batch_size=4",
    "evaluation.flips=false",
    "workers=1",
]


def train_and_evaluate(dataset: str, root: Path, folder: Path, *overrides: str) -> tuple[Path, pd.DataFrame]:
    """What `python train.py dataset=... dataset.root=...` and `python evaluate.py run_dir=...` do."""
    asked = [f"dataset={dataset}", f"dataset.root={root}", f"output_root={folder / 'outputs'}"]
    cfg, choices = compose("train", [*asked, f"prepared_root={folder / 'prepared'}", *FEW, *overrides])
    run = train_run(check(cfg), choices)
    asked = [f"run_dir={run}", "trainer=cpu", "overlays=1"]
    evaluation = evaluate_run(check(compose("evaluate", asked)[0], EvaluateConfig))
    ours, theirs = (pd.read_csv(path) for path in (run / "metrics" / "cases.csv", evaluation / "cases.csv"))
    pd.testing.assert_frame_equal(ours, theirs)
    assert len(list((evaluation / "overlays").iterdir())) == 1
    return evaluation, theirs


LAYOUTS: list[tuple[str, list[str], list[str]]] = [
    ("brats18", ["NCR_NET", "ED", "ET"], []),
    ("kits19", ["kidney", "tumor"], []),
    ("kits19_paper", ["kidney", "tumor"], []),
    ("wmh", [], ["dataset.size=[32,32]"]),
    ("isles", [], ["dataset.size=[32,32]"]),
]


@pytest.mark.usefixtures("four_names", "no_run_figures")
@pytest.mark.parametrize(("dataset", "classes", "overrides"), LAYOUTS, ids=[layout[0] for layout in LAYOUTS])
def test_challenge_layouts(dataset: str, classes: list[str], overrides: list[str], tmp_path: Path) -> None:
    root = SMALL[dataset](tmp_path / "data")
    folder, cases = train_and_evaluate(dataset, root, tmp_path, *overrides)
    assert set(cases["class_name"]) >= set(classes)
    assert len(list((folder / "predictions").iterdir())) == cases["case"].nunique() == 2 or dataset == "isles"


@pytest.mark.usefixtures("four_names", "no_run_figures")
@pytest.mark.parametrize("ending", [".nii.gz", ".png"])
def test_nnunet_s_raw_format(ending: str, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "Dataset001_Made", ending)
    folder, cases = train_and_evaluate("nnunet", root, tmp_path, "dataset.name=made", "dataset.folds=2")
    assert sorted(path.name for path in (folder / "predictions").iterdir()) == sorted(
        f"{name}{ending}" for name in cases["case"].unique()
    )


@pytest.mark.slow
@pytest.mark.usefixtures("four_names", "no_run_figures")
def test_real_brain_tumours(tmp_path: Path) -> None:
    root = SHARED / "brats18"
    if not root.is_dir():
        pytest.skip(f"real BraTS data is not at {root}")
    folder, cases = train_and_evaluate("brats18", root, tmp_path, "dataset.patch_size=[32,32]")
    assert set(cases["class_name"]) == {"NCR_NET", "ED", "ET"}
    name = cases["case"].iloc[0]
    source = nib.load(next(root.glob(f"HGG/{name}/*_flair.nii.gz")))
    written = nib.load(folder / "predictions" / f"{name}.nii.gz")
    assert written.shape == source.shape
    np.testing.assert_allclose(written.affine, source.affine)


@pytest.mark.usefixtures("four_names", "no_run_figures")
def test_real_kidneys_with_simulated_images(tmp_path: Path) -> None:
    real = SHARED / "kits19"
    if not real.is_dir():
        pytest.skip(f"real KiTS labels are not at {real}")
    rng = np.random.default_rng(0)
    for number, path in enumerate(sorted(real.glob("case_*/segmentation.nii.gz"))[:2]):
        label = nib.load(path)
        array = np.asarray(label.dataobj)
        held = np.flatnonzero(array.any(axis=(1, 2)))
        chosen = array[held[0] : held[0] + 12, ::4, ::4]  # a few slices, coarser: the layout is what matters
        target = tmp_path / "data" / f"case_{number:05d}"
        target.mkdir(parents=True)
        affine = label.affine @ np.diag([1, 4, 4, 1])
        image = rng.normal(-50 + 150 * (chosen > 0), 30).astype(np.float32)
        nib.save(nib.Nifti1Image(image, affine), target / "imaging.nii.gz")
        nib.save(nib.Nifti1Image(chosen.astype(np.uint8), affine), target / "segmentation.nii.gz")
    _, cases = train_and_evaluate("kits19", tmp_path / "data", tmp_path, "dataset.patch_size=[32,32]")
    assert cases["reference_voxels"].sum() > 0


@pytest.mark.slow
def test_a_planned_run_takes_what_is_not_given_from_its_plan(
    tmp_path: Path, read_only: Callable[[Path], None]
) -> None:
    root = SMALL["brats18"](tmp_path / "data")
    without = [
        value for value in FEW if not value.startswith(("model.pools", "dataset.patch", "dataset.batch"))
    ]
    asked = ["dataset=brats18", f"dataset.root={root}", f"output_root={tmp_path / 'outputs'}", *without]
    overrides = [*asked, f"prepared_root={tmp_path / 'prepared'}", "dataset.plan=auto", "augment=none"]
    cfg, choices = compose("train", overrides)
    run = train_run(check(cfg), choices)
    assert "dataset.plan-auto" in str(run)
    assert '"patch_size"' in (run / "data.json").read_text(encoding="utf-8")
    read_only(tmp_path / "prepared")
    cfg, choices = compose("train", [*overrides, "seed=1"])
    assert (train_run(check(cfg), choices) / "data.json").read_bytes() == (run / "data.json").read_bytes()
    evaluate_run(check(compose("evaluate", [f"run_dir={run}", "trainer=cpu"])[0], EvaluateConfig))
