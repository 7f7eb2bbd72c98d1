"""The data of experiment=label_noise and experiment=transfer: which structures are wrong, and who trains."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.label_noise import KINDS, RADIUS, annotated, drawn_noise, write_noisy
from benchmarks.transfer import write_transfer
from rwseg.data.datasets import acdc
from rwseg.data.io.cases import read_case


def test_a_fifth_of_the_structures_is_wrong_each_kind_equally_often() -> None:
    structures = [(f"case{n}", k) for n in range(100) for k in (1, 2, 3)]
    noise = drawn_noise(structures, 0.2, [0, 0])
    assert Counter(noise.values()) == dict.fromkeys(KINDS, 20)
    assert drawn_noise(structures, 0.2, [0, 0]) == noise
    others = [drawn_noise(structures, 0.2, seed) for seed in ([0, 1], [1, 0])]
    for other in others:
        assert len(other) == 60
        assert 0 < len(noise.keys() & other.keys()) < 30  # 12 of 60 by chance


def test_what_is_wrong_with_a_structure() -> None:
    y, x = np.mgrid[:40, :40] - 19.5
    disc = (np.hypot(y, 1.5 * x) < 14).astype(np.uint8)[None]  # of 14 mm; x in pixels of 1.5 mm
    spacing = (1.0, 1.5)
    assert not annotated(disc, "a", {("a", 1): "dropped"}, spacing).any()
    assert (annotated(disc, "b", {("a", 1): "dropped"}, spacing) == disc).all()
    for kind, radius in (("dilated", 14 + RADIUS), ("eroded", 14 - RADIUS)):
        found = annotated(disc, "a", {("a", 1): kind}, spacing)[0]
        assert (found == (np.hypot(y, 1.5 * x) < radius)).mean() > 0.95
        assert found.sum() == pytest.approx(np.pi * radius**2 / 1.5, rel=0.08)


def test_the_noisy_data_set_is_written_twice_the_same_and_validation_is_clean(
    phantom_root: Path, tmp_path: Path
) -> None:
    said = [write_noisy(phantom_root, tmp_path / name) for name in ("a", "b")]
    clean, *noisy = (acdc.load(root) for root in (phantom_root, tmp_path / "a", tmp_path / "b"))
    assert said[0].startswith("2 of 12 structures")
    changed = 0
    for case, first, second in zip(clean.cases, noisy[0].cases, noisy[1].cases, strict=True):
        before, a, b = (read_case(one, clean, 2) for one in (case, first, second))
        assert (a.image == before.image).all()
        assert a.label is not None
        assert before.label is not None
        assert (a.label == b.label).all()
        wrong = [k for k in (1, 2, 3) if ((a.label == k) != (before.label == k)).any()]
        assert case.split == "train" or not wrong
        changed += bool(wrong)
        weights = tmp_path / "a" / "weights" / f"{case.name}.nii.gz"
        assert weights.is_file() == (case.split == "train")
    assert changed
    with pytest.raises(FileExistsError):
        write_noisy(phantom_root, tmp_path / "a")


def test_phantoms_train_beside_a_few_patients(phantom_root: Path, tmp_path: Path) -> None:
    target, both = (
        acdc.load(root) for root in write_transfer(phantom_root, tmp_path / "out", patients=1, phantoms=3)
    )
    assert Counter(case.split for case in target.cases) == {"train": 2, "val": 4}
    assert Counter((case.split, case.group) for case in both.cases) == {
        ("train", "NOR"): 2,
        ("train", "PHANTOM"): 6,
        ("val", "NOR"): 4,
    }
    read_case(next(case for case in both.cases if case.group == "PHANTOM"), both, 2)
