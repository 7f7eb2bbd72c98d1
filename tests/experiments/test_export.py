"""Exported runs predict what the run predicts: a hub folder to the bit, an ONNX file to rounding."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from made_run import make_run
from safetensors.torch import load_file
from test_load_run import IN_MM, SPACING, volume

import rwseg
from rwseg.commands.export import main
from rwseg.core.errors import ExportError, RunError
from rwseg.core.files import from_json
from rwseg.data.preprocessing.config import FittedPreprocessing
from rwseg.experiments.export import graph
from rwseg.experiments.export.hub_folder import CARD, CONFIG, WEIGHTS, write_hub_folder

Captured = pytest.CaptureFixture[str]
COLOURS = {"channels": ("red", "green", "blue"), "files_per_case": 1, "dataset": "folder"}


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on volumes with spacing."""
    return make_run(tmp_path_factory.mktemp("volumes"), ["model.features=4"], preprocessing=IN_MM)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on RGB pictures."""
    return make_run(tmp_path_factory.mktemp("pictures"), ["model.features=4", "model.norm=batch"], **COLOURS)


def image_for(run: Path) -> tuple[np.ndarray, tuple[float, ...] | None]:
    if "pictures" in str(run):
        return np.stack([volume((1, 45, 70), seed)[0] for seed in range(3)]), None
    return volume()[None], SPACING


@pytest.mark.parametrize("checkpoint", ["last", "best"])
@pytest.mark.parametrize("kind", ["volumes", "pictures"])
def test_a_hub_folder_predicts_to_the_bit_what_the_run_predicts(
    kind: str,
    checkpoint: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = request.getfixturevalue(kind)
    assert main([str(run), "--hub", str(tmp_path / "hub"), "--checkpoint", checkpoint]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/hub: {CARD}, {CONFIG}, {WEIGHTS}\n"
    moved = shutil.move(tmp_path / "hub", tmp_path / "elsewhere")
    image, spacing = image_for(run)
    own, exported = rwseg.load_run(run, checkpoint, "cpu"), rwseg.load_run(moved, device="cpu")
    np.testing.assert_array_equal(exported.probabilities(image, spacing), own.probabilities(image, spacing))
    assert (exported.classes, exported.data, exported.flips) == (own.classes, own.data, own.flips)
    assert load_file(Path(moved) / WEIGHTS).keys() == own.network.network.state_dict().keys()


def test_the_card_and_the_configuration_name_no_folder_of_this_machine(volumes: Path, tmp_path: Path) -> None:
    write_hub_folder(rwseg.load_run(volumes, device="cpu"), "last", tmp_path / "hub")
    card, config = ((tmp_path / "hub" / name).read_text() for name in (CARD, CONFIG))
    for text in (card, config):
        assert str(Path.home()) not in text
        assert str(volumes.parent) not in text
    assert "Not evaluated." in card
    assert "Slices are resampled to 1.3 x 1.1 mm" in card
    assert json.loads(config)["classes"] == ["background", "RV", "myocardium", "LV"]


def test_the_card_has_the_class_means_of_the_cases(volumes: Path, tmp_path: Path) -> None:
    run = shutil.copytree(volumes, tmp_path / "run")
    (run / "metrics").mkdir()
    rows = [
        ("a", "RV", 0.8, 4.0, 2.0, 0),
        ("b", "RV", 0.4, 8.0, 4.0, 0),
        ("a", "LV", 0.9, 2.0, 1.0, 0),
        ("b", "LV", 0.0, np.nan, np.nan, 1),
    ]
    cases = pd.DataFrame(rows, columns=["case", "class_name", "dice", "hausdorff", "hausdorff95", "missed"])
    cases = cases.assign(subject=cases["case"], unit="mm", spurious=0)
    cases.to_csv(run / "metrics" / "cases.csv", index=False)
    write_hub_folder(rwseg.load_run(run, device="cpu"), "last", tmp_path / "hub")
    card = (tmp_path / "hub" / CARD).read_text()
    assert "| RV | 0.600 | 6.0 | 3.0 | 0 | 0 |\n| LV | 0.450 | 2.0 | 1.0 | 1 | 0 |" in card
    assert "| mean | 0.525 | 4.0 | 2.0 | 1 | 0 |" in card
    assert "Means over 2 validation cases of 2 subjects" in card


def test_a_folder_with_other_files_is_left_alone(volumes: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    assert main([str(volumes), "--hub", str(tmp_path)]) == 2
    assert "expected a new or empty folder, or one that" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_files_of_other_people_are_not_replaced(volumes: Path, tmp_path: Path, capsys: Captured) -> None:
    """Every model of a hub has files of these names, and `model.onnx` is described in `model.json`."""
    for name in (CONFIG, WEIGHTS, CARD, "model.json"):
        (tmp_path / name).write_text('{"architectures": ["Bert"]}')
    assert main([str(volumes), "--hub", str(tmp_path)]) == 2
    assert main([str(volumes), "--onnx", str(tmp_path / "model.onnx")]) == 2
    said = capsys.readouterr().err
    assert "or one that rwseg export wrote, got" in said
    assert f"described in {tmp_path / 'model.json'}, where another file is" in said
    assert {path.read_text() for path in tmp_path.iterdir()} == {'{"architectures": ["Bert"]}'}


def test_an_export_is_written_again_and_is_no_run_to_export(
    volumes: Path, tmp_path: Path, capsys: Captured
) -> None:
    for _ in range(2):
        assert main([str(volumes), "--hub", str(tmp_path / "hub")]) == 0
    (tmp_path / "hub" / CONFIG).unlink()  # broken off
    assert main([str(volumes), "--hub", str(tmp_path / "hub")]) == 0
    assert main([str(tmp_path / "hub"), "--hub", str(tmp_path / "again")]) == 2
    assert "expected a run directory, got what was exported" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("weights", "expected weights in safetensors, got: "),
        ("config", "expected what rwseg export wrote, found "),
        ("format", "expected format 1, found 7: an export of another version"),
        ("network", "expected weights of the network that its configuration describes"),
    ],
)
def test_a_damaged_hub_folder_is_a_sentence(volumes: Path, tmp_path: Path, damage: str, message: str) -> None:
    hub = write_hub_folder(rwseg.load_run(volumes, device="cpu"), "last", tmp_path / "hub")
    content = json.loads((hub / CONFIG).read_text())
    if damage == "weights":
        (hub / WEIGHTS).write_bytes((hub / WEIGHTS).read_bytes()[:-5])
    elif damage == "config":
        del content["data"]["patch_size"]
    elif damage == "format":
        content["format"] = 7
    else:
        content["config"]["model"]["features"] = 5
    (hub / CONFIG).write_text(json.dumps(content))
    with pytest.raises(RunError, match=message):
        rwseg.load_run(hub)


def as_onnx(run: Path, folder: Path) -> Path:
    pytest.importorskip("onnxruntime")
    path = folder / "model.onnx"
    said = graph.write_onnx(rwseg.load_run(run, device="cpu"), "last", path)
    assert said.difference <= graph.LARGEST_DIFFERENCE
    assert said.megabytes == pytest.approx(path.stat().st_size / 1e6)
    return path


@pytest.fixture(scope="module")
def onnx(volumes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run on volumes as an ONNX file."""
    return as_onnx(volumes, tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def picture_onnx(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run on pictures as an ONNX file."""
    return as_onnx(pictures, tmp_path_factory.mktemp("picture_onnx"))


@pytest.mark.slow
@pytest.mark.xdist_group("onnx")
@pytest.mark.parametrize(("kind", "file"), [("volumes", "onnx"), ("pictures", "picture_onnx")])
def test_an_onnx_file_predicts_what_the_run_predicts(
    kind: str, file: str, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(kind)
    own, exported = rwseg.load_run(run, device="cpu"), rwseg.load_run(request.getfixturevalue(file))
    image, spacing = image_for(run)
    ours = own.probabilities(image, spacing)
    np.testing.assert_allclose(exported.probabilities(image, spacing), ours, atol=1e-4)
    sure = np.ptp(np.partition(ours, -2, axis=0)[-2:], axis=0) > 2e-4
    assert sure.mean() > 0.99
    np.testing.assert_array_equal(exported.predict(image, spacing)[sure], own.predict(image, spacing)[sure])
    images = torch.randn(2, len(own.data.channels), 37, 61)
    for model in (own, exported):
        assert model.network(images).shape == (2, 4, 37, 61)
    torch.testing.assert_close(
        exported.network(images).softmax(1), own.network(images).softmax(1), atol=1e-4, rtol=0
    )


@pytest.mark.slow
@pytest.mark.xdist_group("onnx")
def test_other_programs_are_told_what_they_must_know(onnx: Path) -> None:
    told = json.loads(graph.sidecar(onnx).read_text())
    assert told["graph"]["input"]["shape"] == ["batch", 1, "height", "width"]
    assert told["graph"]["prepare"]["spacing"] == [1.3, 1.1]
    assert told["graph"]["prepare"]["normalisation"] == "zscore_nonzero"
    assert told["classes"] == ["background", "RV", "myocardium", "LV"]
    assert from_json(FittedPreprocessing, told["data"]["preprocessing"]) == IN_MM


@pytest.mark.slow
@pytest.mark.xdist_group("onnx")
def test_a_damaged_onnx_file_is_a_sentence(onnx: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(onnx.read_bytes()[:-100])
    with pytest.raises(RunError, match="expected what rwseg export wrote, found FileNotFoundError"):
        rwseg.load_run(cut)
    shutil.copy(graph.sidecar(onnx), graph.sidecar(cut))
    with pytest.raises(RunError, match=rf"{cut}: expected a network that rwseg export wrote, got: "):
        rwseg.load_run(cut)
    told = json.loads(graph.sidecar(onnx).read_text())
    told["graph"]["blake2b"] = 32 * "0"
    other = shutil.copy(onnx, tmp_path / "other.onnx")
    graph.sidecar(other).write_text(json.dumps(told))
    with pytest.raises(RunError, match=r"expected the network that .*other\.json describes, got another one"):
        rwseg.load_run(other)


@pytest.mark.slow
def test_what_computes_something_else_is_not_kept(
    volumes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(ExportError, match=r"model.pt2: expected probabilities within -1 of PyTorch's, got"):
        graph.write_program(rwseg.load_run(volumes, device="cpu"), tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_program_of_torch_export_computes_the_same(volumes: Path, tmp_path: Path) -> None:
    predictor = rwseg.load_run(volumes, device="cpu")
    graph.write_program(predictor, tmp_path / "model.pt2")
    images = torch.randn(4, 1, 40, 64)
    found = torch.export.load(tmp_path / "model.pt2").module()(images)
    torch.testing.assert_close(found, predictor.network(images).softmax(1), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected at least one of --hub DIR, --onnx FILE and --torch-export FILE"),
        (["--onnx", "model.bin"], "model.bin: expected a file ending in .onnx"),
        (["--torch-export", "model.pt"], "model.pt: expected a file ending in .pt2"),
        (["--hub", "out"], "expected a run directory that a training wrote"),
    ],
)
def test_what_cannot_be_exported_is_a_sentence(
    words: list[str], message: str, tmp_path: Path, capsys: Captured
) -> None:
    assert main([str(tmp_path), *words]) == 2
    assert message in capsys.readouterr().err
