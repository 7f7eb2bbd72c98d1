"""Losses as people write them, right and wrong, that know nothing of rwseg."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def masks(labels: Tensor, logits: Tensor) -> Tensor:
    return F.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(logits)


class DiceAndCrossEntropy(nn.Module):
    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        p, y = torch.softmax(logits, 1).flatten(2), masks(labels, logits).flatten(2)
        dice = (2 * (p * y).sum(2) + 1) / ((p + y).sum(2) + 1)
        return F.cross_entropy(logits, labels) + self.weight * (1 - dice.mean())


def focal(logits: Tensor, labels: Tensor, gamma: float = 2.0) -> Tensor:
    pixels = F.cross_entropy(logits, labels, reduction="none")
    return ((1 - torch.exp(-pixels)) ** gamma * pixels).mean()


class SoftmaxTwice(nn.Module):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(torch.softmax(logits, 1), labels)


class SoftmaxTwiceByHand(nn.Module):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        scores = torch.exp(torch.softmax(logits, 1))
        p = scores / scores.sum(1, keepdim=True)
        return 1 - p.gather(1, labels[:, None]).mean()


class SoftmaxOverRows(nn.Module):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return 1 - torch.softmax(logits, -1).gather(1, labels[:, None]).mean()


class OnlyPresent(nn.Module):
    """Dice of the structures that are there."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        p, y = torch.softmax(logits, 1).flatten(2), masks(labels, logits).flatten(2)
        dice = 2 * (p * y).sum(2) / (p + y).sum(2).clamp(min=1e-6)
        present = (y.sum(2) > 0) & (torch.arange(y.shape[1]) > 0)
        return ((1 - dice) * present).sum(1).div(present.sum(1).clamp(min=1)).mean()


class BatchDice(nn.Module):
    """The mean over the batch before the ratio."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        p, y = torch.softmax(logits, 1).flatten(2), masks(labels, logits).flatten(2)
        return 1 - ((2 * (p * y).sum(2).mean(0) + 1) / ((p + y).sum(2).mean(0) + 1)).mean()


class LogOfSoftmax(nn.Module):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return -(masks(labels, logits) * torch.log(torch.softmax(logits, 1))).mean()


class WrongSign(nn.Module):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return -F.cross_entropy(logits, labels).clamp(max=50)


class InPlace(nn.Module):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        labels[labels == logits.shape[1] - 1] = 0
        return F.cross_entropy(logits, labels.fill_(0))


class Random(nn.Module):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        pixels = F.cross_entropy(logits, labels, reduction="none")
        return pixels.flatten(1)[:, torch.randperm(pixels[0].numel())[:9]].mean()


class Detached(nn.Module):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        pixels = F.cross_entropy(logits, labels, reduction="none")
        return (pixels.detach() * pixels).mean()


class NotScalar(nn.Module):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, reduction="none")


class MapWanted(nn.Module):
    map_name = "boundary"
    rectified = False

    def forward(self, logits: Tensor, labels: Tensor, region_map: Tensor) -> Tensor:
        return (torch.softmax(logits, 1) * region_map).mean()
