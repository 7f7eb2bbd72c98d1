"""Weights of any loss beside the true class's: those of its map, and formulas by hand."""

import torch
from torch import Tensor

from rwseg.losses import CrossEntropyLoss, DiceLoss, RegionWiseLoss, RRWLoss
from rwseg.losses.theory.relative_weights import relative_weights
from rwseg.maps import boundary_map, rrw_map


def scene() -> tuple[Tensor, Tensor]:
    """A softmax (2, 4, 12, 17) and labels, the last class absent."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.zeros(2, 12, 17, dtype=torch.long)
    labels[0, 2:9, 3:8], labels[1, 4:11, 2:16], labels[0, 3:6, 9:15] = 1, 1, 2
    return torch.softmax(torch.randn(2, 4, 12, 17, generator=generator).double(), 1), labels


def beside_true(weights: Tensor, labels: Tensor) -> Tensor:
    return weights - weights.gather(1, labels[:, None])


def test_those_of_a_region_wise_loss_are_the_differences_in_its_map() -> None:
    softmax, labels = scene()
    for loss, region_map in (
        (RegionWiseLoss("boundary"), boundary_map(labels, 4)),
        (RRWLoss(), rrw_map(labels, 4)),
    ):
        found = relative_weights(loss, softmax, labels)
        torch.testing.assert_close(found, beside_true(region_map.double(), labels), rtol=1e-5, atol=1e-5)


def test_those_of_cross_entropy_are_the_classes_over_the_probability() -> None:
    softmax, labels = scene()
    found = relative_weights(CrossEntropyLoss(), softmax, labels)
    own = 4 / softmax.gather(1, labels[:, None]).expand_as(softmax)
    torch.testing.assert_close(found, own.scatter(1, labels[:, None], 0.0))


def test_those_of_dice_are_its_derivatives_at_the_softmax() -> None:
    softmax, labels = scene()
    loss = DiceLoss()
    logits = softmax.log().requires_grad_()
    probabilities = torch.softmax(logits, 1)
    seen: list[Tensor] = []
    probabilities.register_hook(seen.append)

    def of(values: Tensor, truth: Tensor) -> Tensor:
        return loss(values, truth)

    found = relative_weights(of, softmax, labels)
    of(probabilities.log(), labels).backward()
    torch.testing.assert_close(found, beside_true(seen[0] * softmax.numel(), labels), rtol=1e-4, atol=1e-6)
