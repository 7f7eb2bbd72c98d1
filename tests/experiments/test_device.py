"""The precision of a run: what is asked for, or what its device computes."""

import pytest
import torch

from rwseg.experiments import device
from rwseg.experiments.device import precision


@pytest.mark.parametrize("has_bf16", [True, False])
def test_auto_is_what_the_device_computes(has_bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_bf16", lambda found: has_bf16 and found == torch.device("cpu"))
    assert precision("auto", "cpu") == ("bf16-mixed" if has_bf16 else "32-true")
    assert precision("auto", "Fast GPU") == "16-mixed"


@pytest.mark.parametrize("asked", ["32-true", "bf16-mixed", "16-mixed"])
def test_what_is_asked_for_is_taken(asked: str) -> None:
    assert precision(asked, "cpu") == precision(asked, "Fast GPU") == asked
