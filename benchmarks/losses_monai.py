"""Losses, forward and backward, against MONAI's of the same name.

    python -m benchmarks.losses_monai

Slices of 224 x 208 with 4 classes. Values differ where conventions do (smoothing of empty classes, a sigmoid
for a softmax in the focal loss of DiceFocal); the work is the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.losses import (
    DiceCELoss,
    DiceFocalLoss,
    DiceLoss,
    FocalLoss,
    GeneralizedDiceLoss,
    GeneralizedWassersteinDiceLoss,
    TverskyLoss,
)
from torch import Tensor

from benchmarks.timing import Work, paired, parser, report
from benchmarks.volumes import K, label_volumes, predicted, slices
from rwseg import losses

ONE_HOT = {"softmax": True, "to_onehot_y": True}
PAIRS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    "Dice": (losses.DiceLoss(), DiceLoss(**ONE_HOT)),
    "generalised Dice": (losses.GeneralizedDiceLoss(), GeneralizedDiceLoss(**ONE_HOT)),
    "IoU": (losses.IoULoss(), DiceLoss(jaccard=True, **ONE_HOT)),
    "Tversky": (losses.TverskyLoss(), TverskyLoss(alpha=0.3, beta=0.7, **ONE_HOT)),
    "focal": (losses.FocalLoss(), FocalLoss(use_softmax=True, to_onehot_y=True)),
    "Dice + cross entropy": (losses.DiceCELoss(), DiceCELoss(**ONE_HOT)),
    "Dice + focal": (losses.DiceFocalLoss(), DiceFocalLoss(**ONE_HOT)),
    "Wasserstein Dice": (
        losses.GeneralizedWassersteinDiceLoss(),
        GeneralizedWassersteinDiceLoss(1 - torch.eye(K).numpy(), weighting_mode="GDL"),
    ),
}


def step(loss: Callable[..., Tensor], logits: Tensor, labels: Tensor) -> Work:
    """Forward and backward."""
    return lambda: torch.autograd.grad(loss(logits, labels), logits)


def works(logits: Tensor, labels: Tensor) -> dict[str, dict[str, Work]]:
    return {
        name: {"MONAI": step(monai, logits, labels[:, None]), "rwseg": step(ours, logits, labels)}
        for name, (ours, monai) in PAIRS.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__.splitlines()[0])
    options.set_defaults(threads=2)
    options.add_argument("--batch", type=int, default=16)
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    data, volumes = label_volumes(4)
    labels = slices(volumes, given.batch, (224, 208)).to(given.device)
    logits = predicted(labels.cpu(), K).detach().to(given.device).requires_grad_()
    tables: dict[str, list[dict[str, Any]]] = {
        f"{name}, {given.batch} x {K} x 224 x 208": paired(pair, "MONAI", given.rounds)
        for name, pair in works(logits, labels).items()
    }
    report(tables, given.threads, given.json, data)


if __name__ == "__main__":
    main()
