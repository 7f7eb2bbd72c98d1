"""Maps and distances against SciPy per class.

    python -m benchmarks.maps

Maps of whole volumes, against the steps of the published codes with SciPy: those of Valverde and Tohka for
the RRW and the boundary map, those of Kervadec et al. for theirs. Distances of a batch of 40 slices: the
transform in C++ (edt), the one in PyTorch, and that one on a CUDA device with `--device cuda`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from benchmarks.timing import Work, paired, parser, report
from benchmarks.volumes import K, Labels, Volume, label_volumes, slices
from rwseg.maps import boundary_kervadec_map, boundary_map, rectified_rrw_map, rrw_map
from rwseg.maps.distance import inside_distance, outside_distances

Map = NDArray[np.float64]
SCIPY = "SciPy per class"


def scipy_rrw(labels: Labels, spacing: Sequence[float]) -> Map:
    z = np.zeros((K, *labels.shape))
    for k in range(K):
        distance = distance_transform_edt(labels == k, sampling=spacing)
        z[k] = -distance / np.max(distance + 1e-15)
    z[z == 0] = 1
    return z


def scipy_boundary(labels: Labels, spacing: Sequence[float], inner_border: float = 0.0) -> Map:
    """Kervadec's map for an inner border of 1: his code takes it off the inside distance."""
    z = np.zeros((K, *labels.shape))
    for k in range(K):
        mask = labels == k
        if mask.any():
            outside = distance_transform_edt(~mask, sampling=spacing)
            z[k] = outside - (distance_transform_edt(mask, sampling=spacing) - inner_border) * mask
    return z


def scipy_inside(batch: Labels) -> Map:
    return np.stack(
        [sum(distance_transform_edt(item == k) for k in range(K) if (item == k).any()) for item in batch]
    )


def scipy_outside(batch: Labels) -> Map:
    distances = np.zeros((len(batch), K, *batch.shape[1:]))
    for item, channels in zip(batch, distances, strict=True):
        for k in range(K):
            if (item == k).any():
                channels[k] = distance_transform_edt(item != k)
    return distances


def volume_works(volumes: Sequence[Volume], device: str) -> dict[str, dict[str, Work]]:
    """All volumes in one work; Kervadec's code takes pixels."""
    tensors = [(torch.from_numpy(labels)[None].to(device), spacing) for labels, spacing in volumes]

    def scipy(build: Callable[..., Map]) -> Work:
        return lambda: [build(labels, spacing) for labels, spacing in volumes]

    def ours(build: Callable[..., object]) -> Work:
        return lambda: [build(labels, K, spacing) for labels, spacing in tensors]

    return {
        "RRW map": {
            SCIPY: scipy(scipy_rrw),
            "rrw_map": ours(rrw_map),
            "rectified_rrw_map": ours(rectified_rrw_map),
            "its distances": lambda: [inside_distance(labels, spacing) for labels, spacing in tensors],
        },
        "boundary map": {
            SCIPY: scipy(scipy_boundary),
            "boundary_map": ours(boundary_map),
            "its distances": ours(outside_distances),
        },
        "boundary map of Kervadec et al., in pixels": {
            SCIPY: lambda: [scipy_boundary(labels, (1, 1, 1), 1.0) for labels, _ in volumes],
            "boundary_kervadec_map": lambda: [boundary_kervadec_map(labels, K) for labels, _ in tensors],
        },
    }


def batch_works(batch: Labels, device: str) -> dict[str, dict[str, Work]]:
    labels = torch.from_numpy(batch)
    there = labels.to(device)
    torch_name = "torch on the GPU" if device == "cuda" else "torch"
    shape = " x ".join(map(str, batch.shape))
    return {
        f"inside distances, {shape}": {
            SCIPY: lambda: scipy_inside(batch),
            "edt": lambda: inside_distance(labels, backend="edt"),
            torch_name: lambda: inside_distance(there, backend="torch"),
        },
        f"outside distances of {K} classes, {shape}": {
            SCIPY: lambda: scipy_outside(batch),
            "edt": lambda: outside_distances(labels, K, backend="edt"),
            torch_name: lambda: outside_distances(there, K, backend="torch"),
        },
    }


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser(__doc__.splitlines()[0]).parse_args(arguments)
    torch.set_num_threads(given.threads)
    data, volumes = label_volumes(4)
    batch = slices(volumes, 40, (224, 224)).numpy()
    works = volume_works(volumes, given.device) | batch_works(batch, given.device)
    tables: dict[str, list[dict[str, Any]]] = {
        title: paired(pair, SCIPY, given.rounds) for title, pair in works.items()
    }
    report(tables, given.threads, given.json, data)


if __name__ == "__main__":
    main()
