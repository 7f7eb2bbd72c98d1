"""What a run takes of its device: the precision that is asked for or computed, processes for metrics."""

import pytest
import torch

from rwseg.experiments import device
from rwseg.experiments.device import cpu_threads, metrics_processes, precision
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


@pytest.mark.parametrize(
    ("variable", "processes", "expected"),
    [
        (None, 1, 6),
        (None, 2, 3),
        (None, 4, 1),
        (None, 64, 1),
        ("4", 1, 4),
        ("4", 2, 4),
        ("3,2", 1, 3),
        ("99", 1, 12),
    ],
)
def test_auto_threads_are_physical_cores_or_what_the_shell_says(
    variable: str | None, processes: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        device, "cpu_count", lambda only_physical_cores=False: 6 if only_physical_cores else 12
    )
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert cpu_threads("auto", processes) == expected
    assert cpu_threads(5, processes) == 5


@pytest.mark.parametrize("variable", ["", "many", "0"])
def test_what_is_no_number_of_threads_says_nothing(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert cpu_threads("auto") == device.cpu_count(only_physical_cores=True)
