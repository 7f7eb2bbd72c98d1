"""Forward and backward of region-wise losses with precomputed maps, against cross entropy.

python -m benchmarks.losses
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.timing import Work, paired, parser, report
from rwseg.losses import rectified_loss, region_wise_loss
from rwseg.maps import rectified_rrw_map, rrw_map


def works(classes: int, device: str, shape: tuple[int, int, int] = (16, 224, 208)) -> dict[str, Work]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape[0], classes, *shape[1:], generator=generator).to(device).requires_grad_()
    labels = torch.randint(0, classes, (shape[0], shape[1] // 8, shape[2] // 8), generator=generator)
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2).to(device)
    dense, compact = rrw_map(labels, classes), rectified_rrw_map(labels, classes)

    ones = torch.ones_like(logits)

    def step(loss: Callable[[], Tensor]) -> Work:
        return lambda: torch.autograd.grad(loss(), logits)

    return {
        "cross entropy": step(lambda: F.cross_entropy(logits, labels)),
        "RRW, compact map": step(lambda: rectified_loss(logits, labels, compact)),
        "RRW, dense map": step(lambda: region_wise_loss(logits, dense)),
        "softmax alone": lambda: torch.autograd.grad(torch.softmax(logits, dim=1), logits, ones),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__.splitlines()[0])
    options.set_defaults(threads=2, rounds=60)
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    tables: dict[str, list[dict[str, Any]]] = {
        f"forward and backward, 16 x {classes} x 224 x 208": paired(
            works(classes, given.device), "cross entropy", given.rounds
        )
        for classes in (4, 20)
    }
    report(tables, given.threads, given.json, "labels in blocks of 8 x 8 pixels")


if __name__ == "__main__":
    main()
