"""The RRW loss of a training step, against the published algorithm that makes the map anew in every step.

    python -m benchmarks.losses_published

The published code, in its steps: softmax, one-hot labels, SciPy's distance transform per sample and class,
the map to a tensor, the mean of the product, and backward. Ours with the map that the data module serves, and
with a map computed from the labels in the step.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from benchmarks.timing import Work, paired, parser, report
from benchmarks.volumes import K, label_volumes, predicted, slices
from rwseg.losses import RRWLoss
from rwseg.maps import rectified_rrw_map


def published(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss as published: in pixels, 2D, of the batch's labels."""
    p = torch.softmax(logits, dim=1)
    y = F.one_hot(labels, K).movedim(-1, 1).cpu().numpy()
    z = np.zeros(y.shape, np.float32)
    for item, weights in zip(y, z, strict=True):
        for k in range(K):
            distance = distance_transform_edt(item[k])
            weights[k] = -distance / np.max(distance + 1e-15)
    z[z == 0] = 1
    return (p * torch.from_numpy(z).to(p)).mean()


def works(logits: Tensor, labels: Tensor) -> dict[str, Work]:
    precomputed, loss = rectified_rrw_map(labels, K), RRWLoss()

    def step(value: Callable[[], Tensor]) -> Work:
        return lambda: torch.autograd.grad(value(), logits)

    return {
        "published code": step(lambda: published(logits, labels)),
        "map precomputed": step(lambda: loss(logits, labels, precomputed)),
        "map computed": step(lambda: loss(logits, labels)),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__.splitlines()[0])
    options.set_defaults(threads=2, rounds=20)
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    data, volumes = label_volumes(4)
    labels = slices(volumes, 40, (224, 224))
    logits = predicted(labels, K).detach().to(given.device).requires_grad_()
    rows = paired(works(logits, labels.to(given.device)), "published code", given.rounds)
    tables: dict[str, list[dict[str, Any]]] = {"RRW loss of a training step, 40 x 4 x 224 x 224": rows}
    report(tables, given.threads, given.json, data)


if __name__ == "__main__":
    main()
