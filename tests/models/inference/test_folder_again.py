"""A folder of predictions that is there: what is kept, what is made again, and that no models mix in it."""

import json
import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from made_run import DATA
from test_folder import blob, oracle, write

from rwseg.core.errors import DataError, RunError
from rwseg.data.case import Case
from rwseg.models.inference.folder import Extras, predict_folder


def test_what_is_there_is_kept_unless_forced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images, out = tmp_path / "in", tmp_path / "out"
    images.mkdir()
    for name in "ab":
        write(images / f"{name}.nii.gz", blob((6, 9, 5), np.random.default_rng(3)).astype(np.int16))
    predict_folder([oracle()], images, out, "last", force=False)
    (out / "a.nii.gz").unlink()
    (out / "b.nii.gz").write_bytes(b"mine")
    with caplog.at_level(logging.INFO):
        predict_folder([oracle()], images, out, "last", force=False)
    assert "1 predictions are there and kept" in caplog.text
    assert (out / "b.nii.gz").read_bytes() == b"mine"
    assert nib.load(out / "a.nii.gz").shape == (6, 9, 5)
    predict_folder([oracle()], images, out, "last", force=True)
    assert nib.load(out / "b.nii.gz").shape == (6, 9, 5)
    assert not list(out.glob(".writing-*"))


def test_predictions_of_other_weights_never_mix(tmp_path: Path) -> None:
    images, out = tmp_path / "in", tmp_path / "out"
    images.mkdir()
    write(images / "a.nii.gz", blob((6, 9, 5), np.random.default_rng(3)).astype(np.int16))
    predict_folder([oracle()], images, out, "last", force=False)
    record = json.loads((out / "predictions.json").read_text())
    assert (record["classes"], record["checkpoint"]) == (list(DATA.classes), "last")
    other = oracle()
    with torch.no_grad():
        other.network.network.scale += 0.01  # type: ignore[operator]
    with pytest.raises(RunError, match=r"holds predictions of somewhere with other weights; give another"):
        predict_folder([other], images, out, "last", force=False)
    write(out / "b.nii.gz", np.zeros((6, 9, 5), np.int16))  # of an image that is not in the input any more
    before = (out / "a.nii.gz").read_bytes()
    with pytest.raises(RunError, match=r"some of images that are not in this input \(b\.nii\.gz, 1 in all\)"):
        predict_folder([other], images, out, "last", force=True)
    assert (out / "a.nii.gz").read_bytes() == before
    (out / "b.nii.gz").unlink()
    predict_folder([other], images, out, "last", force=True)
    assert json.loads((out / "predictions.json").read_text())["runs"] != record["runs"]
    (out / "predictions.json").write_text("{}")
    with pytest.raises(RunError, match=r"predictions\.json: expected what an evaluation wrote"):
        predict_folder([other], images, out, "last", force=False)


def test_a_forced_run_that_breaks_off_leaves_no_label_map_of_other_weights(tmp_path: Path) -> None:
    images, out = tmp_path / "in", tmp_path / "out"
    images.mkdir()
    for name in "ab":
        write(images / f"{name}.nii.gz", blob((6, 9, 5), np.random.default_rng(3)).astype(np.int16))
    predict_folder([oracle()], images, out, "last", force=False)
    other = oracle()
    with torch.no_grad():
        other.network.network.scale += 0.01  # type: ignore[operator]
    (images / "a.nii.gz").write_bytes(b"cut")
    (out / "overlays").mkdir()
    for name in ("a.png", "b.npz", "mine.txt"):
        (out / "overlays" / name).touch()
    with pytest.raises(DataError):
        predict_folder([other], images, out, "last", force=True)
    assert sorted(path.name for path in out.iterdir()) == ["b.nii.gz", "overlays", "predictions.json"]
    assert [path.name for path in (out / "overlays").iterdir()] == ["mine.txt"]


def test_what_else_is_wanted_of_a_case_and_not_there_is_made(tmp_path: Path) -> None:
    images, out, made = tmp_path / "in", tmp_path / "out", list[str]()
    images.mkdir()
    write(images / "a.nii.gz", blob((6, 9, 5), np.random.default_rng(3)).astype(np.int16))
    predict_folder([oracle()], images, out, "last", force=False)

    def write_extra(case: Case, *_: object) -> None:
        made.append(case.name)
        (out / f"{case.name}.txt").touch()

    for _ in range(2):
        extras = Extras(write_extra, lambda case: [out / f"{case.name}.txt"])
        predict_folder([oracle()], images, out, "last", False, extras)
    assert made == ["a"]
