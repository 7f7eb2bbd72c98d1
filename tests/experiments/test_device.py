"""What a run takes of its device: the precision that is asked for or computed, processes for metrics."""

import pytest
import torch

from rwseg.experiments import device
from rwseg.experiments.device import metrics_processes, precision
from rwseg.models.inference.metrics_pool import MOST


@pytest.mark.parametrize("has_bf16", [True, False])
def test_auto_is_what_the_device_computes(has_bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_bf16", lambda found: has_bf16 and found == torch.device("cpu"))
    assert precision("auto", "cpu") == ("bf16-mixed" if has_bf16 else "32-true")
    assert precision("auto", "Fast GPU") == "16-mixed"


@pytest.mark.parametrize("asked", ["32-true", "bf16-mixed", "16-mixed"])
def test_what_is_asked_for_is_taken(asked: str) -> None:
    assert precision(asked, "cpu") == precision(asked, "Fast GPU") == asked


def test_a_run_on_one_cpu_thread_keeps_to_one_core() -> None:
    assert [metrics_processes("cpu", 1, workers=number, cores=64) for number in (1, 2, 64)] == [0, 0, 0]


def test_a_network_on_the_cpu_has_metrics_beside_it_where_a_core_is_free() -> None:
    assert [metrics_processes("cpu", 2, workers=8, cores=number) for number in (1, 2, 3, 8)] == [0, 0, 1, 1]
    assert metrics_processes("cpu", 2, workers=1, cores=8) == 0


def test_beside_a_gpu_metrics_have_up_to_so_many_workers() -> None:
    found = [metrics_processes("Fast GPU", 1, workers=number, cores=number) for number in (1, 2, 3, 64)]
    assert found == [0, 2, 3, MOST]
