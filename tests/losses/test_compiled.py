"""Region-wise losses under `torch.compile`."""

import pytest
import torch
import torch._dynamo
from torch import Tensor

from rwseg.losses import ComposedMapLoss, RegionWiseLoss, RRWLoss
from rwseg.maps import rectified_rrw_map, region_map

pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
"""What torch.compile does with functions that have a gradient of their own."""


def example() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    labels = torch.randint(0, 3, (2, 16, 23), generator=generator)
    return torch.randn(2, 4, 16, 23, generator=generator), labels


@pytest.mark.parametrize(
    "loss",
    [
        RRWLoss((1.5, 0.8)),
        RegionWiseLoss("boundary"),
        RegionWiseLoss("boundary", rectify=True),
        ComposedMapLoss(["boundary", "rectify", {"normalise": "per_class"}, {"class_weights": [1, 2, 3, 4]}]),
        ComposedMapLoss(
            ["boundary", {"anneal": 0.5}, {"mix": {"map": ["skeleton", {"clip": 0.5}], "weight": 0.3}}],
            (1.5, 0.8),
        ),
        ComposedMapLoss(["boundary", {"anneal": 1}, {"power": 2}, {"normalise": "per_item"}]),
    ],
    ids=["rrw", "boundary", "rectified", "modified", "mixed", "annealed"],
)
@pytest.mark.parametrize("given", [False, True])
def test_one_graph_with_the_same_value_and_gradient(loss: torch.nn.Module, given: bool) -> None:
    logits, labels = example()
    dense = region_map("boundary", labels, 4)
    own = () if not given else (rectified_rrw_map(labels, 4) if isinstance(loss, RRWLoss) else dense,)
    torch._dynamo.reset()
    explained = torch._dynamo.explain(loss)(logits, labels, *own)
    assert explained.graph_break_count == 0
    results = []
    for call in (loss, torch.compile(loss, backend="aot_eager", fullgraph=True)):
        leaf = logits.clone().requires_grad_()
        value = call(leaf, labels, *own)
        results.append((value.detach(), torch.autograd.grad(value, leaf)[0]))
    torch.testing.assert_close(*results)
    torch._dynamo.reset()


def test_labels_are_checked_in_the_map_all_the_same() -> None:
    logits, labels = example()
    labels[0, 0, 0] = 4
    torch._dynamo.reset()
    with pytest.raises(ValueError, match=r"labels: expected values in \[0, 4\), got values in \[0, 4\]"):
        torch.compile(RRWLoss(), backend="aot_eager")(logits, labels)
    torch._dynamo.reset()
