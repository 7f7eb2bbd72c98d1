"""Forward and backward of the region-wise loss against cross entropy: `python -m benchmarks.losses`.

Logits of 16 x K x 224 x 208, maps given. `x` is how many times faster than cross entropy.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.timing import Work, paired, parser, report
from rwseg.losses import rectified_loss, region_wise_loss
from rwseg.maps import rectified_rrw_map, rrw_map


def works(classes: int, device: str) -> dict[str, Work]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(16, classes, 224, 208, generator=generator).to(device).requires_grad_()
    labels = torch.randint(0, classes, (16, 28, 26), generator=generator)
    labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2).to(device)
    dense, compact = rrw_map(labels, classes), rectified_rrw_map(labels, classes)

    def step(loss: Callable[[], Tensor]) -> Work:
        return lambda: torch.autograd.grad(loss(), logits)

    return {
        "cross entropy": step(lambda: F.cross_entropy(logits, labels)),
        "RRW, compact map": step(lambda: rectified_loss(logits, labels, compact)),
        "RRW, dense map": step(lambda: region_wise_loss(logits, dense)),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser(__doc__.splitlines()[0]).parse_args(arguments)
    torch.set_num_threads(given.threads)
    tables: dict[str, list[dict[str, Any]]] = {}
    for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
        for classes in (4, 20):
            title = f"forward and backward on {device}, 16 x {classes} x 224 x 208"
            tables[title] = paired(works(classes, device), "cross entropy", given.rounds)
    report(tables, given.threads, given.json)


if __name__ == "__main__":
    main()
