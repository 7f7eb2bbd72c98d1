"""The two-sided Hausdorff loss, forward and backward, against MONAI's, and where its time goes.

    python -m benchmarks.losses_hausdorff

Both compute exact distances of labels and prediction at every step. MONAI runs SciPy inside and outside each
class; a mask is where a probability exceeds one half, here it is the class with the largest.
"""

from collections.abc import Sequence
from typing import Any

import torch
from monai.losses.hausdorff_loss import HausdorffDTLoss as MonaiHausdorffDTLoss
from torch import Tensor

from benchmarks.losses_monai import ONE_HOT, step
from benchmarks.timing import Work, paired, parser, report
from benchmarks.volumes import K, label_volumes, predicted, slices
from rwseg.losses import HausdorffDTLoss
from rwseg.losses.classes import predicted_classes
from rwseg.maps import boundary_map
from rwseg.maps.distance import outside_distances


def works(logits: Tensor, labels: Tensor) -> dict[str, Work]:
    return {
        "MONAI": step(MonaiHausdorffDTLoss(include_background=True, **ONE_HOT), logits, labels[:, None]),
        "rwseg": step(HausdorffDTLoss(), logits, labels),
    }


def parts(logits: Tensor, labels: Tensor) -> dict[str, Work]:
    """What ours is made of; the rest is products and the gradient."""
    p = torch.softmax(logits.detach(), dim=1)
    prediction = predicted_classes(p)
    return {
        "its softmax": lambda: torch.softmax(logits.detach(), dim=1),
        "its predicted classes": lambda: predicted_classes(p),
        "its maps": lambda: [boundary_map(item, K) for item in (labels, prediction)],
        "its exact transforms": lambda: [outside_distances(x, K) for x in (labels, prediction)],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__.splitlines()[0])
    options.set_defaults(threads=2)
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    data, volumes = label_volumes(4)
    labels = slices(volumes, 16, (224, 208))
    logits = predicted(labels, K).detach().to(given.device).requires_grad_()
    labels = labels.to(given.device)
    tables: dict[str, list[dict[str, Any]]] = {
        "HausdorffDTLoss, 16 x 4 x 224 x 208": paired(
            works(logits, labels) | parts(logits, labels), "MONAI", given.rounds
        )
    }
    report(tables, given.threads, given.json, data)


if __name__ == "__main__":
    main()
