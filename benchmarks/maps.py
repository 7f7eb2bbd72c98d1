"""Maps and distances against SciPy per class: `python -m benchmarks.maps [--labels VOLUME.nii.gz ...]`.

Volumes: the RRW and the boundary map of each label volume given (without one: of a phantom of 10 x 256 x
216), against the published code's steps with SciPy. Batch: the device transform of 40 x 224 x 224 slices of 4
classes on the CPU and, where there is one, on a CUDA device. `x` is how many times faster than SciPy.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from benchmarks.timing import Work, paired, parser, report
from rwseg.distance import inside_distance, outside_distances
from rwseg.maps import boundary_map, rectified_rrw_map, rrw_map

K = 4
Labels = NDArray[np.int64]


def phantom(shape: Sequence[int]) -> Labels:
    """A heart of ellipses: a left ventricle (3) in its muscle (2) beside a right ventricle (1)."""
    z, y, x = (np.arange(n).reshape(-1, *[1] * (2 - i)) / n - 0.5 for i, n in enumerate(shape))
    taper = 1 - 0.8 * (z + 0.5)
    labels = np.zeros(shape, np.int64)
    labels[np.hypot((y - 0.01) / 1.3, x + 0.13) < 0.11 * taper] = 1
    labels[np.hypot(y, x) < 0.12 * taper] = 2
    labels[np.hypot(y, x) < 0.08 * taper] = 3
    return labels


def read(path: Path) -> tuple[Labels, tuple[float, ...]]:
    """A label volume `(Z, Y, X)` and its spacing in that order."""
    image = nib.nifti1.Nifti1Image.from_filename(path)
    labels = np.ascontiguousarray(np.asarray(image.dataobj).T.astype(np.int64))
    return labels, tuple(float(step) for step in image.header["pixdim"][3:0:-1])


def scipy_rrw(labels: Labels, spacing: Sequence[float]) -> NDArray[np.float64]:
    z = np.zeros((K, *labels.shape))
    for k in range(K):
        distance = distance_transform_edt(labels == k, sampling=spacing)
        z[k] = -distance / np.max(distance + 1e-15)
    z[z == 0] = 1
    return z


def scipy_boundary(labels: Labels, spacing: Sequence[float]) -> NDArray[np.float64]:
    z = np.zeros((K, *labels.shape))
    for k in range(K):
        mask = labels == k
        if mask.any():
            outside = distance_transform_edt(~mask, sampling=spacing)
            z[k] = outside - distance_transform_edt(mask, sampling=spacing)
    return z


def scipy_inside(batch: Labels) -> NDArray[np.float64]:
    return np.stack(
        [sum(distance_transform_edt(item == k) for k in range(K) if (item == k).any()) for item in batch]
    )


def scipy_outside(batch: Labels) -> NDArray[np.float64]:
    distances = np.zeros((len(batch), K, *batch.shape[1:]))
    for item, channels in zip(batch, distances, strict=True):
        for k in range(K):
            if (item == k).any():
                channels[k] = distance_transform_edt(item != k)
    return distances


def volume_works(labels: Labels, spacing: Sequence[float]) -> dict[str, dict[str, Work]]:
    tensor = torch.from_numpy(labels)[None]
    return {
        "RRW map": {
            "scipy per class": lambda: scipy_rrw(labels, spacing),
            "rrw_map": lambda: rrw_map(tensor, K, spacing),
            "rectified_rrw_map": lambda: rectified_rrw_map(tensor, K, spacing),
        },
        "boundary map": {
            "scipy per class": lambda: scipy_boundary(labels, spacing),
            "boundary_map": lambda: boundary_map(tensor, K, spacing),
        },
    }


def batch_works(batch: Labels) -> dict[str, dict[str, Work]]:
    labels = torch.from_numpy(batch)
    inside: dict[str, Work] = {
        "scipy per class": lambda: scipy_inside(batch),
        "inside_distance, torch": lambda: inside_distance(labels, backend="torch"),
        "inside_distance, edt": lambda: inside_distance(labels, backend="edt"),
    }
    outside: dict[str, Work] = {
        "scipy per class": lambda: scipy_outside(batch),
        "outside_distances, torch": lambda: outside_distances(labels, K, backend="torch"),
        "outside_distances, edt": lambda: outside_distances(labels, K, backend="edt"),
    }
    if torch.cuda.is_available():
        on_device: Tensor = labels.cuda()
        inside["inside_distance, torch on GPU"] = lambda: inside_distance(on_device)
        outside["outside_distances, torch on GPU"] = lambda: outside_distances(on_device, K)
    return {"inside": inside, "outside": outside}


def slices(volumes: Sequence[Labels]) -> Labels:
    """40 slices of 224 x 224, cut or padded around the centre, repeated if there are fewer."""
    batch = np.zeros((40, 224, 224), np.int64)
    every = [item for volume in volumes for item in volume]
    for index, target in enumerate(batch):
        item = every[index % len(every)]
        item = item[tuple(slice(max(0, (n - 224) // 2), max(0, (n - 224) // 2) + 224) for n in item.shape)]
        top, left = ((224 - n) // 2 for n in item.shape)
        target[top : top + item.shape[0], left : left + item.shape[1]] = item
    return batch


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument(
        "--labels", type=Path, nargs="*", default=[], help="label volumes (NIfTI), 4 classes"
    )
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    volumes = {path.name: read(path) for path in given.labels}
    if not volumes:
        volumes["phantom"] = (phantom((10, 256, 216)), (10.0, 1.5625, 1.5625))
    tables: dict[str, list[dict[str, Any]]] = {}
    for name, (labels, spacing) in volumes.items():
        for title, works in volume_works(labels, spacing).items():
            shape = " x ".join(map(str, labels.shape))
            tables[f"{title}, {name} ({shape})"] = paired(works, "scipy per class", given.rounds)
    batch = slices([labels for labels, _ in volumes.values()])
    for title, works in batch_works(batch).items():
        tables[f"{title}, batch of 40 x 224 x 224, {K} classes"] = paired(
            works, "scipy per class", given.rounds
        )
    report(tables, given.threads, given.json)


if __name__ == "__main__":
    main()
