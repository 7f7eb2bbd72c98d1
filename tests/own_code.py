"""A folder with a user's own code, importable from there as a command would have it."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rwseg.experiments import sources

MINE = """
from torch import nn
from torch.nn import functional as F
from own_helpers import scaled

class MyLoss(nn.Module):
    def __init__(self, weight=1.0, *, gamma=1.0):
        super().__init__()
        self.weight, self.gamma = weight, gamma

    def forward(self, logits, labels):
        return scaled(F.cross_entropy(logits, labels), self.weight)

class Needy(nn.Module):
    def __init__(self, alpha, beta=1):
        super().__init__()

    def forward(self, logits, labels):
        return logits.mean()

class Unfit(nn.Module):
    def forward(self, logits):
        return logits.mean()

def my_function(logits, labels, gamma=1.0):
    return F.cross_entropy(logits, labels) * gamma

NUMBER = 3
"""
HELPERS = "def scaled(value, weight):\n    return weight * value\n"
NAMES = ("own_mine", "own_helpers", "own_broken", "own_other")


def write(folder: Path, name: str, text: str) -> None:
    """Write a module, so that a later import sees it."""
    (folder / f"{name}.py").write_text(text)
    forget()


def forget() -> None:
    """What a new process would not know."""
    for name in NAMES:
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    for known in (sources._spec, sources._digest, sources._imports):
        known.cache_clear()


@contextmanager
def own_folder(folder: Path) -> Iterator[Path]:
    """Stand in `folder` with `own_mine.py` and what that imports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [*sys.path])
        patch.setattr(sys, "dont_write_bytecode", True)
        write(folder, "own_mine", MINE)
        write(folder, "own_helpers", HELPERS)
        yield folder
    forget()
