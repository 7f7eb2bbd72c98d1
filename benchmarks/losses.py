"""Forward and backward of region-wise losses with precomputed maps, against cross entropy.

    python -m benchmarks.losses

Last, training steps of the phantom's network on 10 x 64 x 64 slices with maps made in it, against RRW's.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.timing import Work, paired, parser, report
from benchmarks.volumes import K, label_volumes, slices
from rwseg.experiments.build import build_network
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.losses import ComposedMapLoss, head_weights, rectified_loss, region_wise_loss, supervised_loss
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


COMPOSITIONS: dict[str, list[Any]] = {
    "[rrw]": ["rrw"],
    "[boundary]": ["boundary"],
    "[boundary,rectify,{normalise: per_class}]": ["boundary", "rectify", {"normalise": "per_class"}],
    "[boundary,{anneal: 0.5}]": ["boundary", {"anneal": 0.5}],
    "[rrw,{class_weights: [1, 2, 2, 2]}]": ["rrw", {"class_weights": [1, 2, 2, 2]}],
    "[{edge_emphasis: 3}]": [{"edge_emphasis": 3}],
    "[skeleton]": ["skeleton"],
    "[border_between_instances]": ["border_between_instances"],
    "[rrw,{mix: {map: [skeleton], weight: 0.5}}]": ["rrw", {"mix": {"map": ["skeleton"], "weight": 0.5}}],
}


def composed_works(device: str, count: int = 10) -> tuple[str, dict[str, Work]]:
    """What the labels are, and training steps without the optimizer's: network, map and loss, backward."""
    data, volumes = label_volumes(4)
    labels = slices(volumes, count, (64, 64)).to(device)
    model = check(compose("train", ["dataset=phantom"])[0]).model
    network = build_network(model, 1, K, (64, 64)).to(device).train()
    images = torch.randn(count, 1, 64, 64, generator=torch.Generator().manual_seed(0)).to(device)
    weights = head_weights(len(network(images)))

    def step(parts: list[Any]) -> Work:
        loss = ComposedMapLoss(parts)

        def run() -> None:
            network.zero_grad()
            supervised_loss(loss, network(images), labels, weights=weights).backward()

        return run

    return data, {name: step(parts) for name, parts in COMPOSITIONS.items()}


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
    data, steps = composed_works(given.device)
    tables["training step with the map made in it"] = paired(steps, "[rrw]", given.rounds)
    report(tables, given.threads, given.json, f"labels in blocks of 8 x 8 pixels; {data}")


if __name__ == "__main__":
    main()
