"""What a run directory needs to predict: data.json, checkpoints, and ensembles that go together."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made_run import DATA, NATIVE, make_run

from rwseg.core.errors import RunError
from rwseg.data.case import LoadedCase, Source, plain_labels
from rwseg.data.preprocessing.config import FittedPreprocessing, Intensities
from rwseg.data.preprocessing.prepared import Entry, Prepared
from rwseg.data.preprocessing.volume import prepare_volume
from rwseg.experiments.load_run import load_ensemble, load_run
from rwseg.models.inference.inference_spec import inference_spec, load_inference_spec, save_inference_spec
from rwseg.models.inference.predictor import predict_case

CPU = torch.device("cpu")
CT = FittedPreprocessing(
    crop=True,
    spacing=(1.5625, 0.1 + 0.2),
    size=(7, 9),
    zoom=0.5,
    interpolation="area",
    normalisation="ct",
    intensities=(Intensities(-79.0, 304.0, 101.3, 76.9), Intensities(0.0, 1.0, 1 / 3, 1e-9)),
)


def loaded(seed: int = 0, shape: tuple[int, int, int] = (3, 40, 50)) -> LoadedCase:
    image = np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32)
    return LoadedCase(image, None, (5.0, 1.0, 2.0))


def test_data_is_read_as_it_was_written(tmp_path: Path) -> None:
    channels = tuple(f"channel {number}" for number, _ in enumerate(CT.intensities))
    data = replace(DATA, preprocessing=CT, channels=channels, label_values=((0, 2), (1,), (3,), (4,)))
    data = replace(data, pools=((2, 2), (2, 1)), converted=True)
    save_inference_spec(tmp_path, data)
    assert load_inference_spec(tmp_path) == data


def test_the_facts_of_a_training_are_those_of_its_data() -> None:
    entry = Entry(
        name="a",
        subject="a",
        phase="",
        split="train",
        images=("a_0.nii.gz", "a_1.nii.gz"),
        has_label=True,
        shape=(2, 3, 4),
        spacing=(1.0, 1.0, 1.0),
        native_shape=(2, 3, 4),
        native_spacing=(1.0, 1.0, 1.0),
        crop=((0, 2), (0, 3), (0, 4)),
        slice_axis=1,
        voxels=(20, 4),
    )
    prepared = Prepared(Path("p"), Path("r"), "two", ("bg", "fg"), ("T1", "T2"), CT, "abc", (entry,))
    source = Source((), ("bg", "fg"), ("T1", "T2"), plain_labels(2), convert=lambda case: case)
    data = inference_spec(prepared, source, (8, 16), ((2, 2),), 5)
    assert (data.dataset, data.classes, data.channels) == ("two", ("bg", "fg"), ("T1", "T2"))
    assert (data.files_per_case, data.slice_axis, data.converted) == (2, 1, True)
    assert (data.preprocessing, data.digest, data.label_values) == (CT, "abc", ((0,), (1,)))
    assert (data.patch_size, data.pools, data.batch_size) == ((8, 16), ((2, 2),), 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, r"data\.json: expected format 2, found 99: .* another version of rwseg"),
        ({"channels": []}, r"data\.json: expected what a training wrote, .*senseless channels"),
        ({"slice_axis": 3, "patch_size": [0, 8]}, r"data\.json: .*senseless slice_axis, patch_size"),
        ({"preprocessing": None}, r"data\.json: expected what a training wrote, found TypeError"),
        ({"surprise": 1}, r"data\.json: expected what a training wrote, .*surprise"),
    ],
)
def test_data_of_another_version_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    save_inference_spec(tmp_path, DATA)
    path = tmp_path / "data.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(RunError, match=message):
        load_inference_spec(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "{}"])
def test_damaged_data_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.json").write_text(text)
    with pytest.raises(RunError, match=r"data\.json: expected what a training wrote, found"):
        load_inference_spec(tmp_path)


def test_a_trained_run_predicts_what_its_network_says(tiny: list[str], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tiny)
    member = load_run(run, "last", CPU)
    case = loaded(shape=(3, 32, 48))  # one window per slice
    image = torch.from_numpy((case.image - case.image.mean()) / case.image.std())
    with torch.no_grad():
        expected = member.network(image.transpose(0, 1)).softmax(1)  # (Z, K, H, W)
    assert not member.flips
    torch.testing.assert_close(torch.stack(list(member.slices(case))), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(predict_case([member], case), expected.argmax(1).numpy())


def test_checkpoints_differ_and_the_network_has_their_weights(tiny: list[str], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tiny)
    networks = {name: load_run(run, name, CPU).network.network.state_dict() for name in ("best", "last")}
    for name, state in networks.items():
        saved = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
        assert all(torch.equal(value, saved[f"network.{key}"]) for key, value in state.items())
    assert not torch.equal(networks["best"]["heads.0.weight"], networks["last"]["heads.0.weight"])


def test_a_planned_run_has_patch_and_pools_from_its_data(tiny: list[str], tmp_path: Path) -> None:
    planned = [override for override in tiny if not override.startswith(("dataset.patch", "dataset.batch"))]
    overrides = [*planned, "dataset=acdc", "model=acdc", "dataset.plan=auto", "schedule=small"]
    run = make_run(tmp_path / "run", overrides, pools=((2, 2), (2, 1)), patch_size=(16, 24))
    member = load_run(run, "last", CPU)
    assert member.network.network.strides == (4, 2)
    assert predict_case([member], loaded()).shape == (3, 40, 50)


def test_an_ensemble_is_the_mean_softmax_on_the_native_grid(tiny: list[str], tmp_path: Path) -> None:
    half = replace(NATIVE, zoom=0.5)
    runs = [
        make_run(tmp_path / "one", tiny, seed=1),
        make_run(tmp_path / "two", tiny, seed=2, preprocessing=half, patch_size=(16, 24)),
    ]
    members = load_ensemble(runs, "last", CPU)
    case = loaded()
    mean = sum(torch.stack(list(member.slices(case))) for member in members) / 2  # (Z, K, H, W)
    labels = predict_case(members, case)
    np.testing.assert_array_equal(labels, mean.argmax(1).numpy())
    alone = [predict_case([member], case) for member in members]
    assert (alone[0] != alone[1]).mean() > 0.05  # else any of them would pass
    assert (labels.dtype, labels.shape) == (np.uint8, (3, 40, 50))


def test_a_recipe_of_half_the_size_is_brought_back_to_the_native_grid(
    tiny: list[str], tmp_path: Path
) -> None:
    preprocessing = replace(NATIVE, zoom=0.5, interpolation="area")
    member = load_run(make_run(tmp_path / "run", tiny, preprocessing=preprocessing), "last", CPU)
    case = loaded(shape=(2, 64, 96))
    half = torch.from_numpy(prepare_volume(case, preprocessing, 4).image)
    assert half.shape == (1, 2, 32, 48)
    with torch.no_grad():
        scores = member.network(half.transpose(0, 1)).softmax(1)
    expected = F.interpolate(scores, size=(64, 96), mode="bilinear")
    torch.testing.assert_close(torch.stack(list(member.slices(case))), expected, rtol=1e-4, atol=1e-5)


def test_runs_that_do_not_go_together_are_refused(tiny: list[str], tmp_path: Path) -> None:
    one = make_run(tmp_path / "one", tiny)
    two = make_run(tmp_path / "two", tiny, classes=("background", "a", "b", "c"), slice_axis=0)
    with pytest.raises(
        RunError, match=r"(?s)classes: .*RV.* in .*one, .*'a'.* in .*two\n.*slice_axis: 2 .*0"
    ):
        load_ensemble([one, two], "last", CPU)
    with pytest.raises(RunError, match=r"expected each run once, got .*one several times"):
        load_ensemble([one, one], "last", CPU)
    with pytest.raises(RunError, match="at least one run directory"):
        load_ensemble([], "last", CPU)


def test_what_is_missing_or_foreign_is_named(tiny: list[str], tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"expected a run directory .* found no config\.yaml"):
        load_run(tmp_path, "last", CPU)
    run = make_run(tmp_path / "run", tiny)
    other = make_run(tmp_path / "other", [*tiny, "model.features=6"])
    (run / "data.json").rename(tmp_path / "data.json")
    with pytest.raises(RunError, match=r"run: expected data\.json, .* found none; train this run"):
        load_run(run, "last", CPU)
    (tmp_path / "data.json").rename(run / "data.json")
    (other / "checkpoints" / "last.ckpt").rename(run / "checkpoints" / "last.ckpt")
    with pytest.raises(RunError, match=r"last\.ckpt: expected a checkpoint of this run's configuration"):
        load_run(run, "last", CPU)
    (run / "checkpoints" / "last.ckpt").unlink()
    with pytest.raises(RunError, match=r"last\.ckpt: expected a checkpoint, found no file"):
        load_run(run, "last", CPU)
    save_inference_spec(run, replace(DATA, classes=("background", "heart"), label_values=((0,), (1,))))
    with pytest.raises(
        RunError, match=r"expected weights of the network that its configuration describes, got: Error"
    ):
        load_run(run, "best", CPU)
