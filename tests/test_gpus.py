"""What nvidia-smi prints, read as it is on machines with and without faults."""

import os
from pathlib import Path

import pytest

from rwseg.errors import ConfigError, RwsegError
from rwseg.gpus import Gpu, list_gpus, parse_gpus, visible_gpus

TWO = "0, GPU-1b2c3d, 80994, 81559\n1, GPU-1f00aa, 512, 81559\n"


def test_a_line_per_gpu_with_memory_in_gib() -> None:
    first, second = parse_gpus(TWO)
    assert first == Gpu(0, "GPU-1b2c3d", 80994 / 1024, 81559 / 1024)
    assert (second.index, second.free_gib) == (1, 0.5)
    assert parse_gpus("") == []


@pytest.mark.parametrize("line", ["No devices were found", "0, GPU-1, [N/A], 81559", "0, GPU-1, 5"])
def test_lines_of_another_kind_are_shown(line: str) -> None:
    with pytest.raises(RwsegError, match="expected 'number, uuid, free MiB, total MiB', got") as caught:
        parse_gpus(line)
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [(None, [0, 1]), ("", []), ("1", [1]), ("1,0", [1, 0]), ("GPU-1f", [1]), (" 0 , GPU-1f00aa", [0, 1])],
)
def test_cuda_visible_devices_chooses(mask: str | None, expected: list[int]) -> None:
    assert [gpu.index for gpu in visible_gpus(parse_gpus(TWO), mask)] == expected


@pytest.mark.parametrize("mask", ["2", "GPU-1", "MIG-1b2c3d", "0,x"])
def test_gpus_that_are_not_there_are_refused(mask: str) -> None:
    with pytest.raises(ConfigError, match=r"which are 0 \(GPU-1b2c3d\), 1 \(GPU-1f00aa\), got"):
        visible_gpus(parse_gpus(TWO), mask)


def program(folder: Path, text: str) -> None:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_the_program_is_asked_and_its_failure_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list_gpus() == []  # no such program
    program(tmp_path, f"echo '{TWO.splitlines()[0]}'")
    assert [gpu.uuid for gpu in list_gpus()] == ["GPU-1b2c3d"]
    program(tmp_path, "echo no driver; exit 9")
    with pytest.raises(RwsegError, match="got status 9: no driver"):
        list_gpus()
    assert os.environ["PATH"] == str(tmp_path)
