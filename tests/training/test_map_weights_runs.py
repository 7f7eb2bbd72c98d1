"""Runs with weights of maps: of ones they are those without, they resume exactly, and faults are told."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from hydra.errors import InstantiationException
from torch import Tensor
from trainings import run

from rwseg.core.errors import ConfigError, DataError, RunError
from rwseg.data.io.nifti import write_volume
from rwseg.data.preprocessing.prepared import Entry
from rwseg.experiments.composition import compose, preflight
from rwseg.experiments.config.validation import check
from rwseg.experiments.prepared_run import prepare_run
from rwseg.experiments.trainer import configured_callbacks
from rwseg.training.callbacks.map_weights import CaseWeights, MapWeights, PixelWeights, Samples

CASE_WEIGHTS = "rwseg.training.callbacks.map_weights.CaseWeights"
PIXELS = ["callbacks=pixel_weights"]
ROOT = Path(__file__).resolve().parents[2]


def table(*weights: str, others: str = "1") -> list[str]:
    return [
        "callbacks=case_weights",
        f"+callbacks.case_weights.weights={{{','.join(weights)}}}",
        f"callbacks.case_weights.others={others}",
    ]


def same_training(a: Path, b: Path) -> bool:
    first, second = (pd.read_csv(path / "metrics" / "epochs.csv") for path in (a, b))
    columns = ["train/loss", "train/loss_gap", "train/wrong_sign", "val/loss", "val/dice"]
    states = [
        torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for path in (a, b)
    ]
    same = all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    return same and first[columns].equals(second[columns])


@pytest.fixture
def weighed(tiny: list[str], phantom_root: Path, tmp_path: Path) -> list[str]:
    """`tiny` on a copy of the phantom with a file of ones for each training case."""
    root = tmp_path / "phantom"
    shutil.copytree(phantom_root, root)
    own = [word for word in tiny if not word.startswith("dataset.root=")] + [f"dataset.root={root}"]
    cfg, _ = compose("train", own)
    for entry in prepare_run(check(cfg)).data.split("train"):
        ones = np.ones(entry.native_shape, np.float32)
        write_volume(root / "weights" / f"{entry.name}.nii.gz", ones, entry.native_spacing)
    return own


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        ["loss=rrw"],
        ["loss=rw_boundary", "map.source=online"],
        ["loss=rw_ac", "strategy=gradual_dice"],
        ["loss=rw", "loss.map=[{edge_emphasis: 2},{mix: {map: [rrw], weight: 0.5}}]"],
    ],
)
def test_weights_of_one_are_no_weights(weighed: list[str], settings: list[str]) -> None:
    short = [*weighed, *settings, "schedule.epochs=2"]
    plain = run(short)
    for callbacks in (PIXELS, table("NOR:1")):
        other = run([*short, *callbacks])
        assert other != plain
        assert same_training(plain, other)


@pytest.mark.slow
def test_a_run_that_stops_goes_on_as_if_it_had_not(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [*tiny, *table("patient002:[1,0]", others="[0.5,2]")]
    whole = run([*own, f"output_root={tmp_path / 'whole'}"])
    assert not same_training(whole, run([*tiny]))
    original = CaseWeights.weights

    def until_the_second_epoch(self: CaseWeights, samples: Samples) -> Tensor:
        if samples.epoch == 1:
            raise RuntimeError("the power is gone")
        return original(self, samples)

    with monkeypatch.context() as patch:
        patch.setattr(CaseWeights, "weights", until_the_second_epoch)
        with pytest.raises(RuntimeError, match="power"):
            run(own)
    assert same_training(whole, run(own))


def test_a_run_says_which_files_it_was_weighed_with_and_refuses_others(weighed: list[str]) -> None:
    folder = run([*weighed, *PIXELS, "schedule.epochs=1"])
    content = json.loads((folder / "run.json").read_text())
    assert content["pixel_files"].startswith("pixels-")
    content["status"] = "interrupted"
    (folder / "run.json").write_text(json.dumps(content))
    root = Path(weighed[-1].partition("=")[2])
    for path in (root / "weights").iterdir():
        path.write_bytes(next((root / "training").glob(f"*/{path.name}")).read_bytes())
    with pytest.raises(RunError, match="other pixel files"):
        run([*weighed, *PIXELS, "schedule.epochs=1"])


def test_what_does_not_fit_is_said_before_anything_is_made(
    weighed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faults: list[tuple[list[str], type[Exception], str]] = [
        ([*PIXELS, "loss=dice"], ConfigError, "DiceLoss takes no region-wise map"),
        (
            [*PIXELS, "map.source=online", "augment=custom", "augment._target_=mine.shifted"],
            ConfigError,
            "weighed by pixel",
        ),
        ([*PIXELS, "loss=dpce"], ConfigError, "proportional to its map"),
        (
            [*PIXELS, "callbacks.pixel_weights.folder=nowhere"],
            DataError,
            "nowhere.*file for each training case",
        ),
        (table("patient9:0"), ConfigError, r"weights\.patient9: expected the name.*patient002.*groups: NOR"),
        (
            ["callbacks=pixel_weights", "callbacks.pixel_weights.folder=null"],
            InstantiationException,
            "folder",
        ),
        (
            ["callbacks=case_weights", "+callbacks.case_weights.weights=[0.5]"],
            InstantiationException,
            "a table",
        ),
        (
            table("NOR:true"),
            InstantiationException,
            r"weights\.NOR: expected a number of 0 or more.*got True",
        ),
        (table("NOR:-1"), InstantiationException, r"weights\.NOR: expected a number of 0 or more.*got -1"),
        (table("NOR:[1,2,3]"), InstantiationException, r"weights\.NOR: expected a number"),
        (
            [
                *PIXELS,
                "+callbacks.b._target_=rwseg.training.callbacks.map_weights.PixelWeights",
                "+callbacks.b.folder=x",
            ],
            ConfigError,
            "got several",
        ),
    ]
    for settings, kind, said in faults:
        with pytest.raises(kind, match=said):
            run([*weighed, *settings])
    assert not (tmp_path / "outputs").exists()


def test_a_schedule_for_all_is_a_word_of_the_command_line() -> None:
    ((cfg, _),) = preflight(
        "train", ["-m", "callbacks=case_weights", "callbacks.case_weights.others=[1,0.1]"]
    )
    (callback,) = (one for one in configured_callbacks(cfg.callbacks or {}) if isinstance(one, CaseWeights))
    cases = [SimpleNamespace(name="a", subject="b", group="")]
    values = [
        callback.weights(Samples(cases, None, epoch, 10, torch.device("cpu"))).item()  # type: ignore[arg-type]
        for epoch in (0, 9)
    ]
    assert values == pytest.approx([1, 0.1])


class Wrong(MapWeights):
    def weights(self, samples: Samples) -> Tensor:
        return torch.ones(2, 2)


def test_weights_of_another_shape_are_refused(tiny: list[str]) -> None:
    with pytest.raises(
        ConfigError, match=r"Wrong\.weights: expected a tensor of shape \(3,\) or \(3, 32, 48\)"
    ):
        run([*tiny, f"+callbacks.own._target_={__name__}.Wrong"])


def entry(name: str, subject: str, group: str) -> Any:
    return SimpleNamespace(name=name, subject=subject, group=group)


def test_the_table_knows_cases_before_subjects_before_groups() -> None:
    cases: list[Entry] = [
        entry("a1", "a", "x"),
        entry("a2", "a", "x"),
        entry("b1", "b", "x"),
        entry("c1", "c", "y"),
    ]
    weights = CaseWeights({"a1": 0.25, "a": 0.5, "x": [1, 0]}, others=[2, 4])
    weights.check(cases)
    for epoch, expected in ((0, [0.25, 0.5, 1, 2]), (2, [0.25, 0.5, 0.5, 3]), (4, [0.25, 0.5, 0, 4])):
        samples = Samples(cases, None, epoch, 5, torch.device("cpu"))
        assert weights.weights(samples).tolist() == expected
    assert CaseWeights({"x": [3, 1]}).weights(
        Samples(cases[:1], None, 0, 1, torch.device("cpu"))
    ).tolist() == [3]


def test_several_callbacks_multiply(weighed: list[str]) -> None:
    """Weights of a half by pixel and of two by case are none."""
    root = Path(weighed[-1].partition("=")[2])
    plain = run([*weighed, "schedule.epochs=1"])
    for path in (root / "weights").iterdir():
        image = next((root / "training").glob(f"*/{path.name}"))
        volume = nibabel.load(image)  # type: ignore[attr-defined]
        half = np.full(volume.shape, 0.5, np.float32)
        nibabel.save(nibabel.Nifti1Image(half, volume.affine), path)  # type: ignore[attr-defined]
    own = [*PIXELS, f"+callbacks.two._target_={CASE_WEIGHTS}", "+callbacks.two.weights={NOR:2}"]
    assert same_training(plain, run([*weighed, "schedule.epochs=1", *own]))
    assert PixelWeights("x").folder == "x"


@pytest.mark.slow
def test_the_example_of_the_document_trains(weighed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(weighed[-1].partition("=")[2])
    (root / "weights").rename(root / "agreement")
    document = (ROOT / "docs" / "map-weights.md").read_text(encoding="utf-8")
    example = document.partition("```python\n# mine.py\n")[2].partition("```")[0]
    (root / "of_the_document.py").write_text(example, encoding="utf-8")  # tests have a module `mine`
    monkeypatch.syspath_prepend(root)
    plain = run([*weighed, "schedule.epochs=1"])
    assert same_training(
        plain, run([*weighed, "schedule.epochs=1", "+callbacks.doubtful._target_=of_the_document.Doubtful"])
    )
