"""A sweep of two jobs in one process, offline: two W&B runs that hold what the run directories hold."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import preloaded
import pytest
from matplotlib.image import imread
from wandb_files import config, epoch_rows, exit_codes, offline_files, records, results, started, summary

from rwseg.experiments.config.conf import CONF

pytestmark = [pytest.mark.xdist_group("wandb_sweep"), pytest.mark.slow]

LOSSES = ("rrw", "rw_boundary")
CLASSES = {"0": "background", "1": "RV", "2": "myocardium", "3": "LV"}
EPOCHS = 2


@pytest.fixture(scope="module")
def sweep(
    phantom_root: Path, prepared_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, list[Any], Path]]:
    """By loss: run directory, records, and the folder of W&B's media."""
    root = tmp_path_factory.mktemp("sweep")
    overrides = [
        "trainer=cpu",
        "model.features=4",
        f"schedule.epochs={EPOCHS}",
        "schedule.batches_per_epoch=4",
        "dataset.patch_size=[32,48]",
        "dataset.batch_size=3",
        "evaluation.flips=false",
        "stability.every=2",
        "strategy=gradual_dice",
        "logger=wandb",
        f"loss={','.join(LOSSES)}",
        f"dataset.root={phantom_root}",
        f"prepared_root={prepared_root}",
    ]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    offline = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "HOME": str(root)}
    done = preloaded.run(
        [sys.executable, str(CONF.parent / "train.py"), "-m", *overrides],
        cwd=root,
        env={**kept, **offline},
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {}
    for loss in LOSSES:
        (folder,) = (
            path.parent for path in (root / "outputs" / "default" / "phantom" / loss).rglob("run.json")
        )
        (path,) = offline_files(folder)
        found[loss] = (folder, records(path), path.parent / "files")
    return found


def test_each_job_is_a_run_of_its_own_group(sweep: dict[str, tuple[Path, list[Any], Path]]) -> None:
    runs = {loss: started(found) for loss, (_, found, _) in sweep.items()}
    assert len({run.run_id for run in runs.values()}) == 2
    for loss, run in runs.items():
        assert run.run_group == f"phantom/phantom/{loss}/gradual_dice"
        assert config(sweep[loss][1])["method"].startswith(f"{run.run_group} (default/")
        assert exit_codes(sweep[loss][1]) == [0]


@pytest.mark.parametrize("loss", LOSSES)
def test_every_column_of_epochs_csv_is_there_by_epoch(
    sweep: dict[str, tuple[Path, list[Any], Path]], loss: str
) -> None:
    folder, found, _ = sweep[loss]
    table, rows = pd.read_csv(folder / "metrics" / "epochs.csv"), epoch_rows(found)
    assert sorted(rows) == list(range(EPOCHS))
    assert [row["trainer/global_step"] for row in rows.values()] == [3, 7]
    wanted = {
        "learning_rate",
        "alpha",
        "seconds",
        "train/loss",
        "train/loss_gap",
        "train/wrong_sign",
        "val/dice",
        "val/loss",
        "val/loss_gap",
    }
    wanted |= {f"train/{term}{what}" for term in ("main", "partner") for what in ("", "_gradient")}
    for name in list(CLASSES.values())[1:]:
        wanted |= {f"train/wrong_sign_{name}", f"val/dice_{name}", f"val/hausdorff_{name}"}
    assert wanted <= set(table.columns)
    for epoch in range(EPOCHS):
        measured = table.iloc[epoch].dropna()
        own = {key: value for key, value in rows[epoch].items() if not key.startswith(("_", "trainer/"))}
        assert own.keys() == set(measured.index)
        np.testing.assert_allclose([own[key] for key in measured.index], measured)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_end_holds_cases_and_summary(sweep: dict[str, tuple[Path, list[Any], Path]], loss: str) -> None:
    folder, found, media = sweep[loss]
    last, end = results(found), summary(found)
    cases = pd.read_csv(folder / "metrics" / "cases.csv")
    table = json.loads((media / last["cases"]["path"]).read_text())
    columns = table["columns"]
    assert columns == list(cases.columns)
    logged = pd.DataFrame(table["data"], columns=columns)
    pd.testing.assert_frame_equal(logged[["case", "class_name"]], cases[["case", "class_name"]])
    np.testing.assert_allclose(logged["dice"], cases["dice"])
    means = cases.groupby("class_name")["dice"].mean()
    for name, value in means.items():
        assert end[f"final/dice_{name}"] == pytest.approx(value)
    assert end["final/dice"] == pytest.approx(means.mean())
    assert end["final/missed"] == cases["missed"].sum()
    assert end["final/spurious"] == cases["spurious"].sum()
    assert (end["final/missed_policy"], end["final/unit"]) == ("nan", "mm")
    seconds = pd.read_csv(folder / "metrics" / "epochs.csv")["seconds"].sum()
    assert end["final/seconds"] == pytest.approx(seconds)
    record = json.loads((folder / "run.json").read_text())
    assert (end["final/device"], end["final/commit"]) == ("cpu", str(record["git_commit"]))
    assert config(found)["run_json"] == str(folder / "run.json")


def test_overlays_show_the_same_cases_in_both_runs(sweep: dict[str, tuple[Path, list[Any], Path]]) -> None:
    captions = {}
    for loss, (_, found, media) in sweep.items():
        last = results(found)
        overlays = [last[key] for key in sorted(last) if key.startswith("overlays/")]
        assert len(overlays) == 3
        captions[loss] = [overlay["captions"] for overlay in overlays]
        for overlay in overlays:
            image = imread(media / overlay["filenames"][0])
            assert image.shape[:2] == (overlay["height"], overlay["width"])
            [masks] = overlay["all_masks"]
            masks = {name: imread(media / mask["path"]) for name, mask in masks.items()}
            assert masks.keys() == {"reference", "prediction"}
            assert all(mask.shape[:2] == image.shape[:2] for mask in masks.values())
            assert len(np.unique((masks["reference"] * 255).round())) == 4  # the slice shows every class
    assert captions["rrw"] == captions["rw_boundary"]
    labels = config(sweep["rrw"][1])["_wandb"]["mask/class_labels"].values()
    assert len(labels) == 3 * 2  # reference and prediction of each case
    assert all(label["value"] == CLASSES for label in labels)
