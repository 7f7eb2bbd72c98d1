"""Parts of a user's own, as they would stand in a file beside the data: nothing here knows rwseg."""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class Net(nn.Module):
    """Images to logits, of any size, with dropout and batch norm."""

    def __init__(self, in_channels: int, num_classes: int, width: int = 4) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout2d(0.2),
            nn.Conv2d(width, num_classes, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


class Deep(nn.Module):
    """A list of logits, full resolution first; images have even sides."""

    def __init__(self, in_channels: int, out_channels: int, width: int = 4) -> None:
        super().__init__()
        self.full = nn.Conv2d(in_channels, width, 3, padding=1)
        self.down = nn.Conv2d(width, width, 2, stride=2)
        self.up = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.heads = nn.ModuleList(nn.Conv2d(width, out_channels, 1) for _ in range(2))

    def forward(self, images: Tensor) -> list[Tensor]:
        skip = self.full(images).relu()
        low = self.down(skip).relu()
        return [self.heads[0](self.up(low) + skip), self.heads[1](low)]


def noisy(images: Tensor, labels: Tensor, maps: Tensor | None, std: float = 0.1) -> tuple[Tensor | None, ...]:
    return images + std * torch.randn_like(images), labels, maps


class Flip:
    """Columns from right to left, in images, labels and maps."""

    def __call__(self, images: Tensor, labels: Tensor, maps: Tensor | None) -> tuple[Tensor | None, ...]:
        return images.flip(-1), labels.flip(-1), None if maps is None else maps.flip(-1)


def shifted(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return images.roll(1, -1), labels.roll(1, -1)


def warmed_up(optimizer: Optimizer, total_steps: int, warmup: int = 2) -> LambdaLR:
    return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / warmup) * (1 - step / total_steps))
