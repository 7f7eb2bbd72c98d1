"""The benchmarks run, and their page says what their files say."""

import json
import subprocess
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import benchmarks.__main__ as runner
from benchmarks import losses, losses_hausdorff, losses_published, maps, metrics, volumes
from benchmarks.augmentation import slices_of
from benchmarks.document import page, ratio, read
from benchmarks.targets import TARGETS, Target
from benchmarks.timing import paired
from rwseg.experiments.build import build_data
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.experiments.prepared_run import prepare_run
from rwseg.maps import boundary_kervadec_map, boundary_map, rrw_map

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results" / "benchmarks"


def row(name: str, *samples: float) -> dict[str, Any]:
    return {"name": name, "ms": sorted(samples)[len(samples) // 2], "samples_ms": list(samples)}


def result(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "about": "Nails against screws.",
        "command": "python -m benchmarks.nails",
        "commit": "abc1234",
        "machine": {"cpu": "Abacus", "threads": 2, "gpu": None},
        "tables": {"driving": rows},
    }


NAILS = {"nails": result([row("screw", 30.0, 50.0, 40.0), row("nail", 10.0, 10.0, 20.0)])}


def target(
    what: str,
    least: float | None = None,
    most: float | None = None,
    benchmark: str = "nails",
    denominator: str | None = "nail",
    needs: str | None = None,
) -> Target:
    return Target(what, benchmark, "driving", "screw", denominator, least, most, needs)


def test_the_page_is_made_of_the_files_alone(tmp_path: Path) -> None:
    (tmp_path / "nails.json").write_text(json.dumps(NAILS["nails"]))
    targets = [
        target("faster", least=3),
        target("much faster", least=4),
        target("not slower", most=1),
        target("on a GPU", least=3, benchmark="nails-cuda", needs="a GPU"),
        target("with a magnet", least=3, denominator="magnet", needs="a magnet"),
        target("in time", most=0.04, denominator=None),
    ]
    text = page(read(tmp_path), targets)
    # ratios of the rounds: 3, 5, 2; their median is not the ratio of the medians, 4
    assert "| faster | at least 3 | 3 (2 to 5) | yes |" in text
    assert "| much faster | at least 4 | 3 (2 to 5) | **no** |" in text
    assert "| not slower | at most 1 | 3 (2 to 5) | **no** |" in text
    assert "| on a GPU | at least 3 | not measured (needs a GPU) |  |" in text
    assert "| with a magnet | at least 3 | not measured (needs a magnet) |  |" in text
    assert "| in time | at most 0.04 s | 0.04 (0.03 to 0.05) | yes |" in text
    assert "`python -m benchmarks.nails`, commit abc1234; cpu Abacus, threads 2." in text
    assert "| screw | 40 |" in text
    assert "samples" not in text


def test_a_page_of_nothing_says_so() -> None:
    text = page({}, TARGETS)
    assert text.count("| not measured") == len(TARGETS)


def test_the_committed_page_is_what_the_committed_files_give() -> None:
    committed = (ROOT / "docs" / "benchmarks.md").read_text()
    assert committed == page(read(RESULTS)), "run python -m benchmarks.document"


def test_a_target_that_no_longer_fits_its_file_is_an_error() -> None:
    with pytest.raises(ValueError, match="nails: expected a table 'sawing', got 'driving'"):
        ratio(NAILS, "nails", "sawing", "screw", "nail")
    with pytest.raises(ValueError, match="expected a row 'bolt', got 'screw', 'nail'"):
        ratio(NAILS, "nails", "driving", "screw", "bolt")
    with pytest.raises(ValueError, match="expected one of least and most, got least=None, most=None"):
        target("anything")


def test_works_are_timed_in_turns_and_samples_are_kept() -> None:
    calls: list[str] = []
    rows = paired({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, "a", rounds=3)
    assert calls == ["a", "b"] * 4  # a round of warming up, which is not counted
    assert [len(one["samples_ms"]) for one in rows] == [3, 3]
    assert rows[0]["faster"] == 1


def test_every_benchmark_takes_the_options_of_the_runner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if command[0] == "git":
            return subprocess.CompletedProcess(command, 0, "abc1234\n")
        started.append(command[1:])
        Path(command[-1]).write_text(json.dumps({"machine": {}, "tables": {}}))
        return subprocess.CompletedProcess(command, int("maps" in command[2]))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("RWSEG_DATA", "somewhere")
    asked = ["losses", "maps", "--out", str(tmp_path), "--rounds", "2", "--device", "cuda"]
    assert runner.main(asked) == 1  # maps failed, losses ran all the same
    assert [command[:6] for command in started] == [
        ["-m", f"benchmarks.{name}", "--rounds", "2", "--device", "cuda"] for name in ("losses", "maps")
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["losses-cuda.json"]
    kept = json.loads((tmp_path / "losses-cuda.json").read_text())
    assert kept["command"] == "RWSEG_DATA=FOLDER python -m benchmarks.losses --rounds 2 --device cuda"
    assert kept["about"].startswith("Forward and backward")


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        runner.main(["knitting"])
    assert "expected benchmarks of augmentation, " in capsys.readouterr().err


SPACING = (10.0, 1.5, 1.25)
SMALL = [(volumes.phantom((5, 40, 33)), SPACING), (volumes.phantom((4, 30, 36)), SPACING)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Benchmarks on volumes and slices of a size that takes no time."""
    for name in ("losses_hausdorff", "losses_monai", "losses_published", "maps", "metrics"):
        module = import_module(f"benchmarks.{name}")
        monkeypatch.setattr(module, "label_volumes", lambda _: ("small phantoms", SMALL))
        if hasattr(module, "slices"):
            monkeypatch.setattr(module, "slices", lambda given, *_: volumes.slices(given, 2, (28, 20)))
    monkeypatch.setattr(losses, "works", partial(losses.works, shape=(2, 24, 16)))
    monkeypatch.setattr(losses, "composed_works", partial(losses.composed_works, count=1))
    monkeypatch.setattr(losses, "COMPOSITIONS", {"[rrw]": ["rrw"], "[skeleton]": ["skeleton"]})


@pytest.mark.usefixtures("small")
@pytest.mark.filterwarnings("ignore:Please import .* from the .scipy:DeprecationWarning")  # surface-distance
@pytest.mark.filterwarnings(
    "ignore:.*always_return_as_numpy:FutureWarning"
)  # MONAI's call of its own function
@pytest.mark.parametrize(
    "name", ["losses", "losses_hausdorff", "losses_monai", "losses_published", "maps", "metrics"]
)
def test_a_benchmark_leaves_the_rows_that_its_targets_name(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.json"
    threads = torch.get_num_threads()
    try:
        import_module(f"benchmarks.{name}").main(["--rounds", "2", "--json", str(file)])
    finally:
        torch.set_num_threads(threads)
    results = read(tmp_path)
    assert results[name]["machine"]["torch"] == torch.__version__
    for wanted in TARGETS:
        if wanted.benchmark == name:
            found = ratio(results, name, wanted.table, wanted.numerator, wanted.denominator)
            assert found is not None
            assert found.median > 0
    never = [replace(one, least=1e9, most=None) for one in TARGETS if one.benchmark == name]
    assert "**no**" in page(results, never) or not never  # with the paragraph on what bounds it


def test_peers_get_the_slices_that_were_prepared(tiny: list[str]) -> None:
    cfg = check(compose("train", [*tiny, "data.residency=device"])[0])
    data = build_data(prepare_run(cfg))
    data.prepare_data()
    data.training_batch(0, torch.device("cpu"))
    samples = slices_of(data)
    images = [plane for entry in data.train_entries for plane in data.prepared.image(entry).swapaxes(0, 1)]
    assert len(samples) == len(images) > 0
    for sample, image in zip(samples, images, strict=True):
        torch.testing.assert_close(sample["image"], torch.from_numpy(np.array(image)), rtol=0, atol=0)


def test_batches_are_timed_on_the_data_of_a_configuration(tiny: list[str], tmp_path: Path) -> None:
    file = tmp_path / "augmentation.json"
    overrides = [one for one in tiny if not one.startswith(("model", "schedule", "trainer", "evaluation"))]
    import_module("benchmarks.augmentation").main(
        ["--rounds", "2", "--threads", "1", "--json", str(file), "workers=1", *overrides]
    )
    (wanted,) = [one for one in TARGETS if one.benchmark == "augmentation"]
    assert ratio(read(tmp_path), "augmentation", wanted.table, wanted.numerator, wanted.denominator)


@pytest.mark.parametrize("labels", [SMALL[0][0], np.zeros((3, 7, 9), np.int64)], ids=["phantom", "empty"])
def test_peers_of_maps_compute_what_ours_do(labels: volumes.Labels) -> None:
    """But for the class that fills an item, which SciPy leaves undefined."""
    tensor = torch.from_numpy(labels)[None]
    defined = [k for k in range(4) if (labels != k).any()]
    for peer, own in (
        (maps.scipy_rrw(labels, SPACING), rrw_map(tensor, 4, SPACING)),
        (maps.scipy_boundary(labels, SPACING), boundary_map(tensor, 4, SPACING)),
        (maps.scipy_boundary(labels, (1, 1, 1), 1.0), boundary_kervadec_map(tensor, 4)),
    ):
        np.testing.assert_allclose(own[0, defined], peer[defined], rtol=1e-5, atol=1e-5)


def test_peers_of_losses_compute_what_ours_do() -> None:
    labels = volumes.slices(SMALL, 3, (28, 20))
    logits = volumes.predicted(labels, 4)
    published = losses_published.works(logits, labels)
    (gradient,) = published["published code"]()  # type: ignore[misc]
    for name in ("map precomputed", "map computed"):
        torch.testing.assert_close(published[name]()[0], gradient)  # type: ignore[index]
    winners = torch.nn.functional.one_hot(logits.argmax(1), 4).movedim(-1, 1)
    sure = (logits + 4 * winners).detach().requires_grad_()  # above one half: both take the same masks
    works = losses_hausdorff.works(sure, labels)
    torch.testing.assert_close(works["rwseg"]()[0], works["MONAI"]()[0], rtol=1e-4, atol=1e-7)  # type: ignore[index]


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
def test_peer_of_metrics_computes_what_ours_does() -> None:
    for pairs in metrics.predictions(SMALL).values():
        for pair in pairs:
            np.testing.assert_allclose(metrics.ours(*pair), metrics.monai(*pair), atol=1e-4)


def test_volumes_are_the_phantom_or_those_of_the_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, phantom_root: Path
) -> None:
    monkeypatch.delenv("RWSEG_DATA", raising=False)
    name, [(labels, spacing)] = volumes.label_volumes(4)
    assert (name, labels.shape, spacing) == (
        "the phantom, 10 x 256 x 216",
        (10, 256, 216),
        (10, 1.5625, 1.5625),
    )
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    monkeypatch.setenv("RWSEG_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"RWSEG_DATA: expected ACDC's training/.* got none"):
        volumes.label_volumes(4)
    (tmp_path / "acdc").symlink_to(phantom_root)
    name, found = volumes.label_volumes(3)
    assert name.startswith("ACDC, patient")
    assert len(found) == 3
    assert all(labels.ndim == 3 and len(spacing) == 3 for labels, spacing in found)


def test_slices_are_cut_and_padded_around_the_centre() -> None:
    labels = np.arange(2 * 5 * 4).reshape(2, 5, 4)
    batch = volumes.slices([(labels, SPACING)], 3, (3, 6))
    assert batch.shape == (3, 3, 6)
    np.testing.assert_array_equal(batch[0, :, 1:5], labels[0, 1:4])
    assert (batch[:, :, [0, 5]] == 0).all()
    assert torch.equal(batch[2], batch[0])  # repeated, there are two only
