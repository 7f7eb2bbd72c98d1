"""torch.compile of the batched distance transform, against the same transform as it is.

    python -m benchmarks.compiled

Compiling happens in the round of warming up. It needs a C++ compiler on the CPU; without one there is nothing
to measure, which is said and is no failure.
"""

import shutil
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import Work, paired, parser, report
from benchmarks.volumes import K, label_volumes, slices
from rwseg.maps.distance_torch import inside_squared, outside_squared


def works(labels: Tensor) -> dict[str, dict[str, Work]]:
    spacing = (1.0, 1.0)
    inside, outside = torch.compile(inside_squared), torch.compile(outside_squared)
    return {
        "inside distances": {
            "as it is": lambda: inside_squared(labels, spacing),
            "compiled": lambda: inside(labels, spacing),
        },
        "outside distances": {
            "as it is": lambda: outside_squared(labels, K, spacing),
            "compiled": lambda: outside(labels, K, spacing),
        },
    }


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser(__doc__.splitlines()[0]).parse_args(arguments)
    if given.device == "cpu" and not any(map(shutil.which, ("g++", "clang++"))):
        print("no C++ compiler here, so torch.compile cannot be measured")
        return
    torch.set_num_threads(given.threads)
    data, volumes = label_volumes(4)
    labels = slices(volumes, 8, (224, 208)).to(given.device)
    tables: dict[str, list[dict[str, Any]]] = {
        f"{title}, 8 x 224 x 208": paired(pair, "as it is", given.rounds)
        for title, pair in works(labels).items()
    }
    report(tables, given.threads, given.json, data)


if __name__ == "__main__":
    main()
