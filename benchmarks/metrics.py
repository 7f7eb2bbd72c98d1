"""Dice, Hausdorff distance and its 95th percentile of all classes of a volume, against peers.

    python -m benchmarks.metrics

A good prediction is the reference two pixels off; with far false positives each class has a speck in a corner
as well. MONAI computes the same numbers. surface-distance (optional: pip install 'rwseg[bench]') measures
between surface elements instead of voxels, so its numbers differ by a fraction of a voxel.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance

from benchmarks.timing import Work, paired, parser, report
from benchmarks.volumes import K, Labels, Volume, label_volumes
from rwseg.metrics import case_metrics

CLASSES = ("background", "RV", "myocardium", "LV")
Pair = tuple[Labels, Labels, tuple[float, ...]]


def predictions(volumes: Sequence[Volume]) -> dict[str, list[Pair]]:
    """Prediction, reference and spacing per volume, for each kind of prediction."""
    good = [(np.roll(labels, 2, axis=1), labels, spacing) for labels, spacing in volumes]
    far = [(with_specks(prediction), labels, spacing) for prediction, labels, spacing in good]
    return {"volume, good prediction": good, "volume, far false positives": far}


def with_specks(prediction: Labels) -> Labels:
    speckled = prediction.copy()
    for k in range(1, K):
        corner = (0, -1)[k % 2]
        speckled[corner, :3, 4 * k : 4 * k + 3] = k
        speckled[-1 - corner, -3:, -4 * k - 3 : -4 * k] = k
    return speckled


def monai(prediction: Labels, reference: Labels, spacing: tuple[float, ...]) -> list[list[float]]:
    """Dice, Hausdorff distance and 95th percentile, each of all foreground classes."""
    masks = [
        torch.stack([torch.from_numpy(labels) == k for k in range(K)])[None].float()
        for labels in (prediction, reference)
    ]
    distances = [compute_hausdorff_distance(*masks, percentile=q, spacing=spacing) for q in (None, 95.0)]
    return [x[0].tolist() for x in (compute_dice(*masks, include_background=False), *distances)]


def ours(prediction: Labels, reference: Labels, spacing: tuple[float, ...]) -> list[list[float]]:
    rows = case_metrics(prediction, reference, CLASSES, spacing)
    return [[float(row[key]) for row in rows] for key in ("dice", "hausdorff", "hausdorff95")]  # type: ignore[literal-required]


def surface_distance(prediction: Labels, reference: Labels, spacing: tuple[float, ...]) -> list[list[float]]:
    peer = import_module("surface_distance")
    rows = []
    for k in range(1, K):
        masks = reference == k, prediction == k
        distances = peer.compute_surface_distances(*masks, spacing)
        robust = [peer.compute_robust_hausdorff(distances, q) for q in (100, 95)]
        rows.append([peer.compute_dice_coefficient(*masks), *robust])
    return [list(column) for column in zip(*rows, strict=True)]


def works(pairs: Sequence[Pair]) -> dict[str, Work]:
    def over(metric: Callable[..., object]) -> Work:
        return lambda: [metric(*pair) for pair in pairs]

    named = {"MONAI": over(monai), "rwseg": over(ours)}
    return named | ({"surface-distance": over(surface_distance)} if find_spec("surface_distance") else {})


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser(__doc__.splitlines()[0]).parse_args(arguments)
    torch.set_num_threads(given.threads)
    if not find_spec("surface_distance"):
        print("surface-distance is not installed, so it is left out: pip install 'rwseg[bench]'")
    data, volumes = label_volumes(4)
    tables: dict[str, list[dict[str, Any]]] = {
        title: paired(works(pairs), "MONAI", given.rounds) for title, pairs in predictions(volumes).items()
    }
    report(tables, given.threads, given.json, data)


if __name__ == "__main__":
    main()
