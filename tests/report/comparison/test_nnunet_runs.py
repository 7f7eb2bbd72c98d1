"""Results of nnU-Net as runs: what is measured, what is missing and said, what is compared."""

import json
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nnunet_results import moved, reference, save, write_model

from rwseg.core.errors import RunError
from rwseg.report.comparison.compare import compare
from rwseg.report.comparison.comparison import Run
from rwseg.report.comparison.runs import find_runs
from rwseg.report.files import write_report


def only(folder: Path) -> Run:
    [run] = find_runs([folder])
    return run


def column(run: Run, name: str, class_name: str) -> list[float]:
    assert run.cases is not None
    return list(run.cases.loc[run.cases["class_name"] == class_name, name])


def test_a_model_is_a_run_whose_distances_are_measured(tmp_path: Path) -> None:
    model = write_model(tmp_path / "results", shift=2)
    run = only(tmp_path)
    assert (run.folder, run.status, run.reason, run.seed) == (model, "finished", "", 0)
    assert run.cases is not None
    assert list(run.cases["case"].unique()) == ["case_0", "case_1", "case_2"]
    assert list(run.cases["subject"]) == list(run.cases["case"])
    assert column(run, "dice", "RV") == [0.5] * 3  # two of four voxels overlap
    assert column(run, "hausdorff", "RV") == [3.0] * 3  # two voxels of 1.5 mm
    assert set(run.cases["unit"]) == {"mm"}
    assert column(run, "missed", "myocardium") == [1, 0, 1]
    np.testing.assert_array_equal(column(run, "dice", "myocardium"), [0, nan, 0])
    assert np.isnan(column(run, "hausdorff", "myocardium")).all()
    assert (run.device, run.host, run.seconds) == ("cpu", "station", 21.0)
    expected = pd.DataFrame({"epoch": [0, 1], "seconds": [10.0, 11.0], "train/loss": [0.5, -0.5]})
    pd.testing.assert_frame_equal(run.epochs, expected)
    assert run.settings["trainer.num_epochs"] == '"2"'
    assert run.settings["plan.batch_size"] == "4"


def test_folds_are_one_cross_validation_unless_one_is_given(tmp_path: Path) -> None:
    folds = {"fold_0": (0, 1), "fold_1": (2,), "fold_all": (0, 1, 2)}
    model = write_model(tmp_path, configuration="2d_large", folds=folds)
    run, first = only(model), only(model / "fold_0")
    assert run.cases is not None
    assert first.cases is not None
    assert (len(run.cases), len(first.cases)) == (6, 4)
    assert run.split_digest != first.split_digest
    assert (run.settings["plan.batch_size"], run.settings["plan.patch_size"]) == ("12", "[32, 24]")
    alone = only(model / "fold_all")
    assert alone.status == "damaged"
    assert alone.reason.endswith("expected a fold with cases that were not trained on, got a training on all")


def test_label_maps_that_are_gone_leave_the_dice_and_a_note(tmp_path: Path) -> None:
    model = write_model(tmp_path / "results")
    (model / "fold_0" / "validation" / "case_1.nii.gz").unlink()
    run = only(tmp_path)
    assert column(run, "dice", "RV") == [0.75] * 3
    np.testing.assert_array_equal(column(run, "hausdorff", "RV"), [1.5, nan, 1.5])
    assert any("no Hausdorff distances of 1 cases" in remark and "case_1" in remark for remark in run.remarks)
    write_model(tmp_path / "results", "nnUNetTrainerRRW", shift=2)
    notes = "\n".join(compare(find_runs([tmp_path])).notes)
    assert "- nnUNetTrainer: fold_0: no Hausdorff" in "\n".join(f"- {note}" for note in notes.splitlines())


def test_references_of_another_machine_are_found_by_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "results")
    (tmp_path / "preprocessed").rename(tmp_path / "elsewhere")
    assert np.isnan(column(only(tmp_path / "results"), "hausdorff", "RV")).all()
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "elsewhere"))
    assert column(only(tmp_path / "results"), "hausdorff", "RV") == [1.5] * 3


def test_a_summary_of_other_predictions_is_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path)
    save(model / "fold_0" / "validation" / "case_2.nii.gz", moved(reference(2), 3))
    run = only(model)
    assert run.status == "damaged"
    assert "0.2500 for case_2, RV, got 0.7500: it is of other predictions" in run.reason


def test_ignored_voxels_are_not_counted(tmp_path: Path) -> None:
    labels = {"background": 0, "RV": 1, "myocardium": 2, "ignore": 3}
    model = write_model(tmp_path, labels=labels)
    truth = reference(1)
    truth[:, 6:, :] = 3
    path = tmp_path.parent / "preprocessed" / "Dataset027_Heart" / "gt_segmentations" / "case_1.nii.gz"
    save(path, truth)
    found = moved(reference(1), 1)
    assert column(only(model), "reference_voxels", "RV")[1] == 4 * 4 * 3
    assert (found[:, :6] == 1).sum() == column(only(model), "predicted_voxels", "RV")[1]


@pytest.mark.parametrize(
    ("break_it", "status", "reason"),
    [
        (
            lambda model: (model / "fold_0/validation/summary.json").unlink(),
            "interrupted",
            "fold_0: no valid",
        ),
        (lambda model: (model / "fold_0/validation/summary.json").write_text("{"), "damaged", "summary.json"),
        (lambda model: (model / "plans.json").write_text("[]"), "damaged", "TRAINER__PLANS__CONFIGURATION"),
        (lambda model: (model / "dataset.json").unlink(), "damaged", "dataset.json"),
        (lambda model: (model / "fold_0/debug.json").write_text("1"), "damaged", "debug.json"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, break_it: object, status: str, reason: str) -> None:
    model = write_model(tmp_path)
    assert callable(break_it)
    break_it(model)
    run = only(model)
    assert run.status == status
    assert reason in run.reason


def test_regions_and_folds_trained_differently_are_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path, labels={"background": 0, "heart": [1, 2], "RV": 1})
    assert "'heart' is a region" in only(model).reason
    other = write_model(tmp_path, "nnUNetTrainerRRW", folds={"fold_0": (0,), "fold_1": (1,)})
    facts = json.loads((other / "fold_1" / "debug.json").read_text())
    (other / "fold_1" / "debug.json").write_text(json.dumps({**facts, "num_epochs": "9"}))
    assert "num_epochs: expected folds that were trained alike, got 2 in fold_0 and 9" in only(other).reason


@pytest.mark.slow
def test_losses_of_nnunet_and_ours_are_compared_over_folders_of_results(tmp_path: Path) -> None:
    for place in ("first", "second", "third"):
        write_model(tmp_path / place / "results", shift=2)
        write_model(tmp_path / place / "results", "nnUNetTrainerRRW", shift=1)
        words = json.dumps({"words": "rw_boundary rectify=true"})
        write_model(
            tmp_path / place / "results", "nnUNetTrainerRwsegLoss", shift=1, debug={"rwseg_loss": words}
        )
    found = compare(find_runs([tmp_path]))
    assert [(method.name, [run.seed for run in method.runs]) for method in found.methods] == [
        ("nnUNetTrainer", [0, 1, 2]),
        ("nnUNetTrainerRRW", [0, 1, 2]),
        ("nnUNetTrainerRwsegLoss rw_boundary rectify=true", [0, 1, 2]),
    ]
    dice = found.summary.query("class_name == 'RV' and metric == 'dice'").set_index("method")["mean"]
    assert list(dice) == [0.5, 0.75, 0.75]
    assert any(note.startswith("Every method: nnU-Net seeds nothing") for note in found.notes)
    assert any("each case counts as a patient" in note for note in found.notes)
    page, report, *_ = write_report(found, tmp_path / "report")
    assert page.is_file()
    assert "nnUNetTrainerRRW" in report.read_text()


def test_trainings_that_differ_otherwise_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path)
    write_model(tmp_path, "nnUNetTrainerRRW", debug={"num_epochs": "1000"})
    with pytest.raises(
        RunError, match=r"trainer.num_epochs: 1000 in nnUNetTrainerRRW \(1 run\); 2 in nnUNet"
    ):
        compare(find_runs([tmp_path]))
