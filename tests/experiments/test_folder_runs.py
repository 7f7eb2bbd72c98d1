"""dataset=folder from files to predictions: every tree trains, label maps hold the values that were drawn."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from folder_trees import TREES, mask_of, picture_of, save
from PIL import Image
from trainings import run, start

from rwseg.commands.doctor import main as doctor
from rwseg.core.errors import ConfigError, DataError
from rwseg.data import datamodule
from rwseg.experiments.composition import compose, preflight
from rwseg.experiments.config.schema import EvaluateConfig
from rwseg.experiments.config.validation import check
from rwseg.experiments.evaluation import evaluate_run
from rwseg.experiments.prepared_run import dataset_of


@pytest.fixture
def two_batches(tmp_path: Path, prepared_root: Path, no_run_figures: None, four_names: None) -> list[str]:
    """Overrides of a training of two batches; its folder of data is `tmp_path / "data"`."""
    return [
        "dataset=folder",
        f"dataset.root={tmp_path / 'data'}",
        f"output_root={tmp_path / 'outputs'}",
        f"prepared_root={prepared_root}",
        "trainer=cpu",
        "workers=1",
        "model.features=4",
        "schedule.epochs=1",
        "schedule.batches_per_epoch=2",
        "evaluation.flips=false",
    ]


def evaluated(overrides: list[str]) -> Path:
    cfg, _ = compose("evaluate", ["trainer=cpu", *overrides])
    return evaluate_run(check(cfg, EvaluateConfig))


@pytest.mark.parametrize("tree", TREES)
def test_every_tree_trains_with_what_it_needs(tree: str, tmp_path: Path, two_batches: list[str]) -> None:
    folder = run([*two_batches, *TREES[tree](tmp_path / "data")])
    cases = pd.read_csv(folder / "metrics" / "cases.csv", dtype={"case": str, "subject": str})
    assert set(cases["unit"]) == {"mm" if tree in ("volumes", "bids") else "px"}
    subjects = {"one_folder": r"^(TCGA_\d+)", "bids": r"^(sub-\d+)", "slices_of_patients": r"^(patient\d+)"}
    of_names = cases["case"].str.extract(subjects.get(tree, "^(.*)$"))[0]
    assert (cases["subject"] == of_names).all()


def test_pictures_that_are_validated_together_have_the_metrics_of_each_alone(
    tmp_path: Path, two_batches: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_tree = TREES["slices_of_patients"](tmp_path / "data")
    together = run([*two_batches, *of_tree])
    monkeypatch.setattr(datamodule, "PICTURES_TOGETHER", 1)
    alone = run([*two_batches, *of_tree, f"output_root={tmp_path / 'alone'}"])
    for table, columns in (
        ("cases.csv", ["case", "label", "dice", "hausdorff", "predicted_voxels"]),
        ("epochs.csv", ["val/dice", "val/loss", "val/loss_gap"]),
        ("reliability.csv", ["pixels", "confidence", "accuracy"]),
    ):
        one, other = (pd.read_csv(folder / "metrics" / table)[columns] for folder in (together, alone))
        assert len(one) > 0
        pd.testing.assert_frame_equal(one, other, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("tree", TREES)
def test_every_tree_trains_by_the_command_itself(tree: str, tmp_path: Path, two_batches: list[str]) -> None:
    with start([*two_batches, *TREES[tree](tmp_path / "data")], tmp_path) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "epoch 1/1" in output


def test_new_images_come_back_in_the_values_that_were_drawn(tmp_path: Path, two_batches: list[str]) -> None:
    """Label maps hold 0, 128 and 255 as the user's, JPEG becomes PNG, and names keep their numbers."""
    root, new = tmp_path / "data", tmp_path / "new"
    folder = run([*two_batches, *TREES["slices_of_patients"](root)])
    for number, ending in enumerate((".png", ".jpg", ".bmp")):
        save(new / f"x_{number:04}{ending}", picture_of(mask_of(number), number, 3))
    evaluated([f"run_dir={folder}", f"input={new}", f"output={tmp_path / 'out'}"])
    written = sorted((tmp_path / "out").glob("x_*"))
    assert [path.name for path in written] == ["x_0000.png", "x_0001.png", "x_0002.bmp"]
    for number, path in enumerate(written):
        labels = np.asarray(Image.open(path))
        assert labels.shape == mask_of(number).shape
        assert set(np.unique(labels)) <= {0, 1, 2}  # the first value of each class
    assert json.loads((tmp_path / "out" / "predictions.json").read_text())["values"] == [0, 1, 2]


def test_an_evaluation_writes_and_draws_the_users_values(tmp_path: Path, two_batches: list[str]) -> None:
    root = tmp_path / "data"
    for number in range(6):
        mask = mask_of(number, classes=2)
        save(root / f"images/{number}.png", picture_of(mask, number))
        save(root / f"masks/{number}.png", mask.astype(np.uint16) * 1000)
    folder = run([*two_batches, "dataset.labels={background: 0, blob: 1000}"])
    results = evaluated([f"run_dir={folder}", "overlays=1"])
    assert (results / "cases.csv").read_text() == (folder / "metrics" / "cases.csv").read_text()
    rows = pd.read_csv(results / "cases.csv")
    for _, row in rows.iterrows():
        labels = np.asarray(Image.open(results / "predictions" / f"{row['case']}.png"))
        assert set(np.unique(labels)) <= {0, 1000}
        assert (labels == 1000).sum() == row["predicted_voxels"]
    assert len(list((results / "overlays").glob("*.png"))) == 1


def test_new_images_of_two_channels_have_the_suffixes_of_the_old(
    tmp_path: Path, two_batches: list[str]
) -> None:
    folder = run([*two_batches, *TREES["file_per_channel"](tmp_path / "data")])
    for dye in ("gfp", "dapi"):
        save(tmp_path / "new" / f"z_{dye}.png", picture_of(mask_of(1), 1))
    arguments = [f"run_dir={folder}", f"input={tmp_path / 'new'}", f"output={tmp_path / 'out'}"]
    evaluated(arguments)
    assert (tmp_path / "out" / "z.png").is_file()
    (tmp_path / "new" / "z_gfp.png").rename(tmp_path / "new" / "z_0001.png")
    with pytest.raises(DataError, match=r"z_0001\.png: expected a channel .* \(_dapi dapi, _gfp gfp\)"):
        evaluated(arguments)


def test_the_doctor_proposes_what_pictures_of_patients_need(
    tmp_path: Path,
    two_batches: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rwseg.report.doctor.examine._timing", lambda *_: [])
    TREES["slices_of_patients"](tmp_path / "data")
    assert doctor(two_batches) == 1
    proposed = re.findall(r"'(dataset\.\w+=.*?)'", capsys.readouterr().out.replace("\n", " "))
    assert [text.partition("=")[0] for text in proposed] == ["dataset.labels", "dataset.subject"]
    assert doctor([*two_batches, *proposed]) == 0
    told = capsys.readouterr().out
    assert "24 cases: 16 train (4 subjects), 8 val (2 subjects)" in told
    assert "distances are in pixels" in told
    assert "look like several images" not in told
    assert doctor([*two_batches, proposed[0]]) == 0
    assert "names look like several images of each of 6 subjects" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dataset.labels={vessel: 1}", r"dataset\.labels: expected null, or \{background: 0"),
        ("dataset.labels={background: 0}", r"dataset\.labels: expected"),
        ("dataset.labels={background: 0, a: 1, b: 1}", r"dataset\.labels: expected"),
        ("dataset.labels={background: 0, a: 0.5}", r"dataset\.labels: expected"),
        ("dataset.labels={background: 0, a: []}", r"dataset\.labels: expected"),
        ("dataset.labels=[0,1]", r"dataset\.labels: expected"),
        ("dataset.subject=patient", r"dataset\.subject: expected .* with a group, got patient"),
        ("dataset.subject='(a'", r"dataset\.subject: expected .* with a group, got \(a"),
        ("dataset.channels=[0,1]", r"dataset\.channels: expected null, or a list of names in quotes"),
        ("dataset.channels=[a,a]", r"dataset\.channels: expected"),
    ],
)
def test_a_setting_that_says_nothing_is_refused_before_anything_is_read(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        preflight("train", ["-m", "dataset=folder", override])


@pytest.mark.parametrize(
    "setting", ["labels={background: 0, a: 1}", "subject=(a)", "mask_suffix=_m", "channels=[a]"]
)
def test_other_datasets_do_not_take_what_they_know_themselves(setting: str) -> None:
    key, _, value = setting.partition("=")
    quoted = f'"{value}"' if value.startswith("(") else value
    cfg, _ = compose("train", ["dataset=acdc", f"dataset.{key}={quoted}"])
    with pytest.raises(
        ConfigError, match=rf"dataset\.{key}=.*: expected null, for dataset=acdc says it itself"
    ):
        dataset_of(check(cfg))


def test_a_folder_gives_the_dataset_its_name(two_batches: list[str], tmp_path: Path) -> None:
    cfg, _ = compose("train", two_batches)
    assert check(cfg).dataset.name == "data"
    cfg, _ = compose(
        "train", ["dataset=folder", "dataset.root=retina/", "dataset.labels={background: 0, a: 9}"]
    )
    typed = check(cfg)
    assert (typed.dataset.name, typed.dataset.labels) == ("retina", {"background": 0, "a": 9})
