"""Which place is chosen, and what is said where none has room: from shapes, without any data."""

import logging
import re
from typing import get_args

import pytest
import torch

from rwseg.core.errors import DataError
from rwseg.core.memory import Free
from rwseg.data.sampling import residency
from rwseg.data.sampling.residency import SHARE, Extent, Place, Residency, choose_residency

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
GB = 10**9
PIXELS = 1_000_000_000
EXTENT = Extent(PIXELS, image=4, region_map=4, splines=4, batch_pixels=2_000_000, ahead=3, readers=1)
"""A thousand million pixels with RRW's map: on a device 13 GB with splines, in host memory 9 GB without."""


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Free memory in GB, as the tests set it."""
    free = {"host": 100.0, "gpu": 100.0}
    monkeypatch.setattr(
        residency, "free_host_memory", lambda: Free(int(free["host"] * GB), "the limit of the cgroup")
    )
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(free["gpu"] * GB), 80 * GB))
    return free


def choose(asked: Residency, device: torch.device, processes: int = 1) -> Place:
    return choose_residency(asked, EXTENT, device, processes, "kits19")


@pytest.mark.parametrize(("host", "place"), [(17.0, "device"), (16.0, "host"), (11.0, "disk"), (1.0, "disk")])
def test_on_a_cpu_the_first_place_that_fits_is_taken(
    memory: dict[str, float], host: float, place: Place
) -> None:
    memory["host"] = host
    assert choose("auto", CPU) == place


@pytest.mark.parametrize(
    ("gpu", "host", "place"),
    [(16.0, 2.0, "device"), (16.0, 1.0, "disk"), (14.0, 100.0, "host"), (14.0, 10.0, "disk")],
)
def test_on_a_gpu_its_memory_and_the_hosts_both_count(
    memory: dict[str, float], gpu: float, host: float, place: Place
) -> None:
    """Its labels lie in host memory too, a byte for each pixel."""
    memory |= {"gpu": gpu, "host": host}
    assert choose("auto", GPU) == place


def test_processes_of_a_node_share_its_memory(memory: dict[str, float]) -> None:
    memory["host"] = 20.0
    assert choose("auto", CPU) == "device"
    assert choose("auto", CPU, processes=4) == "disk"


def test_one_line_says_what_was_chosen_and_why(
    memory: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    memory["host"] = 2.0
    with caplog.at_level(logging.INFO):
        choose("auto", CPU)
    (line,) = caplog.messages
    assert line.startswith("slices of kits19: data.residency=disk wants 0.35 GB of 2.0 GB")
    assert "device wants 13.0 GB of 2.0 GB (the limit of the cgroup), which is more than 80%" in line
    assert re.search(r"host wants 9\.\d GB of 2\.0 GB", line)


@pytest.mark.parametrize("asked", get_args(Residency))
def test_what_does_not_fit_is_a_sentence_with_both_numbers_and_a_way_out(
    memory: dict[str, float], asked: Residency
) -> None:
    memory["host"] = 0.2
    with pytest.raises(DataError, match=rf"slices of kits19, data.residency={asked}: ") as told:
        choose(asked, CPU)
    wanted = {"device": "13.0 GB", "host": "9.1 GB", "disk": "0.35 GB", "auto": "0.35 GB"}[asked]
    assert f"wants {wanted} of 0.2 GB (the limit of the cgroup)" in str(told.value)
    assert str(told.value).endswith("or allow more memory")
    assert ("data.residency=auto, or" in str(told.value)) == (asked in ("device", "host"))


def test_what_is_asked_for_and_fits_is_taken(memory: dict[str, float]) -> None:
    assert [choose(place, CPU) for place in ("device", "host", "disk")] == ["device", "host", "disk"]
    memory["host"] = 13.0 / SHARE * 1.001
    assert choose("device", CPU) == "device"
