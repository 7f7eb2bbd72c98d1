"""The machine and the installation: versions against the package's requirements, devices, disk, memory."""

import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import torch
from joblib import cpu_count
from packaging.requirements import Requirement

from rwseg import __version__
from rwseg.report.doctor.findings import Finding, Level

GIB = 2**30
LITTLE_DISK = 2 * GIB
PREPARED = "prepared data"
"""A purpose that a folder serves also where it cannot be written."""


def installation(folders: dict[str, Path]) -> Iterator[Finding]:
    """Python, required packages, devices, and the free disk of `folders` (what it is for: where it is)."""
    python = platform.python_version()
    yield Finding("ok", f"rwseg {__version__}, Python {python}, {platform.system()} {platform.machine()}")
    yield from packages(requires("rwseg") or [])
    yield from _devices()
    for purpose, folder in folders.items():
        yield _disk(purpose, folder)


def packages(requirements: Iterable[str]) -> Iterator[Finding]:
    """Whether what `requirements` (PEP 508) ask for is installed; extras are left out."""
    found = []
    for line in requirements:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            yield Finding("fault", f"{requirement}: not installed; pip install '{requirement}'")
            continue
        if requirement.specifier.contains(installed, prereleases=True):
            found.append(f"{requirement.name} {installed}")
        else:
            yield Finding(
                "fault",
                f"{requirement.name}: expected {requirement.specifier}, got {installed}; "
                f"pip install '{requirement}'",
            )
    yield Finding("ok", ", ".join(found))


def _devices() -> Iterator[Finding]:
    yield Finding("ok", f"{cpu_count()} CPU cores, {torch.get_num_threads()} threads of PyTorch")
    if not torch.cuda.is_available():
        built = torch.version.cuda or "none"
        yield Finding("note", f"no CUDA device (PyTorch's CUDA: {built}): trainer=auto runs on the CPU")
        return
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        free, total = torch.cuda.mem_get_info(number)
        yield Finding(
            "ok",
            f"GPU {number}: {facts.name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free, "
            f"CUDA {torch.version.cuda}",
        )


def _disk(purpose: str, folder: Path) -> Finding:
    """Free space where `folder` is, or will be made."""
    place = folder.absolute()
    while not os.path.exists(place):  # a folder that may not be looked into has nothing in it, either
        place = place.parent
    if place.is_dir() and not os.access(place, os.W_OK) and purpose == PREPARED:
        return Finding("note", f"{purpose} {folder}: can be read only: what is there is used")
    if not place.is_dir() or not os.access(place, os.W_OK):
        return Finding("fault", f"{purpose} {folder}: expected a folder that can be written, {place} cannot")
    free = shutil.disk_usage(place).free
    level: Level = "note" if free < LITTLE_DISK else "ok"
    return Finding(level, f"{free / GIB:.1f} GiB free for {purpose} in {folder}")
