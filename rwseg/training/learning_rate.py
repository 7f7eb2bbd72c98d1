"""The learning rate over a training: the paper's schedule, and what Lightning is told of any other."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def poly(optimizer: Optimizer, total_steps: int, poly_power: float) -> LambdaLR:
    """nnU-Net's polynomial decay: step `i` has `(1 - i / total_steps) ** poly_power` of the learning rate."""
    return LambdaLR(optimizer, lambda step: max(0.0, 1 - step / total_steps) ** poly_power)
