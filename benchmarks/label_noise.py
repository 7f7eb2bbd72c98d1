"""ACDC with noisy labels (experiment=label_noise): python -m benchmarks.label_noise --data ACDC --out FOLDER.

Two annotators, each of whom got 20 % of the structures of the training cases wrong, drawn for each of them
alone: a third of these are dilated, eroded and dropped. The first one's labels are those of the training
cases in FOLDER; FOLDER/weights holds 0 where the two disagree, else 1. Images and validation labels are
links to those in ACDC.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rwseg.core.progress import track
from rwseg.data.case import Case
from rwseg.data.datasets import acdc
from rwseg.data.io.cases import read_case, write_labels

SHARE = 0.2
"""Of the structures of all training cases, how many an annotator gets wrong."""

KINDS = ("dilated", "eroded", "dropped")

RADIUS = 4.0
"""By how many mm in the slice a structure is dilated or eroded."""

Labels = NDArray[np.uint8]
Noise = dict[tuple[str, int], str]
"""What is wrong with a structure, by case and class."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the data set."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="ACDC as it was published, with training/")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--share", type=float, default=SHARE, help="of the structures, for each annotator")
    parser.add_argument("--seed", type=int, default=0, help="of the noise, not of the runs")
    asked = parser.parse_args(arguments)
    print(write_noisy(asked.data.absolute(), asked.out.absolute(), asked.share, asked.seed))


def write_noisy(data: Path, out: Path, share: float = SHARE, seed: int = 0) -> str:
    """Write the data set, and return a sentence on it; `FileExistsError` where `out` is there."""
    source = acdc.load(data)
    begun = new_folder(out)
    training = [case for case in source.cases if case.split == "train"]
    loaded = {case.name: read_case(case, source, 2) for case in training}
    structures = [
        (case.name, k)
        for case in training
        for k in range(1, len(source.classes))
        if (loaded[case.name].label == k).any()
    ]
    noises = [drawn_noise(structures, share, [seed, annotator]) for annotator in range(2)]
    for case in track(source.cases, "labels"):
        _link(case, begun)
        if case.name not in loaded:
            continue
        clean, spacing = loaded[case.name].label, loaded[case.name].spacing
        assert clean is not None
        first, second = (annotated(clean, case.name, noise, spacing[1:]) for noise in noises)
        assert case.label is not None
        write_labels(_target(case, case.label, begun), first, case.images[0], 2)
        agree = (first == second).astype(np.uint8)
        write_labels(begun / "weights" / f"{case.name}.nii.gz", agree, case.images[0], 2)
    begun.rename(out)
    return f"{len(noises[0])} of {len(structures)} structures wrong for each annotator, in {out}"


def new_folder(out: Path) -> Path:
    """A folder beside `out` to be renamed when it is whole; `FileExistsError` where `out` is there."""
    if out.exists():
        raise FileExistsError(f"{out}: expected a new folder, got one that is there")
    out.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))


def drawn_noise(structures: Sequence[tuple[str, int]], share: float, seed: Sequence[int]) -> Noise:
    """Which of the structures an annotator gets wrong, and how: each kind equally often."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(structures))[: round(share * len(structures))]
    return {structures[number]: KINDS[place % len(KINDS)] for place, number in enumerate(chosen)}


def annotated(clean: Labels, case: str, noise: Noise, spacing: tuple[float, float]) -> Labels:
    """The labels `(Z, H, W)` of an annotator who gets the structures of `noise` wrong; mm in the slice."""
    found = clean.copy()
    for k in np.unique(clean[clean > 0]).tolist():
        kind, structure = noise.get((case, k)), clean == k
        if kind in ("eroded", "dropped"):
            kept = _eroded(structure, spacing) if kind == "eroded" else np.zeros_like(structure)
            found[structure & ~kept] = 0
    for k in np.unique(clean[clean > 0]).tolist():
        if noise.get((case, k)) == "dilated":
            found[~_eroded(clean != k, spacing)] = k
    return found


def _eroded(mask: NDArray[np.bool_], spacing: tuple[float, float]) -> NDArray[np.bool_]:
    """Pixels of `(Z, H, W)` farther than `RADIUS` from the nearest other pixel of their slice."""
    planes = [
        ndimage.distance_transform_edt(plane, sampling=spacing) > RADIUS if not plane.all() else plane
        for plane in mask
    ]
    return np.stack(planes)


def _link(case: Case, out: Path) -> None:
    """Link to what stays as it is: the image, `Info.cfg`, and the label of a case that validates."""
    stays = [case.images[0], case.images[0].parent / "Info.cfg"]
    if case.split != "train" and case.label is not None:
        stays.append(case.label)
    for path in stays:
        target = _target(case, path, out)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.symlink_to(path)


def _target(case: Case, path: Path, out: Path) -> Path:
    return out / "training" / case.subject / path.name


if __name__ == "__main__":
    main()
