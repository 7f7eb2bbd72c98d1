"""Our training step in bfloat16 beside 32 bit, in turns in one process: the laptop's size and the paper's.

    python -m benchmarks.precision [--rounds 5] [--threads 1] [--device cuda] [SIZE ...]

Data are ACDC where RWSEG_DATA is set, else the phantom in patches and batches of the same size. On a
CPU times are of the processor, which a busy machine hardly changes; on a GPU of the clock, and 32 bit is
PyTorch's there: convolutions in TF32.
"""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from benchmarks.timing import paired, parser, report
from benchmarks.training_step_nnunet import lacking, opened, own_works

SIZES: Mapping[str, list[str]] = {
    "laptop": ["experiment=acdc_small"],
    "paper": ["dataset=acdc", "augment=nnunet"],
}
ON_PHANTOM: Mapping[str, list[str]] = {
    "laptop": ["dataset=phantom"],
    "paper": ["dataset=phantom", "model=acdc", "dataset.patch_size=[256,224]", "dataset.batch_size=38"],
}


def settings(size: str) -> list[str]:
    """The overrides of a size."""
    return [*SIZES[size], *([] if os.environ.get("RWSEG_DATA") else ON_PHANTOM[size])]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__.splitlines()[0])
    options.set_defaults(rounds=5)
    options.add_argument("rest", nargs="*", metavar="SIZE or override", help=f"of {', '.join(SIZES)}")
    given = options.parse_intermixed_args(arguments)
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    overrides = [word for word in given.rest if word not in SIZES]
    tables: dict[str, list[dict[str, Any]]] = {}
    for size in [word for word in given.rest if word in SIZES] or SIZES:
        run, data = opened([*settings(size), *overrides], device)
        shape = "x".join(str(length) for length in (data.batch_size, *data.patch_size))
        works = {name: work for name, work in own_works(run, data, device).items() if "network" not in name}
        clock = time.process_time if device.type == "cpu" else time.perf_counter
        tables[f"{size}, training step, {shape}"] = paired(works, "rwseg, fp32", given.rounds, clock=clock)
    report(tables, given.threads, given.json, run.cfg.dataset.name, lacking(device))


if __name__ == "__main__":
    main()
